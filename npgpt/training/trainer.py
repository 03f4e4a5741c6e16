"""Trainer: the loop. Draw a batch, find the gradient, clip it, step; again."""
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import loss_and_gradients
from npgpt.text.corpus import random_batch, require_ids, require_length
from npgpt.training.adamw import AdamW, clip_scale, norm
from npgpt.training.schedule import learning_rate


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. Raises InputError, naming the setting and the rule."""
    steps: int = 1250
    batch_size: int = 12                        # sequences in a batch,
    accumulate: int = 1                         # and batches for one update
    learning_rate: float = 5e-3                 # its peak, after the warm-up; at 128 channels this suits
    min_learning_rate: float = 0.0
    warmup: int = 250                           # steps
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.99
    clip: float = 1.0                           # largest norm of a gradient; 0 means no limit
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("steps", 1), ("batch_size", 1), ("accumulate", 1), ("warmup", 0), ("seed", 0)):
            self.require(name, getattr(self, name) >= low, f"{low} or more")
        for name in ("learning_rate", "min_learning_rate", "weight_decay", "clip"):
            self.require(name, 0 <= getattr(self, name) < math.inf, "0 or more")
        for name in ("beta1", "beta2"):
            self.require(name, 0 <= getattr(self, name) < 1, "in [0, 1)")

    def require(self, name: str, holds: bool, rule: str) -> None:
        if not holds:
            raise InputError(f"{name} must be {rule}, not {getattr(self, name)!r}")


class Diverged(InputError):
    """The loss or the norm of its gradient is no longer a finite number. The parameters are those before."""


class Step(NamedTuple):
    """One update, as it was made. Losses are in nats a token."""
    number: int                                 # 1 .. steps
    loss: float
    gradient_norm: float                        # before clipping
    learning_rate: float


def train(parameters: np.ndarray, config: GPTConfig, settings: TrainingSettings, tokens: np.ndarray,
          gradients_of: Callable = loss_and_gradients, threads: int = 1) -> Iterator[Step]:
    """Train in place: each step that is asked for updates the parameters, and is reported.

    Batches and dropout draw from generators of their own, seeded by settings.seed, so that the same
    seed gives the same parameters bit for bit. gradients_of is model.gpt.loss_and_gradients, or what
    parallel.parallel_gradients makes of it; threads are those of the optimiser. Raises Diverged where the loss or the gradient's norm is
    not finite, and InputError where the tokens are fewer than a context or outside the vocabulary.
    """
    require_length(tokens, config.n_positions, "training text")
    batch_rng = np.random.default_rng([settings.seed, 1])
    dropout_rng = np.random.default_rng([settings.seed, 2])
    optimiser = AdamW(parameters, config, settings.beta1, settings.beta2, settings.weight_decay, threads=threads)

    def next_part() -> tuple[float, np.ndarray]:
        ids, targets = random_batch(tokens, settings.batch_size, config.n_positions, batch_rng)
        require_ids(ids, config.vocab_size)
        require_ids(targets, config.vocab_size)
        return gradients_of(ids, targets, parameters, config, dropout_rng, 1 / settings.accumulate)

    for step in range(settings.steps):
        loss, gradients = next_part()
        for _ in range(settings.accumulate - 1):
            part_loss, part_gradients = next_part()
            loss += part_loss
            gradients += part_gradients

        gradient_norm = norm(gradients)
        if not math.isfinite(loss + gradient_norm):
            raise Diverged(f"the loss was {loss} and the gradient's norm {gradient_norm} at step {step + 1}: "
                           "a lower learning rate, or a longer warm-up, may help")
        rate = learning_rate(step, settings.steps, settings.learning_rate, settings.min_learning_rate, settings.warmup)
        optimiser.update(parameters, gradients, rate, clip_scale(gradient_norm, settings.clip))
        del gradients                                          # or they would lie beside the next step's
        yield Step(step + 1, loss, gradient_norm, rate)
