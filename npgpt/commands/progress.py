"""Progress of long work: on a terminal, one line that is rewritten; elsewhere, plain lines."""
import shutil
import sys
import time

from npgpt.terminal import harmless
from npgpt.training.evaluation import Validation
from npgpt.training.settings import TrainingSettings
from npgpt.training.trainer import Step


class Progress:
    """Writes to standard error, so that standard output holds results only. The end of its context removes the status."""

    def __init__(self) -> None:
        self.erase = "\r\x1b[K" if sys.stderr.isatty() else ""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.status("")

    def status(self, text: str) -> None:
        """What happens now. Only a terminal shows it, and the next line replaces it."""
        if self.erase:
            width = shutil.get_terminal_size().columns
            print(f"{self.erase}{harmless(text, sys.stderr)[:width - 1]}", end="", file=sys.stderr, flush=True)

    def line(self, text: str) -> None:
        """A line that stays."""
        print(f"{self.erase}{harmless(text, sys.stderr)}", file=sys.stderr, flush=True)


class TrainingProgress(Progress):
    """Counts steps, and shows loss, speed and the time left.

    units_per_example: how many units, such as tokens, an example has. bits_per_nat: factor from the loss in nats a token to
    bits a byte; None where that is unknown.
    """

    def __init__(self, settings: TrainingSettings, units_per_example: int, unit: str = "tokens",
                 bits_per_nat: float | None = None) -> None:
        super().__init__()
        self.steps, self.unit, self.bits_per_nat = settings.steps, unit, bits_per_nat
        self.units_per_step = settings.accumulate * settings.batch_size * units_per_example
        self.losses: list[float] = []          # since the last report
        self.start_clock()

    def start_clock(self, done: int = 0) -> None:
        """Measure from now on; `done` steps were made before."""
        self.start, self.done = time.perf_counter(), done

    def count(self, step: Step) -> None:
        if not step.bad:
            self.losses.append(step.loss)
        self.status(self.describe(step))

    def report(self, step: Step, validation: Validation) -> float:
        """Show a line that stays  ->  the mean loss of the steps since the last one"""
        loss = self.loss(step)
        bits = {"bits/byte": validation.loss * self.bits_per_nat} if self.bits_per_nat else {}
        measured = {"validation": validation.loss, **bits, **validation.others}
        self.line(self.describe(step, "".join(f"{name} {value:.4f}  " for name, value in measured.items())))
        self.losses.clear()
        return loss

    def loss(self, step: Step) -> float:
        return sum(self.losses) / len(self.losses) if self.losses else step.loss

    def describe(self, step: Step, validation: str = "") -> str:
        seconds_per_step = self.seconds() / (step.number - self.done)
        return (f"step {step.number:{len(str(self.steps))}}/{self.steps}  loss {self.loss(step):.4f}  {validation}"
                f"learning rate {step.learning_rate:.1e}  {self.units_per_step / seconds_per_step:,.0f} {self.unit}/s  "
                f"{clock(seconds_per_step * (self.steps - step.number))} left")

    def seconds(self) -> float:
        return time.perf_counter() - self.start


def clock(seconds: float) -> str:
    """75 -> 1:15, 3675 -> 1:01:15"""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
