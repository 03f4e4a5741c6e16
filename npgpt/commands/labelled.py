"""Fine-tuning on the command line: labelled examples, and a model with heads for them."""
import argparse
import dataclasses
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from npgpt.commands.arguments import OUT, for_shell
from npgpt.commands.labelled_data import DataSet, digest, read_data, task_names, texts
from npgpt.commands.objective import Objective
from npgpt.commands.progress import Progress
from npgpt.errors import InputError
from npgpt.interop.huggingface import holds_model, load_model
from npgpt.model.config import GPTConfig
from npgpt.model.heads import REGRESSION, Head, model_table
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.model.presets import preset
from npgpt.model.transfer import transferred
from npgpt.runs.checkpoint import Checkpoint
from npgpt.runs.settings import RunSettings
from npgpt.scoring.regression import pearson
from npgpt.tasks.fine_tuning import LM_WEIGHT, FineTuning
from npgpt.tasks.inputs import SPECIAL, special_ids
from npgpt.tasks.labelled import cut_lines, head_for, inputs_of
from npgpt.tasks.prediction import predictions, report
from npgpt.tasks.task import Batch
from npgpt.text.characters import UNKNOWN, CharacterTokenizer
from npgpt.text.examples import ChoiceExample, PairExample
from npgpt.text.tokenizer import Tokenizer, load_tokenizer
from npgpt.text.vocabulary import with_special_tokens
from npgpt.training.evaluation import Validation

DROPOUT = 0.1                                   # as in the paper
SHOWN = 60                                      # characters of a text in the next command


class FineTune(Objective):
    """Fine-tuning with one head or several."""

    name, command, length, examples = "finetune", "finetune", "epochs", "examples"
    task: FineTuning
    data: list[DataSet]                         # one for each head

    @property
    def heads(self) -> tuple[Head, ...]:
        return self.task.heads

    @property
    def bytes_in_memory(self) -> int:
        return sum(sequence.nbytes for inputs in (*self.task.training, *self.task.validation)
                   for example in inputs for sequence in example.sequences)

    def data_line(self) -> str:
        return "\n".join(f"data   {one.path}: {len(one.training):,} examples to train on, {len(one.validation):,} to "
                         f"validate on; {described(head)}" for one, head in zip(self.data, self.heads))

    def validate(self, parameters: np.ndarray, batches: Iterable[Batch]) -> Validation:
        """The loss, and for each head the accuracy or Pearson's correlation; their mean is the score."""
        total, examples, found = 0.0, 0, [[] for _ in self.heads]
        for batch in batches:
            loss, logits = self.task.loss_and_predictions(batch, parameters)
            total += loss * len(logits)
            examples += len(logits)
            regression = self.task.kind(batch) == REGRESSION
            found[batch.head[0]].append((batch.targets, logits[:, 0] if regression else logits.argmax(axis=1)))
        figures = {figure_name(head): figure(head, *map(np.concatenate, zip(*parts)))
                   for head, parts in zip(self.heads, found)}
        return Validation(total / examples, float(np.mean(np.nan_to_num([*figures.values()], nan=-1.0))), figures)

    def validated(self) -> str:
        return " and ".join(f"{len(one.validation):,} examples" + f" of {one.held_out}" * (one.held_out != one.path)
                            for one in self.data)

    def show_result(self, model: Model, settings: RunSettings) -> None:
        """Print the main figures of the validation data."""
        for which, (head, inputs) in enumerate(zip(self.heads, self.task.validation)):
            found = report(head, inputs, predictions(model, which, inputs))
            if head.kind == REGRESSION:
                figures = f"Pearson's correlation {found.pearson:.4f}, Spearman's {found.spearman:.4f}"
            else:
                figures = f"accuracy {found.accuracy:.4f}, macro F1 {found.macro.f1:.4f}"
            print(f"validation{f' of {head.name}' if head.name else ''}: {figures}", flush=True)

    def next_command(self, folder: Path) -> str:
        example = self.data[0].validation[0]
        command = f"npgpt classify --model {for_shell(folder)}" + f" --task {self.heads[0].name}" * (len(self.heads) > 1)
        if isinstance(example, ChoiceExample):
            return f"{command} --choices {' '.join(map(short, (example.context, *example.choices)))}"
        if isinstance(example, PairExample):
            return f"{command} --pair {short(example.sentence1)} {short(example.sentence2)}"
        return f"{command} --text {short(example.text)}"


def described(head: Head) -> str:
    labels = f", {len(head.labels)} labels" if head.labels else ""
    return f"{head.kind}{' in both orders' if head.both_orders else ''}{labels}"


def short(text: str) -> str:
    return shlex.quote(text if len(text) <= SHOWN and text.isprintable() else "a text")


def figure_name(head: Head) -> str:
    name = "correlation" if head.kind == REGRESSION else "accuracy"
    return f"{head.name}_{name}" if head.name else name


