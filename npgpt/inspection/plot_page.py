"""The page of `npgpt plot --html`: training curves as SVG, each run in its own colour."""
import html
from collections.abc import Sequence
from typing import NamedTuple

from npgpt.inspection.axis import Axis, axis, figure
from npgpt.inspection.metrics import Curve, Run, smooth, thin
from npgpt.inspection.page import embed, fill

WIDTH, HEIGHT = 640, 340                        # of a panel, in its own units
LEFT, RIGHT, TOP, BOTTOM = 70, 14, 12, 48       # margins
COLOURS = 6                                     # in the page's style; further runs use them again, with other dashes
RAW, SMOOTHED = 1200, 400                       # the largest number of points drawn of one curve
FRACTION = 50                                   # noisy curves are averaged over a fiftieth of the run


class Line(NamedTuple):
    """One curve of a panel."""
    run: int
    kind: str                                   # its style: raw, train or validation
    curve: Curve
    name: str


def plot_page(runs: Sequence[Run]) -> bytes:
    """HTML that opens without a network, for one run or several."""
    fewer = max(1, len(runs) // 8)              # with many runs, each has fewer points, so that the page stays small
    loss, rate, norm = [], [], []
    for i, run in enumerate(runs):
        loss += noisy(i, run.loss, "training", fewer)
        loss.append(Line(i, "validation", thin(run.validation_loss, SMOOTHED // fewer), "validation"))
        rate.append(Line(i, "train", thin(run.learning_rate, SMOOTHED // fewer), "learning rate"))
        norm += noisy(i, run.gradient_norm, "gradient norm", fewer)
    panels = [panel("loss", "Loss", "nats a token", loss), panel("rate", "Learning rate", "", rate),
              panel("norm", "Gradient norm", "before clipping", norm)]
    steps = max(run.steps for run in runs)
    means = ("Training loss and gradient norm are means over a fiftieth of the run around each step; the values themselves "
             "are drawn pale behind. ") * any(line.kind == "raw" for line in loss + norm)
    summary = (f"{len(runs)} run{'s' * (len(runs) > 1)}, {steps:,} step{'s' * (steps > 1)}. {means}"
               "Solid: training, dashed: validation.")
    return fill("plot.html", title="Training: " + ", ".join(run.name for run in runs), summary=summary,
                rows="\n".join(summary_row(i, run) for i, run in enumerate(runs)),
                panels="\n".join(markup for markup, _ in panels), left=str(LEFT), width=str(WIDTH - LEFT - RIGHT),
                data=embed({"runs": [run.name for run in runs], "panels": [data for _, data in panels]}))


def noisy(run: int, curve: Curve, name: str, fewer: int) -> list[Line]:
    """A noisy curve: smoothed, and if it is long enough, the values themselves behind it."""
    smoothed = Line(run, "train", thin(averaged(curve), SMOOTHED // fewer), name)
    return [Line(run, "raw", thin(curve, RAW // fewer), ""), smoothed] if len(curve.steps) >= 2 * FRACTION else [smoothed]


def averaged(curve: Curve) -> Curve:
    return smooth(curve, len(curve.steps) // FRACTION)


def summary_row(i: int, run: Run) -> str:
    """A run's line in the table that is also the legend."""
    train = validation = best = "–"
    if run.loss:
        train = f"{averaged(run.loss).values[-1]:.4f}"
    if run.validation_loss:
        steps, losses = run.validation_loss
        validation, lowest = f"{losses[-1]:.4f}", losses.argmin()
        best = f"{losses[lowest]:.4f} at {steps[lowest]:,.0f}"
    key = (f'<svg class="key c{i % COLOURS}" viewBox="0 0 40 12" aria-hidden="true">'
           f'<path class="train{dash(i)}" d="M1 4H39"/>'
           f'<path class="validation" d="M1 9H39"/><circle cx="20" cy="9" r="2.4"/></svg>')
    return (f'<tr><th scope="row">{key}{html.escape(run.name)}</th><td>{run.steps:,}</td><td>{train}</td>'
            f"<td>{validation}</td><td>{best}</td></tr>")


def panel(name: str, title: str, unit: str, lines: Sequence[Line]) -> tuple[str, dict]:
    """A panel's markup, and the data that its pointer needs."""
    lines = [line for line in lines if line.curve]
    if not lines:
        return (f'<figure class="{name}"><figcaption>{title}</figcaption><p class="quiet">was not recorded</p></figure>',
                {"lines": []})
    x = axis(min(line.curve.steps[0] for line in lines), max(line.curve.steps[-1] for line in lines), tight=True)
    low = 0.0 if name == "rate" else min(float(line.curve.values.min()) for line in lines)
    y = axis(low, max(float(line.curve.values.max()) for line in lines), logarithmic=name == "norm")
    notes = ", ".join([unit] * bool(unit) + ["logarithmic"] * y.logarithmic)
    markup = "\n".join([
        f'<figure class="{name}">',
        f'<figcaption id="{name}">{title} <span class="quiet">{notes}</span></figcaption>',
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}" tabindex="0">',
        *grid(x, y),
        *(drawn(line, x, y) for line in lines),
        f'<line class="cursor" y1="{TOP}" y2="{HEIGHT - BOTTOM}" visibility="hidden"/>',
        '</svg>',
        '<p class="said" aria-live="polite"></p>',
        '</figure>'])
    return markup, {"low": x.low, "high": x.high, "lines": [
        {"run": line.run, "name": line.name, "x": [int(step) for step in line.curve.steps],
         "y": [float(f"{value:.5g}") for value in line.curve.values]} for line in lines if line.kind != "raw"]}


def grid(x: Axis, y: Axis) -> list[str]:
    """Both axes, with lines across the panel at the ticks of y."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path class="grid" d="M{LEFT} {across_y(y, tick):.1f}H{right}"/>'
             f'<text x="{LEFT - 8}" y="{across_y(y, tick):.1f}" dy=".35em" text-anchor="end">{figure(tick)}</text>'
             for tick in y.ticks]
    for tick in x.ticks:
        place = f"{across_x(x, tick):.1f}"
        label, anchor = (WIDTH - 2, "end") if x.place(tick) > 0.97 else (place, "middle")      # not beyond the edge
        parts.append(f'<path class="tick" d="M{place} {bottom}v5"/>'
                     f'<text x="{label}" y="{bottom + 21}" text-anchor="{anchor}">{figure(tick)}</text>')
    return [*parts, f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>'
                    f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">step</text>']


def drawn(line: Line, x: Axis, y: Axis) -> str:
    points = [(f"{across_x(x, step):.1f}", f"{across_y(y, value):.1f}") for step, value in zip(*line.curve)]
    dots = len(points) == 1 or line.kind == "validation" and len(points) <= 80
    marks = "".join(f'<circle cx="{px}" cy="{py}" r="2.6"/>' for px, py in points) if dots else ""
    path = "M" + "L".join(f"{px} {py}" for px, py in points)
    return f'<g class="c{line.run % COLOURS}"><path class="{line.kind}{dash(line.run)}" d="{path}"/>{marks}</g>'


def dash(run: int) -> str:
    return f" dash{run // COLOURS % 3}" if run >= COLOURS else ""


def across_x(x: Axis, step: float) -> float:
    return LEFT + x.place(step) * (WIDTH - LEFT - RIGHT)


def across_y(y: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM)
