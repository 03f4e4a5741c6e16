"""Trainer: the loop. Draw a batch, compute its gradients, clip them, update the parameters; repeat."""
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.tasks.task import Task
from npgpt.training.adamw import clip_scale
from npgpt.training.optimiser import Optimiser
from npgpt.training.schedule import SCHEDULES
from npgpt.training.settings import TrainingSettings

HISTORY = 10                                    # gradient norms that are kept, to be shown if a step is bad


class Diverged(InputError):
    """The loss or the gradients' norm became NaN or infinite. The parameters are those before that step."""


class Step(NamedTuple):
    """One update. The loss is the mean over its targets: for language modelling, in nats a token."""
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
    """All that the next step depends on, besides settings and data: restored, training continues bit for bit."""
    parameters: np.ndarray
    optimiser: Optimiser                        # both moments, and the number of updates
    batch_rng: np.random.Generator              # draws batches
    dropout_rng: np.random.Generator            # draws dropout masks
    step: int = 0                               # steps made, bad ones included
    skipped: int = 0                            # bad ones among them
    seconds: float = 0.0                        # that the steps took
    norms: list[float] = field(default_factory=list)          # of the last few gradients


def initial_state(parameters: np.ndarray, task: Task, settings: TrainingSettings, threads: int = 1) -> TrainingState:
    """What training starts with. The parameters are trained in place; threads are those of the optimiser."""
    optimiser = Optimiser(parameters, task.table, settings.beta1, settings.beta2, settings.weight_decay, threads=threads)
    return TrainingState(parameters, optimiser, np.random.default_rng([settings.seed, 1]),
                         np.random.default_rng([settings.seed, 2]))


def train(state: TrainingState, task: Task, settings: TrainingSettings,
          loss_and_gradients: Callable | None = None) -> Iterator[Step]:
    """Train the state in place, up to step number settings.steps. A step is made when it is taken from the iterator.

    loss_and_gradients is the task's own by default, or that of parallel.data_parallel. With the same seed and the same
    loss_and_gradients, the parameters are the same bit for bit.

    A step whose loss or gradients' norm is NaN or infinite changes neither parameters nor moments, but counts for the
    learning rate. At most settings.skip_bad_steps of them are reported as Step.bad. The next raises Diverged, and so
    does the first if a parameter itself is NaN or infinite. Raises InputError if a batch does not fit the model.
    """
    loss_and_gradients = loss_and_gradients or task.loss_and_gradients
    gradients = np.empty_like(state.parameters)
    part = np.empty_like(gradients) if settings.accumulate > 1 else None
    while state.step < settings.steps:
        start = time.perf_counter()
        batches = [task.training_batch(settings.accumulate * state.step + i, settings.batch_size, state.batch_rng)
                   for i in range(settings.accumulate)]
        targets = max(sum(map(task.count, batches)), 1)
        loss = 0.0
        for i, batch in enumerate(batches):
            fraction, out = task.count(batch) / targets, gradients if i == 0 else part
            part_loss, _ = loss_and_gradients(batch, state.parameters, state.dropout_rng, fraction, out)
            loss += part_loss
            if i > 0:
                gradients += part
        rate = SCHEDULES[settings.schedule](state.step, settings.steps, settings.learning_rate, settings.min_learning_rate,
                                            settings.warmup)
        step = Step(state.step + 1, loss, state.optimiser.norm(gradients), rate)
        if not step.bad:
            state.optimiser.update(state.parameters, gradients, rate, clip_scale(step.gradient_norm, settings.clip))
        elif state.skipped < settings.skip_bad_steps and np.isfinite(state.parameters).all():
            state.skipped += 1
        else:
            raise Diverged(explanation(step, state))
        state.norms = [*state.norms, step.gradient_norm][-HISTORY:]
        state.step = step.number
        state.seconds += time.perf_counter() - start
        yield step


def explanation(step: Step, state: TrainingState) -> str:
    """Of a bad step: its loss and norm, the norms before it, and how many parameters are damaged."""
    before = f" (norms before it: {', '.join(f'{norm:.3g}' for norm in state.norms)})" if state.norms else ""
    damaged = np.count_nonzero(~np.isfinite(state.parameters))
    return (f"the loss was {step.loss} and the gradients' norm {step.gradient_norm} at step {step.number}{before}"
            f"{f', with {damaged:,} parameters NaN or infinite' if damaged else ''}: a lower learning rate, or a longer "
            "warm-up, may help")
