"""Evaluation: the mean loss over many batches."""
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from npgpt.layers.cross_entropy import IGNORED
from npgpt.tasks.task import Batch, Task


class Validation(NamedTuple):
    """What was measured on the validation data."""
    loss: float                                 # the mean over all targets
    score: float | None = None                  # the best model is that with the largest score; None: with the smallest loss
    others: Mapping[str, float] = MappingProxyType({})         # by name, such as the accuracy

    def better(self, other: "Validation") -> bool:
        """Whether this is better than another one. Of equal scores, that with the smaller loss is."""
        if self.score is None or other.score is None or self.score == other.score:
            return self.loss < other.loss
        return self.score > other.score


def evaluate(task: Task, parameters: np.ndarray, batches: Iterable[Batch]) -> float:
    """Mean loss over the targets of all batches: for language modelling, in nats a token."""
    total, count = 0.0, 0
    for loss, targets in batch_losses(task, parameters, batches):
        total += loss * targets
        count += targets
    return total / count


def batch_losses(task: Task, parameters: np.ndarray, batches: Iterable[Batch]) -> Iterator[tuple[float, int]]:
    """Mean loss and number of targets of each batch."""
    for batch in batches:
        yield float(task.loss(batch, parameters)), task.count(batch)


def bits_per_nat(batches: Iterable[Batch], token_bytes: Sequence[bytes]) -> float | None:
    """What a loss of one nat a token amounts to in bits a byte of text, over the targets of batches of language modelling:
    losses in bits a byte can be compared between tokenizers. None where tokens have no bytes.

    token_bytes: the bytes of each token, in the order of the ids.
    """
    sizes = np.array([len(token) for token in token_bytes])
    targets = np.concatenate([targets[targets != IGNORED] for _, targets in batches])
    size = sizes[targets].sum() if targets.max(initial=-1) < len(sizes) else 0
    return float(len(targets) / size / math.log(2)) if size else None
