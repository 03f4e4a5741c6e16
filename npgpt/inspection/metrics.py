"""Metrics: read the file that training writes, one JSON object a line, as curves."""
import json
import math
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.runs.metrics import LINE_LIMIT, METRICS_FILE

MEASURED = ("loss", "validation_loss", "learning_rate", "gradient_norm", "bits_per_byte")
HUGE = 1e100              # values of this size or more are not drawn, those below 1 / HUGE are drawn as 0
MOST_LINES = 4_000_000    # of a file: they take half a gigabyte of memory
SAME_TOKENIZER = 1e-6     # the same loss in bits a byte differs by a smaller share
NAMED = 3                 # of the lines that cannot be read
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
    bits_per_byte: Curve                        # the validation loss in a unit that does not depend on the tokenizer
    skipped: str                                # a message about the lines that could not be read; empty if all could

    @property
    def steps(self) -> int:
        return max(int(one.steps[-1]) for one in (self.loss, self.validation_loss) if one)

    @property
    def bits_per_nat(self) -> float | None:
        """Factor from a loss in nats a token to bits a byte; None if it was not recorded."""
        _, bits, nats = np.intersect1d(self.bits_per_byte.steps, self.validation_loss.steps, return_indices=True)
        losses = self.validation_loss.values[nats]
        return float(self.bits_per_byte.values[bits[-1]] / losses[-1]) if len(nats) and losses[-1] else None


def read_run(place: Path) -> Run:
    """Read the metrics of a model directory, or a file of metrics. Lines that cannot be read, such as an incomplete last
    one, are skipped; a line for an earlier step replaces that step and all after it. Raises InputError if there is no loss.
    """
    path = place / METRICS_FILE if place.is_dir() else place
    if not path.is_file():                                        # reading a pipe may never end
        raise InputError(f"{place} is not a run: a model directory with {METRICS_FILE}, or that file, was expected")
    rows, unread = read_lines(path)
    table = np.asarray(rows).reshape(-1, 1 + len(MEASURED))
    table[np.abs(table) < 1 / HUGE] = 0                           # else a range of them is too narrow to be divided
    steps, *columns = table[last_of_each_step(table[:, 0])].T
    curves = [curve(steps, values) for values in columns]
    if not (curves[0] or curves[1]):
        raise InputError(f"{path} holds no metrics: {unread[0] + ' cannot be read' if unread else 'there is no loss in it'}")
    return Run(str(place), *curves, f"{path}: skipped what cannot be read: {', '.join(unread)}" if unread else "")


def read_lines(path: Path) -> tuple[array, list[str]]:
    """The numbers of all lines, one after the other, and which lines cannot be read. Raises InputError for too many."""
    rows, unread, failed = array("d"), [], 0
    for number, (line, complete) in enumerate(lines_of(path), 1):
        if number > MOST_LINES:
            raise InputError(f"{path} has more than {MOST_LINES:,} lines: too many to draw")
        try:
            if line.strip():
                rows.extend(measured(line))
        except UNREADABLE:
            failed += 1
            if failed <= NAMED:
                unread.append(f"line {number}" + " (incomplete)" * (not complete))
    if failed > NAMED:
        unread[-1] += f" and {failed - NAMED:,} more"
    return rows, unread


def lines_of(path: Path) -> Iterator[tuple[bytes, bool]]:
    """Each line, of a long one only the beginning, and whether it has a line break at its end."""
    with open(path, "rb") as file:
        while line := file.readline(LINE_LIMIT):
            end = line
            while end and not end.endswith(b"\n"):
                end = file.readline(LINE_LIMIT)
            yield line, bool(end)


def measured(line: bytes) -> list[float]:
    """The step and the numbers of a line, NaN for those that are missing. Raises one of UNREADABLE."""
    stored = json.loads(line)
    step, *values = [math.nan if value is None else float(value) for value in map(stored.get, ("step", *MEASURED))]
    if not abs(step) < HUGE:
        raise ValueError("a step without a number")
    return [step, *values]


def last_of_each_step(steps: np.ndarray) -> np.ndarray:
    """Which rows count: those after which no row has the same step or an earlier one."""
    lowest_from = np.append(np.minimum.accumulate(steps[::-1])[::-1], np.inf)
    return steps < lowest_from[1:]


def curve(steps: np.ndarray, values: np.ndarray) -> Curve:
    drawn = np.abs(values) < HUGE                                 # neither NaN nor infinite
    return Curve(steps[drawn], values[drawn])


def comparable(runs: Sequence[Run]) -> tuple[list[Run], str]:
    """The runs with losses that can be compared, and the unit of these: where tokenizers differ, nats a token cannot be."""
    factors = [run.bits_per_nat for run in runs]
    if None in factors or np.allclose(factors, factors[0], rtol=SAME_TOKENIZER, atol=0):
        return list(runs), "nats a token"
    return [run._replace(loss=scaled(run.loss, factor), validation_loss=scaled(run.validation_loss, factor))
            for run, factor in zip(runs, factors)], "bits a byte, because the tokenizers differ"


def scaled(one: Curve, factor: float) -> Curve:
    return Curve(one.steps, one.values * factor)


def smooth(one: Curve, window: int) -> Curve:
    """Each value is replaced by the mean of the `window` values around it; at the ends, of fewer."""
    N = len(one.values)
    sums = np.concatenate([[0.0], np.cumsum(one.values)])
    centre = np.arange(N)
    start, stop = np.maximum(centre - window // 2, 0), np.minimum(centre + window // 2 + 1, N)
    return Curve(one.steps, (sums[stop] - sums[start]) / (stop - start))


def thin(one: Curve, most: int) -> Curve:
    """About `most` points: the smallest and the largest of each part, so that every spike stays visible."""
    N = len(one.values)
    if N <= most:
        return one
    kept = {0, N - 1}
    for part in np.array_split(np.arange(N), max(most // 2, 1)):
        kept |= {part[one.values[part].argmin()], part[one.values[part].argmax()]}
    kept = sorted(kept)
    return Curve(one.steps[kept], one.values[kept])
