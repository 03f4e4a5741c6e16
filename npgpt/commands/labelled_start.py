"""What `npgpt finetune` starts from: labelled examples, and a pretrained model that gets heads for them."""
import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from npgpt.commands.arguments import OUT, for_shell
from npgpt.commands.labelled import FineTune
from npgpt.commands.labelled_data import DataSet, digest, read_data, task_names, texts
from npgpt.commands.labelled_tokens import FineTuneTokens
from npgpt.commands.progress import Progress
from npgpt.errors import InputError
from npgpt.interop.huggingface import holds_model, load_model
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import GPTConfig, TransformerConfig
from npgpt.model.heads import Head, model_table
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.model.presets import preset
from npgpt.model.transfer import transferred
from npgpt.runs.checkpoint import Checkpoint
from npgpt.tasks import masking
from npgpt.tasks.fine_tuning import LM_WEIGHT, FineTuning
from npgpt.tasks.inputs import SPECIAL
from npgpt.tasks.labelled import cut_lines, far_from_zero, head_for, inputs_of
from npgpt.tasks.token_fine_tuning import TokenFineTuning
from npgpt.tasks.token_prediction import KINDS as TOKEN_KINDS, framing, inputs_of_tokens
from npgpt.text.characters import UNKNOWN, CharacterTokenizer
from npgpt.text.tokenizer import Tokenizer, load_tokenizer
from npgpt.text.vocabulary import with_special_tokens

DROPOUT = 0.1                                   # as in the paper


def gather_examples(args: argparse.Namespace, origin: Checkpoint | None = None) -> FineTune:
    """What a new run needs, or one resumed from the checkpoint `origin`. Raises InputError or OSError."""
    if origin:
        return resumed(args, origin)
    if not args.data:
        raise InputError("name the labelled examples with --data: JSON lines with text and label, for example")
    seed, dtype = args.seed or 0, np.dtype(args.dtype or "float32")
    data = read_data(args.data, args.validation, seed)
    heads = tuple(head_for(one.labelled, one.path, args.task, name) for one, name in zip(data, task_names(args.data)))
    of_tokens = require_possible(args, heads)
    parameters, source, tokenizer = origin_of(args, data, dtype, of_tokens)
    tokenizer = with_special_tokens(tokenizer, special_tokens(source))
    config = dataclasses.replace(source, vocab_size=max(source.vocab_size, tokenizer.vocab_size),
                                 pad_token_id=framing(tokenizer, source).pad)
    config = config.with_dropout(DROPOUT if args.dropout is None else args.dropout)
    if parameters is None:
        parameters = initial_parameters(model_table(config, heads), seed, dtype)
    else:
        if args.transfer_layers is not None and not 0 <= args.transfer_layers <= config.n_layer:
            raise InputError(f"--transfer-layers must be 0 to {config.n_layer}, the number of the model's layers")
        parameters = transferred(parameters, source, config, heads, seed, args.transfer_layers)
    lm_weight = LM_WEIGHT if args.lm_weight is None else args.lm_weight
    return objective_of(Model(parameters, config, tokenizer, heads), data, args.data, digest(args.data, args.validation),
                        lm_weight, bool(args.evenly), seed)


def require_possible(args: argparse.Namespace, heads: Sequence[Head]) -> bool:
    """Whether the heads are for tokens. Raises InputError if such a head is not alone, or an auxiliary loss is asked for."""
    of_tokens = [head for head in heads if head.kind in TOKEN_KINDS]
    if of_tokens and len(heads) > 1:
        raise InputError(f"{of_tokens[0].kind} is trained alone: name one file with --data")
    if of_tokens and args.lm_weight:
        raise InputError(f"--lm-weight is for other tasks: {of_tokens[0].kind} has no auxiliary loss")
    return bool(of_tokens)


