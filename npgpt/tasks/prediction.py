"""Predictions: what a fine-tuned model answers, with probabilities, and how good its answers are."""
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from npgpt.layers.softmax import softmax
from npgpt.model.heads import REGRESSION, Head
from npgpt.model.model import Model
from npgpt.scoring.classification import ClassificationReport, classification_report
from npgpt.scoring.regression import RegressionReport, regression_report
from npgpt.tasks.fine_tuning import FineTuning
from npgpt.tasks.inputs import Inputs

Report = ClassificationReport | RegressionReport


class Prediction(NamedTuple):
    """The answer to one example."""
    answer: str | int | float                   # a label, the index of a choice, or a number
    probabilities: dict[str | int, float]       # of every label or choice, the likeliest first; none for a number


def predictions(model: Model, which: int, inputs: Sequence[Inputs],
                done: Callable[[int], object] = lambda examples: None) -> list[Prediction]:
    """The answers of head number `which` to all examples. done: called with the number of examples so far."""
    task, head = FineTuning(model.config, model.heads, lm_weight=0.0), model.heads[which]
    found, count = {}, 0
    for batch, chosen in task.batches(which, inputs):
        found |= {i: prediction(head, logits) for i, logits in zip(chosen, task.predictions(batch, model.parameters))}
        count += len(chosen)
        done(count)
    return [found[i] for i in range(len(inputs))]


def prediction(head: Head, logits: np.ndarray) -> Prediction:
    """The answer of a head with logits (K,), -inf for choices that the example does not have."""
    if head.kind == REGRESSION:
        return Prediction(float(logits[0]), {})
    shares, _ = softmax(logits.astype(np.float64), mask=np.isfinite(logits))
    names = head.labels or range(np.count_nonzero(np.isfinite(logits)))
    likeliest = np.argsort(-shares, kind="stable")[:len(names)].tolist()
    return Prediction(names[likeliest[0]], {names[i]: float(shares[i]) for i in likeliest})


def report(head: Head, inputs: Sequence[Inputs], answers: Sequence[Prediction]) -> Report:
    """The figures of the answers, compared with the targets of the examples."""
    actual = [one.target for one in inputs]
    predicted = [one.answer for one in answers]
    if head.kind == REGRESSION:
        return regression_report(actual, predicted)
    return classification_report([head.labels[i] for i in actual] if head.labels else actual, predicted)
