"""Metrics: metrics.jsonl, the history of a run, with a line for each step."""
import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

from npgpt.files import errors_named, open_own
from npgpt.training.trainer import Step

METRICS_FILE = "metrics.jsonl"
LINE_LIMIT = 2**12                                             # bytes; npgpt writes no longer lines


class Metrics:
    """Appends to a run's metrics.jsonl, after removing incomplete lines and those of steps later than `step`."""

    def __init__(self, folder: Path, step: int = 0) -> None:
        self.path = folder / METRICS_FILE
        self.file = open_own(self.path, "ab")
        self.last_step = truncate(self.path, step)                  # the step of the last line, or 0

    def write(self, step: Step, speed: Mapping[str, float], seconds: float, measured: Mapping[str, float] = {}) -> None:
        """JSON has no NaN and no infinity: they are written as null. speed: in its unit, as {"tokens_per_second": 9.5}.
        measured: on the validation data.
        """
        line = {"step": step.number, "loss": step.loss, "learning_rate": step.learning_rate,
                "gradient_norm": step.gradient_norm, **{unit: round(value, 1) for unit, value in speed.items()},
                "seconds": round(seconds, 4), **measured}
        line = {key: value if math.isfinite(value) else None for key, value in line.items()}
        with errors_named(self.path):
            self.file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
            self.file.flush()

    def flush(self) -> None:
        with errors_named(self.path):
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Raises nothing: a full disk has already raised an error when the line was written."""
        with contextlib.suppress(OSError):
            self.file.close()


def truncate(path: Path, step: int) -> int:
    """Cut a file after the line of `step`, or before the first line without a step  ->  the step of its last line, or 0"""
    end, last = 0, 0
    with open(path, "rb+") as file:
        while line := file.readline(LINE_LIMIT):
            number = step_of(line)
            if number is None or number > step:
                break
            end, last = end + len(line), number
        file.truncate(end)
    return last


def step_of(line: bytes) -> int | None:
    """The step of a complete line, otherwise None."""
    try:
        number = json.loads(line)["step"] if line.endswith(b"\n") else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return number if type(number) is int else None
