"""Trainer: the loop. Draw a batch, find the gradient, clip it, step; again."""
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.model.config import GPTConfig, is_integer, is_number
from npgpt.model.gpt import loss_and_gradients
from npgpt.text.corpus import random_batch, require_ids, require_length
from npgpt.training.adamw import AdamW, clip_scale, norm
from npgpt.training.schedule import learning_rate

HISTORY = 10                                    # norms that are remembered, to tell how it came to a bad step
MOST = 10**9                                    # of what is counted: Python's integers have no limit, NumPy's sizes do


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
    skip_bad_steps: int = 0                     # how many steps without a finite loss and norm are passed over

    def __post_init__(self) -> None:
        for name, low in (("steps", 1), ("batch_size", 1), ("accumulate", 1), ("warmup", 0), ("seed", 0),
                          ("skip_bad_steps", 0)):
            self.require(name, is_integer(getattr(self, name)) and getattr(self, name) >= low, f"{low} or more")
            self.require(name, name == "seed" or getattr(self, name) <= MOST, f"at most {MOST:,}")
        for name in ("learning_rate", "min_learning_rate", "weight_decay", "clip"):
            self.require(name, is_number(getattr(self, name)) and getattr(self, name) >= 0, "0 or more")
        for name in ("beta1", "beta2"):
            self.require(name, is_number(getattr(self, name)) and 0 <= getattr(self, name) < 1, "in [0, 1)")

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

    @property
    def bad(self) -> bool:
        """Whether loss or norm are no finite numbers. Such a step changes nothing."""
        return not math.isfinite(self.loss + self.gradient_norm)


@dataclass
class TrainingState:
    """All that the next step depends on, beside settings and data: who saves it and brings it back goes on bit for bit."""
    parameters: np.ndarray
    optimiser: AdamW                            # both moments, and the number of updates
    batch_rng: np.random.Generator              # draws the places of batches in the text,
    dropout_rng: np.random.Generator            # and this one what dropout drops
    step: int = 0                               # steps made, bad ones counted too
    skipped: int = 0                            # bad ones among them
    seconds: float = 0.0                        # that they took
    norms: list[float] = field(default_factory=list)          # of the last few gradients


def initial_state(parameters: np.ndarray, config: GPTConfig, settings: TrainingSettings, threads: int = 1) -> TrainingState:
    """What training starts with. The parameters are trained in place; threads are those of the optimiser."""
    return TrainingState(parameters,
                         AdamW(parameters, config, settings.beta1, settings.beta2, settings.weight_decay, threads=threads),
                         np.random.default_rng([settings.seed, 1]), np.random.default_rng([settings.seed, 2]))


def train(state: TrainingState, config: GPTConfig, settings: TrainingSettings, tokens: np.ndarray,
          gradients_of: Callable = loss_and_gradients) -> Iterator[Step]:
    """Train the state in place: each step that is asked for is made, and reported, until settings.steps are.

    Batches and dropout draw from the state's generators, so that the same seed gives the same parameters
    bit for bit. gradients_of is model.gpt.loss_and_gradients, or what parallel.parallel_gradients makes of it.

    A step whose loss or gradient's norm is not finite leaves parameters and moments as they are. Its batch
    is passed over, and the learning rate goes on as if it had been made. At most settings.skip_bad_steps
    are reported as Step.bad; the next raises Diverged, and so does the first where the parameters themselves are
    not finite: every step after it would be bad too. Raises InputError where the tokens are fewer than a context
    or outside the vocabulary.
    """
    require_length(tokens, config.n_positions, "training text")
    while state.step < settings.steps:
        start = time.perf_counter()
        loss, gradients, share = 0.0, None, 1 / settings.accumulate
        for _ in range(settings.accumulate):
            ids, targets = random_batch(tokens, settings.batch_size, config.n_positions, state.batch_rng)
            require_ids(ids, config.vocab_size)
            require_ids(targets, config.vocab_size)
            part_loss, part = gradients_of(ids, targets, state.parameters, config, state.dropout_rng, share)
            loss += part_loss
            gradients = part if gradients is None else np.add(gradients, part, out=gradients)
            del part                                           # or it would lie beside the next one
        rate = learning_rate(state.step, settings.steps, settings.learning_rate, settings.min_learning_rate,
                             settings.warmup)
        step = Step(state.step + 1, loss, norm(gradients), rate)
        if not step.bad:
            state.optimiser.update(state.parameters, gradients, rate, clip_scale(step.gradient_norm, settings.clip))
        elif state.skipped < settings.skip_bad_steps and np.isfinite(state.parameters).all():
            state.skipped += 1
        else:
            raise Diverged(f"the loss was {loss} and the gradient's norm {step.gradient_norm} at step {step.number}"
                           f"{history(state.norms)}{ruin(state.parameters)}: a lower learning rate, or a longer warm-up, may help")
        del gradients                                          # or they would lie beside the next step's
        state.norms = [*state.norms, step.gradient_norm][-HISTORY:]
        state.step = step.number
        state.seconds += time.perf_counter() - start
        yield step


def ruin(parameters: np.ndarray) -> str:
    """What is wrong with the parameters, for a message."""
    bad = np.count_nonzero(~np.isfinite(parameters))
    return f", with {bad:,} parameters that are no finite numbers" if bad else ""


def history(norms: list[float]) -> str:
    """How large the gradients were before, for a message."""
    return f" (norms before it: {', '.join(f'{norm:.3g}' for norm in norms)})" if norms else ""
