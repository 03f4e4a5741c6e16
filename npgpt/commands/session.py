"""npgpt train, from the first step to the last: what happens after each step, and what a finished run shows."""
import contextlib
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from npgpt import library
from npgpt.commands.arguments import for_shell
from npgpt.commands.progress import TrainingProgress, clock
from npgpt.errors import InputError
from npgpt.inspection.metrics import read_run
from npgpt.inspection.terminal_curve import loss_curve
from npgpt.runs.checkpoint import checkpoint_folder
from npgpt.runs.interrupt import Interrupt
from npgpt.runs.recorder import Recorder
from npgpt.runs.settings import RunSettings
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.tasks.task import Batch
from npgpt.terminal import harmless
from npgpt.training.evaluation import evaluate
from npgpt.training.trainer import Diverged, Step, TrainingState

SAMPLE_TOKENS = 400
NOTICEABLE = 1.01            # times the smallest validation loss; a smaller rise may be chance
DIVERGED = 1.1               # times the loss of a uniform guess; untrained models are close to it


class Session:
    """Training on the command line: each step is shown on the terminal and recorded on the disk."""

    def __init__(self, task: LanguageModelling, settings: RunSettings, state: TrainingState, recorder: Recorder,
                 progress: TrainingProgress) -> None:
        self.task, self.settings, self.state, self.recorder, self.progress = task, settings, state, recorder, progress
        self.loss = self.validation_loss = math.nan            # of the last report
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
        last, validation_loss = step.number == self.settings.steps, None
        if step.number % self.settings.eval_every == 0 or last:
            validation_loss = self.validate()
        stop = bool(interrupt.received)                        # read once, so that it saves if it stops
        if self.recorder.log(step, validation_loss) or last or stop:
            if not self.loss_is_finite():
                raise Diverged(f"after step {step.number} the validation loss is NaN or infinite: "
                               "a lower learning rate may help")
            self.recorder.save()
        if validation_loss is not None:
            self.report(step, validation_loss)
        return stop

    def validate(self) -> float:
        batches = self.task.validation_batches(self.settings.batch_size)
        return evaluate(self.task, self.state.parameters, self.shown(batches))

    def shown(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches, while a terminal shows how many tokens are validated."""
        count = 0
        for batch in batches:
            yield batch
            count += self.task.count(batch)
            self.progress.status(f"validation: {count:,} tokens")

    def loss_is_finite(self) -> bool:
        """Whether the model may replace a good one: its loss is finite in the first context of the validation text."""
        text = self.task.corpus.validation[:self.task.config.n_positions + 1]
        return math.isfinite(evaluate(self.task, self.state.parameters, self.task.batches(text)))

    def report(self, step: Step, validation_loss: float) -> None:
        """Show the losses, and say once if the model diverges: if the loss is, after the warm-up, larger than that of a
        uniform guess; and once if it overfits.
        """
        self.loss, self.validation_loss = self.progress.report(step, validation_loss), validation_loss
        uniform = math.log(self.task.config.vocab_size)
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
        return self.recorder.best is not None and self.validation_loss > times * self.recorder.best.validation_loss

    def finish(self) -> None:
        """Show what the validation loss is over, where it was smallest, the curve, and a text by the model."""
        model, total = self.recorder.model, len(self.task.corpus.validation)
        count = sum(map(self.task.count, self.task.validation_batches()))
        part = f"all {total:,}" if count == total - 1 else f"{count:,} of the {total:,}"
        self.progress.line(f"trained in {clock(self.progress.seconds())}; the validation loss is over {part} tokens of its "
                           f"split; {self.saved()}")
        if self.has_risen():
            self.progress.line(self.best())
        with contextlib.suppress(InputError, OSError):         # without metrics, there is no curve
            self.progress.line(loss_curve(read_run(self.recorder.folder), sys.stderr.encoding))
        if model.tokenizer is not None:
            text = library.generate(model, max_new_tokens=SAMPLE_TOKENS, seed=self.settings.seed, temperature=0.8)
            print("\n" + harmless(text.strip(), sys.stdout) + "\n", flush=True)
        self.progress.line(f"next: npgpt generate --model {for_shell(self.recorder.folder)}")

    def best(self) -> str:
        """A message: where the validation loss was smallest, whether it has risen since, and whether that is overfitting."""
        step, loss = self.recorder.best
        folder = checkpoint_folder(self.recorder.folder, step)
        message = f"the validation loss was smallest at step {step}: {loss:.4f}{f', in {folder}' if folder.exists() else ''}"
        if self.has_risen(NOTICEABLE):
            message += f"; it has risen to {self.validation_loss:.4f} since"
            if self.loss < loss:
                message += ": the model overfits; more text, fewer steps, a smaller model, or dropout may help"
        return message

    def saved(self) -> str:
        """A message: what is on the disk, and how to resume it if steps are left."""
        step, folder = self.recorder.saved_step, self.recorder.folder
        resume = f"; resume with: {resume_command(folder)}" * (step is not None and step < self.settings.steps)
        return "nothing was saved yet" if step is None else f"{folder} holds the model of step {step}{resume}"


def resume_command(folder: Path) -> str:
    return f"npgpt train --resume {for_shell(folder)}"
