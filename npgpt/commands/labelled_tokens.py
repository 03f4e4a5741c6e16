"""Fine-tuning on the command line for heads that tag words, or find answers in a text."""
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from npgpt.commands.arguments import for_shell
from npgpt.commands.labelled import FineTune, short
from npgpt.model.heads import SPAN
from npgpt.model.model import Model
from npgpt.runs.settings import RunSettings
from npgpt.scoring.answers import AnswerReport
from npgpt.tasks.task import Batch
from npgpt.tasks.token_fine_tuning import TokenFineTuning, by_length
from npgpt.tasks.token_prediction import Report, prediction, token_predictions, token_report
from npgpt.training.evaluation import Validation


class FineTuneTokens(FineTune):
    """Fine-tuning with a head for tagging or spans."""

    task: TokenFineTuning

    @property
    def bytes_in_memory(self) -> int:
        return sum(array.nbytes for example in (*self.task.training, *self.task.validation)
                   for array in example if isinstance(array, np.ndarray))

    def validate(self, parameters: np.ndarray, batches: Iterable[Batch]) -> Validation:
        """The loss; and the F1 of entities, or the share of exact answers, which is the score."""
        head, examples, inputs = self.heads[0], self.data[0].validation, self.task.validation
        total, targets, order, found = 0.0, 0, iter(by_length(inputs)), {}
        for batch in batches:
            loss, logits = self.task.loss_and_logits(batch, parameters)
            total += loss * self.task.count(batch)
            targets += self.task.count(batch)
            found |= {i: prediction(head, row, examples[i], inputs[i]) for row, i in zip(logits, order)}
        name, score = main_figure(token_report(head, examples, [found[i] for i in range(len(examples))]))
        return Validation(total / targets, score, {name: score})

    def show_result(self, model: Model, settings: RunSettings) -> None:
        """Print all figures of the validation data."""
        examples = self.data[0].validation
        answers = token_predictions(model, examples, self.task.validation)
        print(token_report(self.heads[0], examples, answers), flush=True)

    def next_command(self, folder: Path) -> str:
        example = self.data[0].validation[0]
        asked = (f"--pair {short(example.question)} {short(example.context)}" if self.heads[0].kind == SPAN else
                 f"--text {short(' '.join(example.tokens))}")
        return f"npgpt classify --model {for_shell(folder)} {asked}"


def main_figure(report: Report) -> tuple[str, float]:
    return ("exact_match", report.exact_match) if isinstance(report, AnswerReport) else ("F1", report.micro.f1)
