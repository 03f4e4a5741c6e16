"""Metrics: metrics.jsonl, the history of a run, a line for each step."""
import contextlib
import json
import math
import os
from pathlib import Path

from npgpt.files import errors_named, open_own
from npgpt.training.trainer import Step

METRICS_FILE = "metrics.jsonl"
LONGEST = 2**12                                                # bytes in a line; what is longer is none of ours


class Metrics:
    """Appends to a run's metrics.jsonl. Each line is with the system as soon as its step is made, and on the disk
    before a checkpoint that covers it.

    A run that goes on after `step` cuts what lies past it, a torn line too. Raises OSError, naming the file.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self.path = folder / METRICS_FILE
        self.file = open_own(self.path, "ab")
        self.last = cut(self.path, step)                       # step of the last line that is left; 0 for none

    def write(self, step: Step, tokens_per_second: float, seconds: float, validation_loss: float | None = None) -> None:
        """Numbers that are not finite, which JSON does not have, are written as null."""
        line = {"step": step.number, "loss": step.loss, "validation_loss": validation_loss,
                "learning_rate": step.learning_rate, "gradient_norm": step.gradient_norm,
                "tokens_per_second": round(tokens_per_second, 1), "seconds": round(seconds, 4)}
        if validation_loss is None:
            del line["validation_loss"]
        line = {key: value if value is not None and math.isfinite(value) else None for key, value in line.items()}
        with errors_named(self.path):
            self.file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
            self.file.flush()

    def flush(self) -> None:
        """Onto the disk."""
        with errors_named(self.path):
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Raises nothing: what a full disk did not take was said when it was written."""
        with contextlib.suppress(OSError):
            self.file.close()


def cut(path: Path, step: int) -> int:
    """Cut a file of lines after that of `step`, and before the first that is none  ->  step of the last that is left"""
    end, last = 0, 0
    with open(path, "rb+") as file:
        while line := file.readline(LONGEST):
            number = step_of(line)
            if number is None or number > step:
                break
            end, last = end + len(line), number
        file.truncate(end)
    return last


def step_of(line: bytes) -> int | None:
    """The step of a whole line, else None."""
    try:
        number = json.loads(line)["step"] if line.endswith(b"\n") else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return number if type(number) is int else None
