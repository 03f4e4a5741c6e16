"""Metrics: what training wrote down, one JSON object a line, read back as curves."""
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.runs.metrics import METRICS_FILE

MEASURED = ("loss", "validation_loss", "learning_rate", "gradient_norm")
HUGE = 1e100              # a run that reaches it has no curve worth drawing any more
LINES = 1000              # that are parsed at once, which takes a third of the time of one by one
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


class Curve(NamedTuple):
    steps: np.ndarray                           # (N,) rising
    values: np.ndarray                          # (N,) finite

    def __bool__(self) -> bool:
        return len(self.steps) > 0


class Run(NamedTuple):
    name: str
    loss: Curve
    validation_loss: Curve
    learning_rate: Curve
    gradient_norm: Curve
    left_out: str                               # what was wrong with lines that were left out; empty where none were


def read_run(place: Path) -> Run:
    """A model directory's metrics, or a file of metrics itself.

    A line that cannot be read is left out, such as the last one of a run that was cut off. Where steps go
    back, because a run was resumed from an earlier one, the later lines count. Raises InputError where
    there is no file, or no line in it that says what a step's loss was.
    """
    path = place / METRICS_FILE if place.is_dir() else place
    if not path.exists():
        raise InputError(f"{place}: there is no {METRICS_FILE} in it" if place.is_dir() else
                         f"{place}: there is no such run: a model directory, or its {METRICS_FILE}, was expected")
    table, wrong = parse(path.read_bytes().split(b"\n"))
    table = table[last_of_each_step(table[:, 0])]
    curves = {name: curve(table[:, 0], table[:, 1 + i]) for i, name in enumerate(MEASURED)}
    if not (curves["loss"] or curves["validation_loss"]):
        why = f"line {wrong[0][0]} is {wrong[0][1]}" if wrong else "no line says what a loss was"
        raise InputError(f"{path} holds no metrics: {why}")
    return Run(str(place), **curves, left_out=describe(path, wrong))


def parse(lines: list[bytes]) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """(N, 1 + 4): step and what was measured, NaN for what was not; and the lines that could not be read: number and
    what they are
    """
    parts, wrong = [np.empty((0, 1 + len(MEASURED)))], []
    for start in range(0, len(lines), LINES):
        some = lines[start:start + LINES]
        try:
            parts.append(rows(b",".join(filter(bytes.strip, some))))
        except UNREADABLE:                                         # look at them one by one
            for number, line in enumerate(some, start + 1):
                try:
                    parts.append(rows(line.strip()))
                except UNREADABLE:
                    wrong.append((number, "cut short" if number == len(lines) else "no metrics"))
    return np.concatenate(parts), wrong


def rows(lines: bytes) -> np.ndarray:
    """JSON objects with commas between them  ->  (N, 1 + 4). Raises one of UNREADABLE."""
    values = [[line["step"], *map(line.get, MEASURED)] for line in json.loads(b"[" + lines + b"]")]
    table = np.array(values, np.float64).reshape(-1, 1 + len(MEASURED))                    # None becomes NaN
    if not (np.abs(table[:, 0]) < HUGE).all():
        raise ValueError("a step without a number")
    return table


def last_of_each_step(steps: np.ndarray) -> np.ndarray:
    """Which rows count: those that no later row goes back to or before."""
    lowest_from = np.append(np.minimum.accumulate(steps[::-1])[::-1], np.inf)
    return steps < lowest_from[1:]


def curve(steps: np.ndarray, values: np.ndarray) -> Curve:
    there = np.abs(values) < HUGE                                 # not NaN, nor infinite
    return Curve(steps[there], values[there])


def describe(path: Path, wrong: list[tuple[int, str]]) -> str:
    if not wrong:
        return ""
    number, what = wrong[0]
    first = f"line {number} is {what}"
    if len(wrong) == 1:
        return f"{path}: {first}, and left out"
    return f"{path}: {len(wrong):,} lines are left out; the first, {first}"


def smooth(one: Curve, window: int) -> Curve:
    """Each value becomes the mean of the `window` values around it; fewer at the ends."""
    N = len(one.values)
    sums = np.concatenate([[0.0], np.cumsum(one.values)])
    centre = np.arange(N)
    start, stop = np.maximum(centre - window // 2, 0), np.minimum(centre + window // 2 + 1, N)
    return Curve(one.steps, (sums[stop] - sums[start]) / (stop - start))


def thin(one: Curve, most: int) -> Curve:
    """At most about `most` points: of each stretch its smallest and its largest, so that no spike is lost."""
    N = len(one.values)
    if N <= most:
        return one
    bounds = np.linspace(0, N, max(most // 2, 1) + 1).astype(int)
    kept = {0, N - 1}
    for start, stop in zip(bounds, bounds[1:]):
        kept |= {start + int(one.values[start:stop].argmin()), start + int(one.values[start:stop].argmax())}
    kept = sorted(kept)
    return Curve(one.steps[kept], one.values[kept])
