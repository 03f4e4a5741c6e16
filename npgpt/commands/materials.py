"""Language modelling on the command line: the text, a tokenizer, and a model to train."""
import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from npgpt import library
from npgpt.commands.arguments import for_shell, given
from npgpt.commands.objective import Objective
from npgpt.commands.text_data import described, encode, read_data, recorded_paths
from npgpt.commands.vocabularies import BPE_VOCABULARY, LEARNED
from npgpt.errors import InputError
from npgpt.interop.huggingface import load_model
from npgpt.model.config import GPTConfig, TransformerConfig
from npgpt.model.model import Model
from npgpt.model.presets import preset
from npgpt.runs.checkpoint import Checkpoint
from npgpt.runs.settings import RunSettings
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.tasks.task import Batch, Task
from npgpt.terminal import harmless
from npgpt.text.byte_pair import BytePairTokenizer
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.corpus import Corpus, require_length, split_text
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.tokenizer import Tokenizer, holds_tokenizer, load_tokenizer
from npgpt.text.word_bpe import WordBPETokenizer
from npgpt.text.word_piece import WordPieceTokenizer
from npgpt.training.duration import step_seconds
from npgpt.training.evaluation import bits_per_nat

KINDS = {CharacterTokenizer: "char", ByteTokenizer: "byte", BytePairTokenizer: "bpe", WordBPETokenizer: "gpt1",
         WordPieceTokenizer: "wordpiece"}
SAMPLE_TOKENS = 400
SIZES = ("n_layer", "n_head", "n_embd", "n_positions")
CHOSEN = (*SIZES, "initializer_range")                         # fields of a configuration that arguments of train choose
FORM = ("pre_layer_norm", "window_size", "qkv_bias")           # of a GPT's blocks, which a preset has, too
GPT2_VOCABULARY = 50257


class LanguageModel(Objective):
    """Language modelling on a text. The tokenizer is None for token files that have none beside them."""

    task: LanguageModelling
    kind = GPTConfig                           # of its models
    preset = "small"                           # of a new one

    @property
    def bytes_in_memory(self) -> int:
        return self.task.corpus.bytes_in_memory

    @classmethod
    def tokenizer_for(cls, tokenizer: Tokenizer | None) -> Tokenizer | None:
        """A new tokenizer with the special tokens that such a model needs."""
        return tokenizer

    @classmethod
    def special_ids(cls, tokenizer: Tokenizer | None) -> dict[str, int | None]:
        """The fields of a configuration that name special tokens."""
        return {"bos_token_id": None, "eos_token_id": None}

    @classmethod
    def task_for(cls, config: TransformerConfig, corpus: Corpus, tokenizer: Tokenizer | None) -> Task:
        return LanguageModelling(config, corpus)

    def data_line(self) -> str:
        corpus = self.task.corpus
        return (f"text   {described(self.paths)}: {len(corpus.train):,} tokens to train on, "
                f"{len(corpus.validation):,} to validate on, vocabulary size {self.task.config.vocab_size:,}")

    def first_example(self) -> Iterable[Batch]:
        return self.task.batches(self.task.corpus.validation[:self.task.config.n_positions + 1])

    def validated(self) -> str:
        total, count = len(self.task.corpus.validation), sum(map(self.task.count, self.task.validation_batches()))
        part = f"all {total:,}" if count == total - 1 else f"{count:,} of the {total:,}"
        return f"{part} tokens of its split"

    def bits_per_nat(self) -> float | None:
        return self.tokenizer and bits_per_nat(self.task.validation_batches(), self.tokenizer.token_bytes)

    def step_seconds(self, settings: RunSettings) -> float:
        return step_seconds(self.task.config, settings, settings.threads, self.dtype)

    def show_result(self, model: Model, settings: RunSettings) -> None:
        """Print a text by the model."""
        if model.tokenizer is not None:
            text = library.generate(model, max_new_tokens=SAMPLE_TOKENS, seed=settings.seed, temperature=0.8)
            print("\n" + harmless(text.strip(), sys.stdout) + "\n", flush=True)

    def next_command(self, folder: Path) -> str:
        return f"npgpt generate --model {for_shell(folder)}"