def resumed(args: argparse.Namespace, origin: Checkpoint) -> FineTune:
    settings, model = origin.settings, origin.model
    if settings.objective != FineTune.name:
        raise InputError(f"{args.resume} is a run of npgpt train: resume it with npgpt train --resume "
                         f"{for_shell(args.resume)}")
    for flag, given in (("--task", args.task), ("--seed", args.seed), ("--dtype", args.dtype), ("--preset", args.preset),
                        ("--from-scratch", args.from_scratch), ("--transfer-layers", args.transfer_layers),
                        ("--evenly", args.evenly)):
        if given is not None and given is not False:
            raise InputError(f"{flag} cannot be changed when a run is resumed: start a new one in another folder")
    paths = args.data or [*map(Path, settings.data)]
    validation = args.validation or (settings.validation and [*map(Path, settings.validation)])
    found = digest(paths, validation)
    if found != settings.sha256:
        raise InputError(f"{', '.join(map(str, paths))}: not the data that the run was trained on, or changed since")
    if args.dropout is not None:
        model = model._replace(config=model.config.with_dropout(args.dropout))
    data = read_data(paths, validation, settings.seed)
    lm_weight = settings.lm_weight if args.lm_weight is None else args.lm_weight
    return objective_of(model, data, paths, found, lm_weight, settings.evenly, settings.seed)


def objective_of(model: Model, data: list[DataSet], paths: list[Path], sha256: str, lm_weight: float, evenly: bool,
                 seed: int) -> FineTune:
    config, tokenizer, heads = model.config, model.tokenizer, model.heads
    context, of_tokens = config.n_positions, heads[0].kind in TOKEN_KINDS
    training, validation = [], []
    for one, head in zip(data, heads):
        for inputs, examples, path in ((training, one.training, one.path), (validation, one.validation, one.held_out)):
            inputs.append(inputs_of_tokens(examples, head, tokenizer, config, path) if of_tokens else
                          inputs_of(examples, head, tokenizer, context, path))
        for examples, inputs, path in ((one.training, training[-1], one.path),
                                       (one.validation, validation[-1], one.held_out)):
            if message := cut_lines(examples, inputs, context, path):
                Progress().line(message)
        if message := far_from_zero(one.training, head, one.path):
            Progress().line(message)
    if of_tokens:
        task = TokenFineTuning(config, heads[0], training[0], validation[0], seed)
    else:
        task = FineTuning(config, heads, training, validation, config.pad_token_id, lm_weight, evenly, seed)
    objective = (FineTuneTokens if of_tokens else FineTune)(task, tokenizer, model, model.parameters.dtype, paths, sha256)
    objective.data = data
    return objective


def origin_of(args: argparse.Namespace, data: Sequence[DataSet], dtype: np.dtype,
              of_tokens: bool) -> tuple[np.ndarray | None, TransformerConfig, Tokenizer]:
    """The model to start from: its parameters, or None to start from new ones; its configuration and its tokenizer. Heads
    for tokens can stand on a BERT too.
    """
    if args.preset and not args.from_scratch:
        raise InputError("--preset is for --from-scratch: a pretrained model has its own sizes")
    init = args.init or (OUT if holds_model(OUT) else None)
    if init is None and not args.from_scratch:
        raise InputError(f"there is no model in {OUT}: npgpt train makes one, --init names another, and --from-scratch "
                         "starts without one")
    if args.from_scratch and (args.preset or init is None):
        tokenizer = with_unknown(load_tokenizer(init) if init else CharacterTokenizer.of_text("".join(texts(data))))
        config = preset(args.preset or ("bert-small" if of_tokens else "small"), vocab_size=tokenizer.vocab_size,
                        bos_token_id=None, eos_token_id=None, pad_token_id=None)
        if isinstance(config, BertConfig) and not of_tokens:
            raise InputError(f"--preset {args.preset} is a BERT, which can be trained for {' and '.join(TOKEN_KINDS)} only")
        return None, config, tokenizer
    parameters, config = load_model(init, dtype, (GPTConfig, BertConfig) if of_tokens else GPTConfig)
    return None if args.from_scratch else parameters, config, with_unknown(load_tokenizer(init))


def special_tokens(config: TransformerConfig) -> tuple[str, ...]:
    """Those that a model needs: BERT's own, or those of GPT-1's input transformations."""
    return masking.SPECIAL if isinstance(config, BertConfig) else SPECIAL


def with_unknown(tokenizer: Tokenizer) -> Tokenizer:
    """With a token for unknown characters, if each character is a token."""
    if not isinstance(tokenizer, CharacterTokenizer) or tokenizer.unknown:
        return tokenizer
    return with_special_tokens(tokenizer, UNKNOWN[:1])
