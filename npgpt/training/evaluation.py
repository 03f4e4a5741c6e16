"""Evaluation: the mean loss over many batches."""
from collections.abc import Iterable, Iterator

import numpy as np

from npgpt.tasks.task import Batch, Task


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
