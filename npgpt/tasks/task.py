"""What every task has: the interface that training, evaluation, gradient checks and trace use."""
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from npgpt.model.config import GPTConfig
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import Group

Batch = tuple[np.ndarray, ...]      # arrays with the examples along their first axis; a slice of each is a smaller batch


class Task(Protocol):
    config: GPTConfig
    table: Group                    # describes all parameters, those of the head too
    unit: str                       # in which its speed is told: tokens, or examples
    units_per_example: int          # how many an example has, for the same purpose
    uniform_loss: float             # of a uniform guess: a model whose loss stays above it has diverged

    def with_config(self, config: GPTConfig) -> "Task":
        """The same task for a model of another size, without data."""

    def largest_batch(self, size: int) -> Batch:
        """As large as a batch of `size` examples can be, with zeros for ids. It need not take memory."""

    def training_batch(self, number: int, size: int, rng: np.random.Generator) -> Batch:
        """Batch 0, 1, ... of training, with `size` examples. A task that trains in epochs tells by the number where in an
        epoch it is; one that does not draws each from rng.
        """

    def validation_batches(self, size: int | None = None) -> Iterator[Batch]:
        """The validation data, or a sample of it, in batches of about `size` examples: the same at every call."""

    def count(self, batch: Batch) -> int:
        """How many targets of a batch count. Its loss is the mean over them."""

    def loss(self, batch: Batch, parameters: np.ndarray, rng: np.random.Generator | None = None) -> np.generic:
        """Mean loss over the targets that count. parameters: the flat vector. Dropout acts only where rng is given."""

    def loss_and_gradients(self, batch: Batch, parameters: np.ndarray, rng: np.random.Generator | None = None,
                           fraction: float = 1.0, out: np.ndarray | None = None,
                           layers: Layers = PLAIN) -> tuple[float, np.ndarray]:
        """The loss, and its gradients as one flat vector in the layout of parameters.

        fraction: of a larger batch's targets, how many are in this part of it. Loss and gradients are multiplied by
        it, so that those of the parts add up to those of the whole. out: a vector to write the gradients into.
        """
