"""Terminal curve: a loss curve drawn with characters, small enough to end a training run with."""
from collections.abc import Iterator

import numpy as np

from npgpt.inspection.axis import figure
from npgpt.inspection.metrics import Curve, Run

WIDTH, HEIGHT = 60, 10
EMPTY = 0x2800                                                     # the braille character without dots
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])      # what each of its dots adds to that
MARK = "o"


def loss_curve(run: Run, encoding: str | None = "utf-8") -> str:
    """Training loss as a line, validation loss as o. The line is of braille dots, or of * if the encoding has none."""
    braille = can_show(chr(EMPTY + 0xFF) + "┤│└─", encoding)
    dots = DOTS if braille else np.ones((1, 1), int)
    down, across = dots.shape
    first = min(one.steps[0] for one in (run.loss, run.validation_loss) if one)
    train = columns(run.loss, first, run.steps, WIDTH * across)
    marks = columns(run.validation_loss, first, run.steps, WIDTH)
    low, high = np.nanmin([*train, *marks]), np.nanmax([*train, *marks])

    line = draw_line(rows(train, low, high, HEIGHT * down), HEIGHT * down)
    codes = np.einsum("ydxa,da->yx", line.reshape(HEIGHT, down, WIDTH, across), dots)
    canvas = [[" " if not code else chr(EMPTY + code) if braille else "*" for code in row] for row in codes]
    for x, y in enumerate(rows(marks, low, high, HEIGHT)):
        if not np.isnan(y):
            canvas[int(y)][x] = MARK
    title = "loss in training" + f", and in validation ({MARK})" * bool(run.validation_loss)
    return "\n".join([title, *framed(["".join(row).rstrip() for row in canvas], low, high, first, run.steps, braille)])


def can_show(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def columns(one: Curve, first: float, last: float, width: int) -> np.ndarray:
    """The mean of the values in each column  ->  (width,), NaN if there are none"""
    place = np.floor((one.steps - first) / max(last - first, 1) * (width - 1) + 0.5).astype(int)
    sums, counts = np.bincount(place, one.values, width), np.bincount(place, minlength=width)
    return np.divide(sums, counts, out=np.full(width, np.nan), where=counts > 0)


def rows(values: np.ndarray, low: float, high: float, height: int) -> np.ndarray:
    """The row of each value, counted from the top; NaN stays NaN."""
    return np.rint((high - values) * ((height - 1) / ((high - low) or 1)))


def draw_line(y: np.ndarray, height: int) -> np.ndarray:
    """A line through the given row of each column, NaN for none  ->  (height, width), 1 on the line, else 0"""
    dots, known = np.zeros((height, len(y)), int), np.flatnonzero(~np.isnan(y))
    if len(known):
        x = np.arange(known[0], known[-1] + 1)
        stop = np.rint(np.interp(x, known, y[known])).astype(int)
        before = np.append(stop[0], stop[:-1])
        start = before + np.sign(stop - before)                    # next to where the column before it ends
        for column, one, other in zip(x, np.minimum(start, stop), np.maximum(start, stop)):
            dots[one:other + 1, column] = 1
    return dots


def framed(lines: list[str], low: float, high: float, first: float, last: float, pretty: bool) -> Iterator[str]:
    """With axes: the loss at the top, the middle and the bottom, and the first and last step."""
    bar, tick, corner, floor = "│┤└─" if pretty else "|++-"
    bottom, middle = len(lines) - 1, len(lines) // 2
    labels = {0: high}
    if high > low:
        labels |= {middle: high - (high - low) * middle / bottom, bottom: low}
    labels = {y: f"{value:.3f}" if high < 1e4 else f"{value:.3e}" for y, value in labels.items()}
    side = max(map(len, labels.values()))
    for y, line in enumerate(lines):
        yield f"{labels.get(y, ''):>{side}} {tick if y in labels else bar}{line}"
    yield " " * (side + 1) + corner + floor * WIDTH
    left, right = f"step {figure(first)}", figure(last)
    yield " " * (side + 2) + left + right.rjust(WIDTH - len(left))
