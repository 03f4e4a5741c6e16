"""Curves: training curves as panels of SVG, each run in its own colour."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npgpt.inspection.axis import Axis, axis, figure
from npgpt.inspection.metrics import Curve, Run, smooth, thin

WIDTH, HEIGHT = 640, 340                        # of a panel, in its own units
LEFT, RIGHT, TOP, BOTTOM = 14, 14, 12, 48       # margins; at the left there are labels besides
DIGIT = 11                                      # the width of a digit on a phone, where labels are largest
COLOURS = 6                                     # in colours.css; further runs use them again, with other dashes
RAW, SMOOTHED = 1200, 400                       # the largest number of points drawn of one curve
FRACTION = 50                                   # noisy curves are averaged over a fiftieth of the run
APART = 0.13                                    # of the width, between the last tick and the one before it
UNDER = 3                                       # the number of curves that remain visible under one that coincides with them


class Line(NamedTuple):
    """One curve of a panel."""
    run: int
    kind: str                                   # its style: raw, train or validation
    curve: Curve
    name: str


class Frame(NamedTuple):
    """Where the values of a panel are drawn."""
    x: Axis
    y: Axis
    left: float

    @property
    def width(self) -> float:
        return WIDTH - RIGHT - self.left

    def across(self, step: float) -> float:
        return self.left + self.x.place(step) * self.width

    def down(self, value: float) -> float:
        return HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)


def loss_lines(i: int, run: Run, fewer: int) -> list[Line]:
    """Run number i: training and validation loss. fewer: divides the number of points, where there are many runs."""
    return noisy_lines(i, run.loss, "training", fewer) + [
        Line(i, "validation", thin(run.validation_loss, SMOOTHED // fewer), "validation")]


def noisy_lines(i: int, curve: Curve, name: str, fewer: int) -> list[Line]:
    """A noisy curve: smoothed, and if it is long enough, the values themselves behind it."""
    smoothed = Line(i, "train", thin(averaged(curve), SMOOTHED // fewer), name)
    return [Line(i, "raw", thin(curve, RAW // fewer), ""), smoothed] if len(curve.steps) >= 2 * FRACTION else [smoothed]


def averaged(curve: Curve) -> Curve:
    return smooth(curve, len(curve.steps) // FRACTION)


def frame(lines: Sequence[Line], from_zero: bool = False, logarithmic: bool = False) -> Frame:
    """A frame that holds all lines, each of which has a point at least. The last step has a tick of its own."""
    first, last = min(line.curve.steps[0] for line in lines), max(line.curve.steps[-1] for line in lines)
    x = axis(first, last, tight=True)
    x = x._replace(ticks=[tick for tick in x.ticks if first <= tick and x.place(tick) < x.place(last) - APART] + [last])
    low = 0.0 if from_zero else min(float(line.curve.values.min()) for line in lines)
    y = axis(low, max(float(line.curve.values.max()) for line in lines), logarithmic=logarithmic)
    return Frame(x, y, LEFT + DIGIT * max(len(figure(tick)) for tick in y.ticks))


def panel(lines: Sequence[Line], where: Frame, label: str = "step") -> list[str]:
    """The elements of a panel: its axes and its curves. Curves that coincide are drawn on top of wider ones. label: of x."""
    return grid(where, label) + [drawn(line, where, sum(coincide(line, other) for other in lines[i + 1:]))
                                 for i, line in enumerate(lines)]


def coincide(one: Line, other: Line) -> bool:
    return one.kind == other.kind != "raw" and all(map(np.array_equal, one.curve, other.curve))


def grid(where: Frame, label: str) -> list[str]:
    """Both axes, with lines across the panel at the ticks of y."""
    bottom, right, left = HEIGHT - BOTTOM, WIDTH - RIGHT, where.left
    parts = [f'<path class="grid" d="M{left} {where.down(tick):.1f}H{right}"/>'
             f'<text x="{left - 8}" y="{where.down(tick):.1f}" dy=".35em" text-anchor="end">{figure(tick)}</text>'
             for tick in where.y.ticks]
    for tick in where.x.ticks:
        place, name = where.across(tick), figure(tick)
        fits = place + DIGIT * len(name) / 2 <= WIDTH - 2
        edge, anchor = (f"{place:.1f}", "middle") if fits else (WIDTH - 2, "end")
        parts.append(f'<path class="tick" d="M{place:.1f} {bottom}v5"/>'
                     f'<text x="{edge}" y="{bottom + 21}" text-anchor="{anchor}">{name}</text>')
    return [*parts, f'<path class="axis" d="M{left} {TOP}V{bottom}H{right}"/>'
                    f'<text x="{(left + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{label}</text>']


def drawn(line: Line, where: Frame, above: int) -> str:
    """above: how many curves are drawn in the same place later."""
    points = [(f"{where.across(step):.1f}", f"{where.down(value):.1f}") for step, value in zip(*line.curve)]
    dots = len(points) == 1 or line.kind == "validation" and len(points) <= 80
    marks = "".join(f'<circle cx="{px}" cy="{py}" r="2.6"/>' for px, py in points) if dots else ""
    path = "M" + "L".join(f"{px} {py}" for px, py in points)
    under = f" under{min(above, UNDER)}" * bool(above)
    return f'<g class="c{line.run % COLOURS}"><path class="{line.kind}{dash(line.run)}{under}" d="{path}"/>{marks}</g>'


def key(run: int) -> str:
    """A run's key in a legend, 40 x 12."""
    return (f'<g class="c{run % COLOURS}"><path class="train{dash(run)}" d="M1 4H39"/>'
            '<path class="validation" d="M1 9H39"/><circle cx="20" cy="9" r="2.4"/></g>')


def dash(run: int) -> str:
    return f" dash{run // COLOURS % 3}" if run >= COLOURS else ""