def figure(head: Head, targets: np.ndarray, predicted: np.ndarray) -> float:
    return pearson(targets, predicted) if head.kind == REGRESSION else float((targets == predicted).mean())


def gather_examples(args: argparse.Namespace, origin: Checkpoint | None = None) -> FineTune:
    """What a new run needs, or one resumed from the checkpoint `origin`. Raises InputError or OSError."""
    if origin:
        return resumed(args, origin)
    if not args.data:
        raise InputError("name the labelled examples with --data: JSON lines with text and label, for example")
    seed, dtype = args.seed or 0, np.dtype(args.dtype or "float32")
    data = read_data(args.data, args.validation, seed)
    heads = tuple(head_for(one.labelled, one.path, args.task, name) for one, name in zip(data, task_names(args.data)))
    parameters, source, tokenizer = origin_of(args, data, dtype)
    tokenizer = with_special_tokens(tokenizer, SPECIAL)
    config = dataclasses.replace(source, vocab_size=max(source.vocab_size, tokenizer.vocab_size),
                                 pad_token_id=special_ids(tokenizer).pad)
    config = with_dropout(config, DROPOUT if args.dropout is None else args.dropout)
    if parameters is None:
        parameters = initial_parameters(model_table(config, heads), seed, dtype)
    else:
        if args.transfer_layers is not None and not 0 <= args.transfer_layers <= config.n_layer:
            raise InputError(f"--transfer-layers must be 0 to {config.n_layer}, the number of the model's layers")
        parameters = transferred(parameters, source, config, heads, seed, args.transfer_layers)
    lm_weight = LM_WEIGHT if args.lm_weight is None else args.lm_weight
    return objective_of(Model(parameters, config, tokenizer, heads), data, args.data, digest(args.data, args.validation),
                        lm_weight, bool(args.evenly), seed)


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
        model = model._replace(config=with_dropout(model.config, args.dropout))
    data = read_data(paths, validation, settings.seed)
    lm_weight = settings.lm_weight if args.lm_weight is None else args.lm_weight
    return objective_of(model, data, paths, found, lm_weight, settings.evenly, settings.seed)


def objective_of(model: Model, data: list[DataSet], paths: list[Path], sha256: str, lm_weight: float, evenly: bool,
                 seed: int) -> FineTune:
    context, tokenizer, heads = model.config.n_positions, model.tokenizer, model.heads
    training, validation = [], []
    for one, head in zip(data, heads):
        training.append(inputs_of(one.training, head, tokenizer, context, one.path))
        validation.append(inputs_of(one.validation, head, tokenizer, context, one.held_out))
        for examples, inputs, path in ((one.training, training[-1], one.path),
                                       (one.validation, validation[-1], one.held_out)):
            if message := cut_lines(examples, inputs, context, path):
                Progress().line(message)
    task = FineTuning(model.config, heads, training, validation, model.config.pad_token_id, lm_weight, evenly, seed)
    objective = FineTune(task, tokenizer, model, model.parameters.dtype, paths, sha256)
    objective.data = data
    return objective


def origin_of(args: argparse.Namespace, data: Sequence[DataSet],
              dtype: np.dtype) -> tuple[np.ndarray | None, GPTConfig, Tokenizer]:
    """The model to start from: its parameters, or None to start from new ones; its configuration and its tokenizer."""
    if args.preset and not args.from_scratch:
        raise InputError("--preset is for --from-scratch: a pretrained model has its own sizes")
    init = args.init or (OUT if holds_model(OUT) else None)
    if init is None and not args.from_scratch:
        raise InputError(f"there is no model in {OUT}: npgpt train makes one, --init names another, and --from-scratch "
                         "starts without one")
    if args.from_scratch and (args.preset or init is None):
        tokenizer = load_tokenizer(init) if init else CharacterTokenizer.of_text("".join(texts(data)))
        tokenizer = with_unknown(tokenizer)
        return None, preset(args.preset or "small", vocab_size=tokenizer.vocab_size, bos_token_id=None,
                            eos_token_id=None), tokenizer
    parameters, config = load_model(init, dtype)
    if not isinstance(config, GPTConfig):
        raise InputError(f"{init} is not a GPT: only these can be fine-tuned so")
    return None if args.from_scratch else parameters, config, with_unknown(load_tokenizer(init))


def with_unknown(tokenizer: Tokenizer) -> Tokenizer:
    """With a token for unknown characters, if each character is a token."""
    return with_special_tokens(tokenizer, UNKNOWN[:1]) if isinstance(tokenizer, CharacterTokenizer) else tokenizer


def with_dropout(config: GPTConfig, rate: float) -> GPTConfig:
    return dataclasses.replace(config, resid_pdrop=rate, embd_pdrop=rate, attn_pdrop=rate)
