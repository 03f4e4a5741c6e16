"""Translation on the command line: pairs of texts, a tokenizer for both languages, and a model to train."""
import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from npgpt.commands.arguments import for_shell, given
from npgpt.commands.materials import CHOSEN, properties, require_agreement
from npgpt.commands.objective import Objective
from npgpt.commands.progress import Progress
from npgpt.commands.text_data import described, recorded_paths
from npgpt.commands.vocabularies import BPE_VOCABULARY, LEARNED
from npgpt.errors import InputError
from npgpt.generation.translate import translate
from npgpt.interop.huggingface import load_model
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.model import Model
from npgpt.model.presets import preset
from npgpt.runs.checkpoint import Checkpoint
from npgpt.runs.settings import RunSettings
from npgpt.tasks.translation import Pair, Translation, cut, token_ids
from npgpt.terminal import harmless
from npgpt.text.characters import UNKNOWN, CharacterTokenizer
from npgpt.text.example_files import read_examples
from npgpt.text.examples import TranslationExample
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.summaries import python_summaries
from npgpt.text.tokenizer import Tokenizer, load_tokenizer
from npgpt.text.vocabulary import with_special_tokens
from npgpt.training.schedule import INVERSE_SQRT
from npgpt.training.settings import LARGEST_COUNT, PRETRAINED, WARMUP, TrainingSettings

PRESET = "transformer-small"
PAD, END = "<pad>", "</s>"
HELD_OUT, MOST_HELD_OUT = 10, 1000              # one pair in so many is for validation, but no more than these
RATE_TIMES_WIDTH = 0.32                         # learning rate times n_embd; with twice as much, pairs are learned later
BATCH_SIZE = 32
SHOWN, LONGEST_SHOWN = 4, 300                   # translations at the end of a run, and characters of each text


class TranslationRun(Objective):
    """Translation, or another task of turning one text into another."""

    name, examples = "translate", "pairs"
    task: Translation
    held_out: Sequence[TranslationExample]      # for validation

    def data_line(self) -> str:
        task = self.task
        return (f"pairs  {described_pairs(self.paths)}: {len(task.training):,} to train on, {len(task.validation):,} to "
                f"validate on, at most {task.longest[0]:,} and {task.longest[1]:,} tokens, vocabulary size "
                f"{task.config.vocab_size:,}")

    def validated(self) -> str:
        return f"{len(self.task.validation):,} pairs"

    def show_result(self, model: Model, settings: RunSettings) -> None:
        """Print some sources of the validation pairs, and what the model makes of them."""
        some = [example for example in self.held_out if len(example.source) <= LONGEST_SHOWN][:SHOWN]
        for example, text in zip(some, translate(model, [example.source for example in some], cut_longer=True)):
            print(harmless(f"\n{example.source}\n-> {text[:LONGEST_SHOWN]}", sys.stdout), flush=True)
        print(flush=True)

    def next_command(self, folder: Path) -> str:
        return f'npgpt translate --model {for_shell(folder)} --text "..."'


def gather_pairs(args: argparse.Namespace, origin: Checkpoint | None = None) -> TranslationRun:
    """What a new run needs, or one resumed from the checkpoint `origin`. Raises InputError or OSError."""
    start, dtype, paths = None, np.dtype(args.dtype or "float32"), args.data
    seed = args.seed or 0
    if origin:
        start, dtype, seed = origin.model, origin.model.parameters.dtype, origin.settings.seed
        paths = args.data or recorded_paths(origin.settings)
        require_agreement(args, {**properties(start), "dtype": str(dtype), "seed": seed}, origin.folder)
    elif args.init:
        start = Model(*load_model(args.init, dtype, EncoderDecoderConfig), load_tokenizer(args.init))
        require_agreement(args, properties(start), args.init)
    examples = read_pairs(paths)
    digest = hashlib.sha256(json.dumps([example[:2] for example in examples]).encode()).hexdigest()
    if origin and digest != origin.settings.sha256:
        raise InputError(f"{described_pairs(paths)}: not the pairs that the run was trained on, or changed since")
    tokenizer = start.tokenizer if start else new_tokenizer(args, examples)
    config = start.config if start else new_config(args, tokenizer)
    if args.dropout is not None:
        config = config.with_dropout(args.dropout)
    training, held_out = split(examples, seed)
    pairs = [encoded(some, tokenizer, config) for some in (training, held_out)]
    if longer := sum(count for _, count in pairs):
        more = ": --n-positions says how many may be read" if start is None else ""
        Progress().line(f"{longer:,} of {len(examples):,} pairs have a text of more than {config.n_positions:,} tokens, "
                        f"which is cut{more}")
    task = Translation(config, *(some for some, _ in pairs), seed=seed)
    run = TranslationRun(task, tokenizer, start, dtype, paths, digest)
    run.held_out, run.defaults = held_out, default_settings(args, config, start is not None)
    return run


