"""Trainer: the loop. Draw a batch, compute its gradients, clip them, update the parameters; repeat."""
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.parallel.optimiser import Optimiser
from npgpt.tasks.task import Task
from npgpt.training.adamw import clip_scale
from npgpt.training.schedule import learning_rate
from npgpt.training.settings import TrainingSettings

HISTORY = 10                                    # gradient norms that are kept, to show what preceded a bad step


class Diverged(InputError):
    """The loss or its gradients' norm became NaN or infinite. The parameters are those from before the step."""


class Step(NamedTuple):
    """One update, as it was made. The loss is the mean over its targets: for language modelling, in nats a token."""
    number: int                                 # 1 .. steps
    loss: float
    gradient_norm: float                        # before clipping
    learning_rate: float

    @property
    def bad(self) -> bool:
        """Whether loss or norm is NaN or infinite. Such a step changes nothing."""
        return not math.isfinite(self.loss + self.gradient_norm)


@dataclass
class TrainingState:
    """All that the next step depends on, besides settings and data. Saved and restored, training continues bit for bit."""
    parameters: np.ndarray
    optimiser: Optimiser                        # both moments, and the number of updates
    batch_rng: np.random.Generator              # draws batches,
    dropout_rng: np.random.Generator            # and this one what dropout drops
    step: int = 0                               # steps made, bad ones counted too
    skipped: int = 0                            # bad ones among them
    seconds: float = 0.0                        # that they took
    norms: list[float] = field(default_factory=list)          # of the last few gradients


def initial_state(parameters: np.ndarray, task: Task, settings: TrainingSettings, threads: int = 1) -> TrainingState:
    """What training starts with. The parameters are trained in place; threads are those of the optimiser."""
    optimiser = Optimiser(parameters, task.table, settings.beta1, settings.beta2, settings.weight_decay, threads=threads)
    return TrainingState(parameters, optimiser, np.random.default_rng([settings.seed, 1]),
                         np.random.default_rng([settings.seed, 2]))


def train(state: TrainingState, task: Task, settings: TrainingSettings,
          loss_and_gradients: Callable | None = None) -> Iterator[Step]:
    """Train the state in place. Every step that is taken from the iterator is made, until settings.steps are.

    Batches and dropout draw from the state's generators, so that the same seed gives the same parameters bit for bit.
    loss_and_gradients is the task's own by default, or one of parallel.data_parallel.

    A step whose loss or gradients' norm is NaN or infinite leaves parameters and moments as they are. Its batch is
    skipped, and the learning rate continues as if it had been made. At most settings.skip_bad_steps such steps are
    reported as Step.bad; the next raises Diverged. So does the first where the parameters themselves are NaN or
    infinite, because every step after it would be bad too. Raises InputError where a batch does not fit the model.
    """
    loss_and_gradients = loss_and_gradients or task.loss_and_gradients
    gradients = np.empty_like(state.parameters)
    part = np.empty_like(gradients) if settings.accumulate > 1 else None
    while state.step < settings.steps:
        start = time.perf_counter()
        loss, fraction = 0.0, 1 / settings.accumulate
        for i in range(settings.accumulate):
            batch = task.random_batch(settings.batch_size, state.batch_rng)
            out = gradients if i == 0 else part
            part_loss, _ = loss_and_gradients(batch, state.parameters, state.dropout_rng, fraction, out)
            loss += part_loss
            if i > 0:
                gradients += part
        rate = learning_rate(state.step, settings.steps, settings.learning_rate, settings.min_learning_rate,
                             settings.warmup)
        step = Step(state.step + 1, loss, state.optimiser.norm(gradients), rate)
        if not step.bad:
            state.optimiser.update(state.parameters, gradients, rate, clip_scale(step.gradient_norm, settings.clip))
        elif state.skipped < settings.skip_bad_steps and np.isfinite(state.parameters).all():
            state.skipped += 1
        else:
            raise Diverged(f"the loss was {loss} and the gradients' norm {step.gradient_norm} at step {step.number}"
                           f"{history(state.norms)}{damage(state.parameters)}: a lower learning rate, or a longer warm-up, "
                           "may help")
        state.norms = [*state.norms, step.gradient_norm][-HISTORY:]
        state.step = step.number
        state.seconds += time.perf_counter() - start
        yield step


def damage(parameters: np.ndarray) -> str:
    """How many parameters are NaN or infinite, for a message."""
    bad = np.count_nonzero(~np.isfinite(parameters))
    return f", with {bad:,} parameters NaN or infinite" if bad else ""


def history(norms: list[float]) -> str:
    """How large the gradients were before, for a message."""
    return f" (norms before it: {', '.join(f'{norm:.3g}' for norm in norms)})" if norms else ""