def gather_text(args: argparse.Namespace, origin: Checkpoint | None = None,
                objective: type[LanguageModel] = LanguageModel) -> LanguageModel:
    """What a new run needs, or one resumed from the checkpoint `origin`. Raises InputError or OSError."""
    start, dtype, paths = None, np.dtype(args.dtype or "float32"), args.data
    if origin:
        start, dtype = origin.model, origin.model.parameters.dtype
        paths = args.data or recorded_paths(origin.settings)
        require_agreement(args, {**properties(start), "dtype": str(dtype), "seed": origin.settings.seed}, origin.folder)
    elif args.init:
        start = Model(*load_model(args.init, dtype, objective.kind), load_tokenizer(args.init))
        require_agreement(args, properties(start), args.init)
    data, digest = read_data(paths)
    if origin and digest != origin.settings.sha256:
        raise InputError(f"{described(paths)}: not the data that the run was trained on, "
                         f"{described(origin.settings.data)}, or changed since")
    tokenizer = start.tokenizer if start else objective.tokenizer_for(new_tokenizer(args, paths, data))
    config = start.config if start else new_config(args, tokenizer, objective)
    if args.dropout is not None:
        config = config.with_dropout(args.dropout)
    corpus = data if isinstance(data, Corpus) else encode(data, tokenizer, args)
    task = objective.task_for(config, corpus, tokenizer)
    require_length(task.corpus.validation, 1, "validation text (the last tenth)")
    return objective(task, tokenizer, start, dtype, paths, digest)


def properties(model: Model) -> dict[str, object]:
    """A model's properties that arguments of the same names or a preset ask for."""
    kind = KINDS.get(type(model.tokenizer), "none")
    config = model.config
    return {**sizes_and_form(config), "tokenizer": kind, "vocab_size": config.vocab_size,
            "initializer_range": config.initializer_range}


def require_agreement(args: argparse.Namespace, own: Mapping[str, object], folder: Path) -> None:
    """Raise InputError if the arguments differ from the model or tokenizer in a folder."""
    asked = {**(sizes_and_form(preset(args.preset)) if args.preset else {}),
             **given(args, [name for name in own if name in args])}
    for name, value in own.items():
        if asked.get(name, value) != value:
            raise InputError(f"{name} {asked[name]} was asked for, but {folder} has {value}: leave out that argument, or "
                             "train a new model in another folder")


def sizes_and_form(config: TransformerConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in (*SIZES, *FORM) if hasattr(config, name)}


def new_config(args: argparse.Namespace, tokenizer: Tokenizer | None, objective: type[LanguageModel]) -> TransformerConfig:
    """Raises InputError for a preset of another kind of model."""
    vocab_size = tokenizer.vocab_size if tokenizer else GPT2_VOCABULARY if args.vocab_size is None else args.vocab_size
    name = args.preset or objective.preset
    config = preset(name, vocab_size=vocab_size, **objective.special_ids(tokenizer), **given(args, CHOSEN))
    if not isinstance(config, objective.kind):
        raise InputError(f"--preset {name} is not for --objective {objective.name}: choose --preset {objective.preset}, for "
                         "example")
    return config


def new_tokenizer(args: argparse.Namespace, paths: list[Path] | None, data: str | Corpus) -> Tokenizer | None:
    """The tokenizer beside token files, or None; for a text, a tokenizer of the kind that --tokenizer names."""
    if isinstance(data, Corpus):
        tokenizer = load_tokenizer(paths[0]) if holds_tokenizer(paths[0]) else None
        if tokenizer:
            require_agreement(args, {"tokenizer": KINDS[type(tokenizer)], "vocab_size": tokenizer.vocab_size}, paths[0])
        elif args.tokenizer:
            raise InputError(f"--tokenizer cannot be chosen: {paths[0]} has token ids, not text")
        return tokenizer
    if args.tokenizer in LEARNED:              # from the training text alone: it can encode every other text
        return LEARNED[args.tokenizer](split_text(data)[0], BPE_VOCABULARY if args.vocab_size is None else args.vocab_size)
    if args.vocab_size is not None:
        raise InputError(f"--vocab-size can be chosen with --tokenizer {' or '.join(LEARNED)}, or for token files without a "
                         "tokenizer")
    return ByteTokenizer() if args.tokenizer == "byte" else CharacterTokenizer.of_text(data)