def default_settings(args: argparse.Namespace, config: EncoderDecoderConfig, pretrained: bool) -> dict[str, object]:
    """The settings that differ from those of language models. With the schedule of Vaswani et al. 2017 the largest learning
    rate is that of their equation 3, (n_embd warmup)^-0.5.
    """
    rate = RATE_TIMES_WIDTH * (PRETRAINED if pretrained else 1) / config.n_embd
    if args.schedule == INVERSE_SQRT:
        steps = TrainingSettings.steps if args.steps is None else args.steps
        warmup = int(WARMUP * steps) if args.warmup is None else args.warmup
        rate = (config.n_embd * min(max(warmup, 1), LARGEST_COUNT)) ** -0.5
    return {"batch_size": BATCH_SIZE, "learning_rate": rate, "schedule": "cosine"}


def read_pairs(paths: Sequence[Path] | None) -> list[TranslationExample]:
    """The pairs of all files, or those that come with Python. Raises InputError for other examples, and for fewer than 2."""
    examples = [example for path in paths for example in read_examples(path)] if paths else python_summaries()
    if not all(isinstance(example, TranslationExample) for example in examples) or len(examples) < 2:
        raise InputError(f"{described_pairs(paths)}: two pairs or more are needed, in lines such as "
                         '{"source": "Good morning", "target": "Guten Morgen"}')
    return examples


def described_pairs(paths: Sequence[Path] | None) -> str:
    return described(paths) if paths else "docstrings of Python's library, and their first lines"


def split(examples: Sequence[TranslationExample],
          seed: int) -> tuple[list[TranslationExample], list[TranslationExample]]:
    """For training and for validation, which is drawn from the seed."""
    order = np.random.default_rng([seed, 3]).permutation(len(examples)).tolist()
    count = min(max(len(examples) // HELD_OUT, 1), MOST_HELD_OUT)
    return [examples[i] for i in sorted(order[count:])], [examples[i] for i in order[:count]]


def encoded(examples: Sequence[TranslationExample], tokenizer: Tokenizer,
            config: EncoderDecoderConfig) -> tuple[list[Pair], int]:
    """Pairs of ids, and how many of them were cut to the model's n_positions."""
    pairs, longer = [], 0
    for example in examples:
        try:
            whole = [token_ids(text, tokenizer, config) for text in example[:2]]
        except InputError as error:
            raise InputError(f"line {example.line}: {error}") from None
        longer += max(map(len, whole)) > config.n_positions
        pairs.append(Pair(*(cut(ids, config) for ids in whole)))
    return pairs, longer


def new_tokenizer(args: argparse.Namespace, examples: Sequence[TranslationExample]) -> Tokenizer:
    """One tokenizer for source and target."""
    text = "\n".join(side for example in examples for side in example[:2])
    if args.vocab_size is not None and args.tokenizer not in LEARNED:
        raise InputError(f"--vocab-size can be chosen with --tokenizer {' or '.join(LEARNED)}")
    if args.tokenizer in LEARNED:
        tokenizer = LEARNED[args.tokenizer](text, BPE_VOCABULARY if args.vocab_size is None else args.vocab_size)
    elif args.tokenizer == "byte":
        tokenizer = ByteTokenizer()
    else:
        tokenizer = with_special_tokens(CharacterTokenizer.of_text(text), UNKNOWN[:1])
    return with_special_tokens(tokenizer, (PAD, END))


def new_config(args: argparse.Namespace, tokenizer: Tokenizer) -> EncoderDecoderConfig:
    name = args.preset or PRESET
    special = {"pad_token_id": tokenizer.special_tokens[PAD], "eos_token_id": tokenizer.special_tokens[END]}
    config = preset(name, vocab_size=tokenizer.vocab_size, **special, **given(args, CHOSEN))
    if not isinstance(config, EncoderDecoderConfig):
        raise InputError(f"--preset {name} is not for --objective translate: choose --preset {PRESET}, for example")
    return config
