"""Terminal curve: a loss curve in characters, small enough to end a training run with."""
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.inspection.axis import figure
from npgpt.inspection.metrics import Curve, Run, read_run

WIDTH, HEIGHT = 60, 10
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))    # of a braille character: its left column, then its right
EMPTY = 0x2800
MARK = "o"


def loss_curve(run: Run, encoding: str | None = "utf-8") -> str:
    """Training loss as a line, validation loss as o. Lines of braille dots, or plain ones where the encoding lacks them."""
    braille = can_show(chr(EMPTY + 0xFF) + "┤│└─", encoding)
    across, down = (2, 4) if braille else (1, 1)
    first, last = span([run.loss, run.validation_loss], 0)
    train = columns(run.loss, first, last, WIDTH * across)
    marks = columns(run.validation_loss, first, last, WIDTH)
    finite = np.concatenate([train, marks])
    low, high = np.nanmin(finite), np.nanmax(finite)
    canvas = [[" "] * WIDTH for _ in range(HEIGHT)]
    dots = np.zeros((HEIGHT * down, WIDTH * across), bool)
    for x, (top, bottom) in enumerate(strokes(rows(train, low, high, HEIGHT * down))):
        dots[top:bottom + 1, x] = True
    for y in range(HEIGHT):
        for x in range(WIDTH):
            cell = dots[y * down:(y + 1) * down, x * across:(x + 1) * across]
            if cell.any():
                canvas[y][x] = braille_character(cell) if braille else "*"
    for x, y in enumerate(rows(marks, low, high, HEIGHT)):
        if y is not None:
            canvas[y][x] = MARK
    lines = ["".join(line).rstrip() for line in canvas]
    return "\n".join(framed(lines, low, high, first, last, braille, bool(run.validation_loss)))


def curve_of(folder: Path, encoding: str | None) -> str:
    """The curve of a run that has just ended; nothing where it left no metrics, for that is no reason to fail now."""
    try:
        return loss_curve(read_run(folder), encoding)
    except (InputError, OSError):
        return ""


def can_show(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def span(curves: list[Curve], axis: int) -> tuple[float, float]:
    ends = [(one[axis].min(), one[axis].max()) for one in curves if one]
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def columns(one: Curve, first: float, last: float, width: int) -> np.ndarray:
    """The mean of what falls into each column  ->  (width,), NaN where nothing does"""
    place = np.floor((one.steps - first) / max(last - first, 1) * (width - 1) + 0.5).astype(int)
    sums, counts = np.bincount(place, one.values, width), np.bincount(place, minlength=width)
    return np.divide(sums, counts, out=np.full(width, np.nan), where=counts > 0)


def rows(values: np.ndarray, low: float, high: float, height: int) -> list[int | None]:
    """The row of each value, from the top; None for NaN."""
    scale = (height - 1) / ((high - low) or 1)
    return [None if np.isnan(value) else round((high - value) * scale) for value in values]


def strokes(heights: list[int | None]) -> Iterator[tuple[int, int]]:
    """Where a line through the given heights runs in each column: from row to row. Gaps are bridged, the ends left empty."""
    there = [x for x, y in enumerate(heights) if y is not None]
    bridged = np.rint(np.interp(range(len(heights)), there, [heights[x] for x in there])).astype(int) if there else []
    before = None
    for x, y in enumerate(bridged):
        if not there[0] <= x <= there[-1]:
            yield 0, -1
            continue
        reach = y if before is None or abs(before - y) <= 1 else before + (1 if y > before else -1)
        yield min(y, reach), max(y, reach)
        before = y


def braille_character(cell: np.ndarray) -> str:
    return chr(EMPTY + sum(DOTS[x][y] for y, x in np.argwhere(cell)))


def framed(lines: list[str], low: float, high: float, first: float, last: float, pretty: bool,
           marked: bool) -> Iterator[str]:
    """The axes: loss at the top, the middle and the bottom, and the first and last step."""
    bar, tick, corner, floor = "│┤└─" if pretty else "|++-"
    middle = len(lines) // 2
    at = {0: high, middle: high - (high - low) * middle / (len(lines) - 1), len(lines) - 1: low}
    at = at if high > low else {0: high}
    labels = [(f"{at[y]:.3f}" if high < 1e4 else f"{at[y]:.3e}") if y in at else "" for y in range(len(lines))]
    side = max(map(len, labels))
    yield "loss" + (f" in training, and in validation ({MARK})" if marked else " in training")
    for y, (label, line) in enumerate(zip(labels, lines)):
        yield f"{label:>{side}} {tick if y in at else bar}{line}"
    yield " " * (side + 1) + corner + floor * WIDTH
    left, right = f"step {figure(first)}", figure(last)
    yield " " * (side + 2) + left + right.rjust(WIDTH - len(left))
