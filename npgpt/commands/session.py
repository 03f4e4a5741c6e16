"""npgpt train, from the first step to the last: what happens after each step, and what a finished run shows."""
import contextlib
import math
import shlex
import sys
from pathlib import Path

from npgpt import library
from npgpt.commands.progress import TrainingProgress, clock
from npgpt.errors import InputError
from npgpt.inspection.metrics import read_run
from npgpt.inspection.terminal_curve import loss_curve
from npgpt.runs.interrupt import Interrupt
from npgpt.runs.recorder import Recorder
from npgpt.runs.settings import RunSettings
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.training.evaluation import evaluate
from npgpt.training.trainer import Diverged, Step, TrainingState

VALIDATION_TOKENS = 8192     # evaluated during training; at the end, all of them are
SAMPLE_TOKENS = 400


class Session:
    """Training on the command line: each step is shown on the terminal and recorded on the disk."""

    def __init__(self, task: LanguageModelling, settings: RunSettings, state: TrainingState, recorder: Recorder,
                 progress: TrainingProgress) -> None:
        self.task, self.settings, self.state, self.recorder, self.progress = task, settings, state, recorder, progress

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
            validation_loss = self.sampled_loss()
        stop = bool(interrupt.received)                        # read once, so that it saves if it stops
        if self.recorder.log(step, validation_loss) or last or stop:
            if not self.loss_is_finite():
                raise Diverged(f"after step {step.number} the validation loss is NaN or infinite: "
                               "a lower learning rate may help")
            self.recorder.save()
        if validation_loss is not None and not last:
            self.progress.report(step, validation_loss)
        return stop

    def loss(self, tokens: int | None = None) -> float:
        """The validation loss over the first `tokens` targets of the validation text, by default over all of them."""
        text = self.task.corpus.validation if tokens is None else self.task.corpus.validation[:tokens + 1]
        return evaluate(self.task, self.state.parameters, self.task.batches(text, self.settings.batch_size))

    def sampled_loss(self) -> float:
        return self.loss(VALIDATION_TOKENS)

    def loss_is_finite(self) -> bool:
        """Whether the model may replace a good one: its loss is finite in the first context of the validation text."""
        return math.isfinite(self.loss(self.task.config.n_positions))

    def finish(self, step: Step) -> None:
        """Show the loss over the whole validation text, the curve, and a text by the model."""
        seconds, tokens, model = self.progress.seconds(), len(self.task.corpus.validation), self.recorder.model
        self.progress.report(step, self.loss())
        self.progress.line(f"trained in {clock(seconds)}; the validation loss is over all {tokens:,} tokens of its split; "
                           f"{self.saved()}")
        with contextlib.suppress(InputError, OSError):         # without metrics, there is no curve
            self.progress.line(loss_curve(read_run(self.recorder.folder), sys.stderr.encoding))
        if model.tokenizer is not None:
            text = library.generate(model, max_new_tokens=SAMPLE_TOKENS, seed=self.settings.seed, temperature=0.8)
            print("\n" + text.strip() + "\n", flush=True)
        self.progress.line(f"next: npgpt generate --model {self.recorder.folder}")

    def saved(self) -> str:
        """A message: what is on the disk, and how to resume it if steps are left."""
        step, folder = self.recorder.saved_step, self.recorder.folder
        resume = f"; resume with: {resume_command(folder)}" * (step is not None and step < self.settings.steps)
        return "nothing was saved yet" if step is None else f"{folder} holds the model of step {step}{resume}"


def resume_command(folder: Path) -> str:
    return f"npgpt train --resume {shlex.quote(str(folder))}"
