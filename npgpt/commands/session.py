"""Training on the command line, from the first step to the last: what happens after each step, and what the end shows."""
import contextlib
import math
import sys
from collections.abc import Iterable, Iterator

from npgpt.commands.objective import Objective
from npgpt.commands.progress import TrainingProgress, clock
from npgpt.errors import InputError
from npgpt.inspection.metrics import read_run
from npgpt.inspection.terminal_curve import loss_curve
from npgpt.runs.checkpoint import checkpoint_folder
from npgpt.runs.interrupt import Interrupt
from npgpt.runs.recorder import Recorder
from npgpt.runs.settings import RunSettings
from npgpt.tasks.task import Batch
from npgpt.training.evaluation import Validation
from npgpt.training.trainer import Diverged, Step, TrainingState

NOTICEABLE = 1.01            # times the smallest validation loss; a smaller rise may be chance
DIVERGED = 1.1               # times the loss of a uniform guess; untrained models are close to it


class Session:
    """Training on the command line: each step is shown on the terminal and recorded on the disk."""

    def __init__(self, objective: Objective, settings: RunSettings, state: TrainingState, recorder: Recorder,
                 progress: TrainingProgress) -> None:
        self.objective, self.task, self.settings, self.state = objective, objective.task, settings, state
        self.recorder, self.progress = recorder, progress
        self.loss, self.validation = math.nan, Validation(math.nan)        # of the last report
        self.diverges = self.overfits = False                  # whether it was said

    def start(self) -> None:
        """Save the state, so that the run can be resumed even before its first step, and start the clock."""
        metrics = self.recorder.metrics
        if metrics.last_step < self.state.step:
            self.progress.line(f"{metrics.path} is damaged: "
                               f"the history of steps {metrics.last_step + 1} to {self.state.step} is lost")
        if self.recorder.folder_was_empty and self.loss_is_finite():
            self.recorder.save()
        self.progress.start_clock(self.state.step)

    def after_step(self, step: Step, interrupt: Interrupt) -> bool:
        """Record a step; validate, save and report when it is time to  ->  whether to stop, as the user requested"""
        self.progress.count(step)
        last, validation = step.number == self.settings.steps, None
        if step.number % self.settings.eval_every == 0 or last:
            validation = self.validate()
        stop = bool(interrupt.received)                        # read once, so that it saves if it stops
        if self.recorder.log(step, validation) or last or stop:
            if not self.loss_is_finite():
                raise Diverged(f"after step {step.number} the validation loss is NaN or infinite: "
                               "a lower learning rate may help")
            self.recorder.save()
        if validation is not None:
            self.report(step, validation)
        return stop

    def validate(self) -> Validation:
        batches = self.task.validation_batches(self.settings.batch_size)
        return self.objective.validate(self.state.parameters, self.shown(batches))

    def shown(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches, while a terminal shows how many targets are validated."""
        count = 0
        for batch in batches:
            yield batch
            count += self.task.count(batch)
            self.progress.status(f"validation: {count:,} {self.task.unit}")

    def loss_is_finite(self) -> bool:
        return self.objective.loss_is_finite(self.state.parameters)

    def report(self, step: Step, validation: Validation) -> None:
        """Show the losses, and say once if the model diverges: if the loss is, after the warm-up, larger than that of a
        uniform guess; and once if it overfits.
        """
        self.loss, self.validation = self.progress.report(step, validation), validation
        uniform = self.task.uniform_loss
        if step.number > self.settings.warmup and self.loss > DIVERGED * uniform and not self.diverges:
            self.diverges = True
            self.progress.line(f"the loss is larger than that of a uniform guess, {uniform:.4f}: training diverges; "
                               "a lower learning rate, or a longer warm-up, may help")
        if self.has_risen(NOTICEABLE) and self.loss < self.recorder.best.validation_loss and not self.overfits:
            self.overfits = True
            if step.number < self.settings.steps:              # at the end it is said anyway
                self.progress.line(self.best())

    def has_risen(self, times: float = 1.0) -> bool:
        """Whether the validation loss is larger than so many times the smallest one."""
        return self.recorder.best is not None and self.validation.loss > times * self.recorder.best.validation_loss

    def finish(self) -> None:
        """Show what the validation loss is over, where it was smallest, the curve, and what the model can do."""
        self.progress.line(f"trained in {clock(self.progress.seconds())}; the validation loss is over "
                           f"{self.objective.validated()}; {self.saved()}")
        if self.has_risen():
            self.progress.line(self.best())
        with contextlib.suppress(InputError, OSError):         # without metrics, there is no curve
            self.progress.line(loss_curve(read_run(self.recorder.folder), sys.stderr.encoding))
        self.objective.show_result(self.recorder.published_model(), self.settings)
        self.progress.line(f"next: {self.objective.next_command(self.recorder.folder)}")

    def best(self) -> str:
        """A message: where the validation loss was smallest, whether it has risen since, and whether that is overfitting."""
        step, loss, score = self.recorder.best
        folder = checkpoint_folder(self.recorder.folder, step)
        place = f", in {folder}" * folder.exists()
        if score is not None:
            return f"validation was best at step {step}, with the loss {loss:.4f}{place}"
        message = f"the validation loss was smallest at step {step}: {loss:.4f}{place}"
        if self.has_risen(NOTICEABLE):
            message += f"; it has risen to {self.validation.loss:.4f} since"
            if self.loss < loss:
                message += ": the model overfits; more text, fewer steps, a smaller model, or dropout may help"
        return message

    def saved(self) -> str:
        """A message: what is on the disk, and how to resume it if steps are left."""
        step, folder, shown = self.recorder.saved_step, self.recorder.folder, self.recorder.published_step
        if step is None:
            return "nothing was saved yet"
        best = ", the best in validation" * self.settings.publishes_best
        resume = f"; resume with: {self.objective.resume_command(folder)}" * (step < self.settings.steps)
        return f"{folder} holds the model of step {shown}{best}{resume}"
