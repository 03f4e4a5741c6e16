"""Fine-tuning on the command line: labelled examples, and a model with heads for them."""
import shlex
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from npgpt.commands.arguments import for_shell
from npgpt.commands.labelled_data import DataSet
from npgpt.commands.objective import Objective
from npgpt.model.heads import REGRESSION, Head
from npgpt.model.model import Model
from npgpt.runs.settings import RunSettings
from npgpt.scoring.regression import pearson
from npgpt.tasks.fine_tuning import FineTuning
from npgpt.tasks.prediction import predictions, report
from npgpt.tasks.task import Batch
from npgpt.text.examples import ChoiceExample, PairExample
from npgpt.training.evaluation import Validation

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
