"""Recorder: what a run leaves on the disk as it goes: its history, its checkpoints, the newest as the model itself."""
import math
import shlex
import time
from collections.abc import Mapping
from pathlib import Path

from npgpt.files import errors_named, link_or_copy, move_together, remove_folder, sha256, temporary_folder
from npgpt.interop.huggingface import MODEL_FILES, WEIGHTS, holds_model
from npgpt.model.config import GPTConfig
from npgpt.text.tokenizer import Tokenizer
from npgpt.runs.checkpoint import (FOLDER, MOMENTS, RECORD, SUMS, Best, Checkpoint, checkpoint_folders, step_of,
                                       write_checkpoint)
from npgpt.runs.metrics import METRICS_FILE, Metrics
from npgpt.training.trainer import Step, TrainingState

MINUTES = 5                  # between checkpoints, where no number of steps is given


class Recorder:
    """Keeps the newest few checkpoints, and the one with the smallest validation loss.

    Checkpoints that were in the folder before and are not what this run goes on from are removed when
    its own first one is on the disk, not earlier.
    """

    def __init__(self, run: Path, state: TrainingState, config: GPTConfig, tokenizer: Tokenizer | None, how: dict,
                 tokens_a_step: int, every: int | None = None, keep: int = 2, origin: Checkpoint | None = None) -> None:
        self.run, self.state, self.config, self.tokenizer, self.how = run, state, config, tokenizer, how
        self.tokens_a_step, self.every, self.keep = tokens_a_step, every, keep
        self.best: Best | None = origin and origin.best
        self.others = [folder for folder in checkpoint_folders(run) if not origin or step_of(folder) > origin.step]
        self.fresh = not origin and not holds_model(run) and not self.others
        self.saved_step: int | None = origin.step if origin else None
        self.metrics = Metrics(run, state.step)
        self.seconds = state.seconds           # at the last step that was noted
        self.saved_at = time.monotonic()

    def note(self, step: Step, validation_loss: float | None = None) -> bool:
        """Write a step down  ->  whether it is time for a checkpoint: after so many steps or minutes, and where
        the validation loss is the smallest yet
        """
        speed = self.tokens_a_step / (self.state.seconds - self.seconds)
        self.seconds = self.state.seconds
        self.metrics.write(step, speed, self.seconds, validation_loss)
        best = validation_loss is not None and validation_loss < (self.best.validation_loss if self.best else math.inf)
        if best:
            self.best = Best(step.number, validation_loss)
        due = step.number % self.every == 0 if self.every else time.monotonic() - self.saved_at > 60 * MINUTES
        return best or due

    def save(self) -> None:
        """Write a checkpoint, make it the model of the run's folder, and remove those that are not kept.

        Raises OSError; what was good on the disk before is then as good as it was.
        """
        self.metrics.flush()
        folder = write_checkpoint(self.run, self.state, self.config, self.tokenizer, self.best, self.how, self.remove_others)
        publish(folder, self.run, self.how["replaced"])
        self.saved_step = self.state.step
        kept = checkpoint_folders(self.run)[-self.keep:]
        for old in checkpoint_folders(self.run):
            if old not in kept and not (self.best and old.name == f"step-{self.best.step:08}"):
                remove_folder(old)
        self.saved_at = time.monotonic()

    def remove_others(self) -> None:
        while self.others:
            remove_folder(self.others.pop())
        (self.run / FOLDER / METRICS_FILE).unlink(missing_ok=True)  # of a run that this one replaces

    def how_to_go_on(self) -> str:
        """What is on the disk, and the command that goes on from there, where there is more to do."""
        if self.saved_step is None:
            return "nothing was saved yet"
        more = f"; go on with: {resume_command(self.run)}" * (self.saved_step < self.how["settings"]["steps"])
        return f"{self.run} holds the model of step {self.saved_step}{more}"

    def close(self) -> None:
        self.metrics.close()


def resume_command(run: Path) -> str:
    return f"npgpt train --resume {shlex.quote(str(run))}"


def publish(checkpoint: Path, run: Path, replaced: Mapping[str, str]) -> None:
    """Make a checkpoint's model that of the run's folder: its files under a second name, so that it costs nothing.
    Of another model's files, those go whose name and digest are in `replaced`.

    Raises OSError, naming the folder.
    """
    with errors_named(run), temporary_folder(run / "model") as staging:
        for path in checkpoint.iterdir():
            if path.name not in (MOMENTS, RECORD, SUMS):
                link_or_copy(path, staging / path.name)
        stale = [name for name, digest in replaced.items()
                 if name in MODEL_FILES and (run / name).is_file() and sha256(run / name) == digest]
        move_together(staging, run, WEIGHTS, stale)
