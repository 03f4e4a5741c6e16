"""How well classes were predicted: accuracy, F1, confusion matrix, and Matthews' correlation coefficient.

All figures equal those of scikit-learn's sklearn.metrics with zero_division=0. The coefficient for more than two classes is
Gorodkin's (Comparing two K-category assignments by a K-category correlation coefficient, 2004).
"""
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npgpt.scoring.f1 import Scores, macro, require_pairs, scores, table, weighted

Label = str | int


class ClassificationReport(NamedTuple):
    """Everything follows from the confusion matrix. Prints as tables."""
    labels: list[Label]                         # (K,) sorted: all that are right or were predicted at least once
    confusion: np.ndarray                       # (K, K) how often the label of the row was predicted as that of the column

    @property
    def accuracy(self) -> float:
        return float(self.confusion.trace() / self.confusion.sum())

    @property
    def classes(self) -> dict[Label, Scores]:
        counts = zip(self.confusion.diagonal(), self.confusion.sum(axis=0), self.confusion.sum(axis=1))
        return {label: scores(*map(int, of_label)) for label, of_label in zip(self.labels, counts)}

    @property
    def macro(self) -> Scores:
        return macro(self.classes.values())

    @property
    def weighted(self) -> Scores:
        return weighted(self.classes.values())

    @property
    def matthews(self) -> float:
        """MCC = cov(actual, predicted) / sqrt(cov(actual, actual) cov(predicted, predicted)) of one-hot vectors: from -1
        to 1, and 0 where only one class is right, or was predicted.
        """
        N, actual, predicted = float(self.confusion.sum()), self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        variances = (N**2 - float(actual @ actual)) * (N**2 - float(predicted @ predicted))
        return (N * float(self.confusion.trace()) - float(actual @ predicted)) / math.sqrt(variances) if variances else 0.0

    def __str__(self) -> str:
        rows = {**self.classes, "macro average": self.macro, "weighted average": self.weighted}
        return "\n".join([f"accuracy  {self.accuracy:.4f}", f"MCC       {self.matthews:.4f}",
                          f"examples  {self.confusion.sum():,}", "", *table(rows), "", *self.confusion_lines()])

    def confusion_lines(self) -> list[str]:
        """The confusion matrix. Its columns have the order of its rows."""
        width = max(len(str(label)) for label in self.labels)
        column = max(len(f"{self.confusion.max():,}"), 3) + 2
        rows = [f"{label!s:{width}}" + "".join(f"{count:{column},}" for count in row)
                for label, row in zip(self.labels, self.confusion)]
        return ["confusion matrix: a row for each label, a column for each prediction, in the same order", *rows]

    def as_json(self) -> dict:
        """All figures, as JSON has them."""
        return {"accuracy": self.accuracy, "matthews": self.matthews,
                "macro": self.macro._asdict(), "weighted": self.weighted._asdict(),
                "classes": {str(label): of_label._asdict() for label, of_label in self.classes.items()},
                "labels": list(self.labels), "confusion": self.confusion.tolist()}


def classification_report(actual: Sequence[Label], predicted: Sequence[Label]) -> ClassificationReport:
    """Labels (N,) and what was predicted for them (N,); all are strings, or all are whole numbers."""
    require_pairs(actual, predicted)
    labels = sorted({*actual, *predicted})
    index, K = {label: i for i, label in enumerate(labels)}, len(labels)
    cells = [index[right] * K + index[chosen] for right, chosen in zip(actual, predicted)]
    return ClassificationReport(labels, np.bincount(cells, minlength=K * K).reshape(K, K))
