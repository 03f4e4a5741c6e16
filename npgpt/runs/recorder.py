"""Recorder: writes a run's history and checkpoints, and makes the newest checkpoint the model of the run's folder."""
import math
import time
from pathlib import Path

from npgpt.files import remove_folder
from npgpt.interop.huggingface import holds_model, load
from npgpt.model.model import Model
from npgpt.runs.checkpoint import (CHECKPOINTS, Checkpoint, checkpoint_folders, remove_old_checkpoints, step_of,
                                   write_checkpoint)
from npgpt.runs.folder import publish, published, to_be_replaced
from npgpt.runs.metrics import METRICS_FILE, Metrics
from npgpt.runs.record import Best
from npgpt.runs.settings import RunSettings
from npgpt.tasks.task import Task
from npgpt.training.evaluation import Validation
from npgpt.training.trainer import Step, TrainingState

MINUTES = 5                  # between checkpoints, if no number of steps is given


class Recorder:
    """Keeps the newest few checkpoints, and the one with the best validation.

    origin: the checkpoint from which the run was resumed. Later ones, or those of a run that is replaced, are removed
    when the first checkpoint of this run is on the disk. bits_per_nat: factor from the loss in nats a token to bits a byte.
    """

    def __init__(self, folder: Path, state: TrainingState, model: Model, settings: RunSettings, task: Task,
                 origin: Checkpoint | None = None, bits_per_nat: float | None = None) -> None:
        self.folder, self.state, self.model, self.settings, self.task = folder, state, model, settings, task
        self.bits_per_nat = bits_per_nat
        self.replaced = origin.record["replaced"] if origin else to_be_replaced(folder)
        self.best: Best | None = origin and origin.best
        self.saved_step: int | None = origin and origin.step
        self.published_step: int | None = origin and step_of(published(folder, origin.folder, settings, origin.best))
        self.outdated = [path for path in checkpoint_folders(folder) if not origin or step_of(path) > origin.step]
        self.folder_was_empty = not origin and not holds_model(folder) and not self.outdated
        self.metrics = Metrics(folder, state.step)
        self.seconds = state.seconds           # of training, at the last step that was logged
        self.saved_at = time.monotonic()

    def log(self, step: Step, validation: Validation | None = None) -> bool:
        """Write a line about a step  ->  whether a checkpoint is due: in time, or for the best validation so far"""
        every = self.settings.checkpoint_every
        units = self.settings.accumulate * self.settings.batch_size * self.task.units_per_example
        speed = {f"{self.task.unit}_per_second": units / (self.state.seconds - self.seconds)}
        self.metrics.write(step, speed, self.state.seconds, self.measured(validation) if validation else {})
        self.seconds = self.state.seconds
        if validation and validation.better(self.best.validation if self.best else Validation(math.inf)):
            self.best = Best(step.number, validation.loss, validation.score)
            return True
        return step.number % every == 0 if every else time.monotonic() - self.saved_at > 60 * MINUTES

    def measured(self, validation: Validation) -> dict[str, float]:
        """A validation under the names of metrics.jsonl."""
        bits = {} if self.bits_per_nat is None else {"bits_per_byte": validation.loss * self.bits_per_nat}
        others = {f"validation_{name}": value for name, value in validation.others.items()}
        return {"validation_loss": validation.loss, **bits, **others}

    def save(self) -> None:
        """Write a checkpoint, make it or the best one the model of the run's folder, and remove those that are not kept.
        Raises OSError.
        """
        self.metrics.flush()
        newest = write_checkpoint(self.folder, self.state, self.model, self.settings, self.best, self.replaced,
                                  self.remove_outdated)
        chosen = published(self.folder, newest, self.settings, self.best)
        publish(chosen, self.folder, self.replaced)
        self.saved_step, self.published_step = self.state.step, step_of(chosen)
        remove_old_checkpoints(self.folder, self.saved_step, self.settings.keep_checkpoints, self.best)
        self.saved_at = time.monotonic()

    def published_model(self) -> Model:
        """The model of the run's folder."""
        if self.published_step == self.state.step:
            return self.model
        return load(self.folder)

    def remove_outdated(self) -> None:
        while self.outdated:
            remove_folder(self.outdated.pop())
        (self.folder / CHECKPOINTS / METRICS_FILE).unlink(missing_ok=True)  # of the run that is replaced
