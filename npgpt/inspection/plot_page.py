"""The page of `npgpt plot --html`: panels of SVG, one colour a run."""
import html
from collections.abc import Sequence
from typing import NamedTuple

from npgpt.inspection.axis import Axis, axis, figure
from npgpt.inspection.metrics import Curve, Run, smooth, thin
from npgpt.inspection.page import embed, fill

WIDTH, HEIGHT = 640, 340                        # of a panel, in its own units
LEFT, RIGHT, TOP, BOTTOM = 70, 14, 12, 48       # margins
COLOURS = 6                                     # in the page's style; then they come again, with another dash
RAW, SMOOTHED = 1200, 400                       # points that are drawn of one curve, at most
WINDOW = 50                                     # what is noisy is smoothed over a 50th of the run


class Line(NamedTuple):
    """One curve of a panel."""
    run: int
    kind: str                                   # how it looks: raw, train or validation
    curve: Curve
    name: str


def plot_page(runs: Sequence[Run]) -> bytes:
    """HTML that opens without a network, for one run or several."""
    share = max(1, len(runs) // 8)              # many runs share the points, so that the page stays light
    loss, rate, norm = [], [], []
    for i, run in enumerate(runs):
        loss += noisy(i, run.loss, "training", share)
        loss.append(Line(i, "validation", thin(run.validation_loss, SMOOTHED // share), "validation"))
        rate.append(Line(i, "train", thin(run.learning_rate, SMOOTHED // share), "learning rate"))
        norm += noisy(i, run.gradient_norm, "gradient norm", share)
    panels = [panel("loss", "Loss", "nats a token", loss), panel("rate", "Learning rate", "", rate),
              panel("norm", "Gradient norm", "before clipping", norm)]
    steps = max(int(one.steps[-1]) for run in runs for one in (run.loss, run.validation_loss) if one)
    smoothed = any(line.kind == "raw" for line in loss + norm)
    means = ("Training loss and gradient norm are means over a fiftieth of the run around each step; what they were "
             "stands pale behind. ")
    summary = (f"{len(runs)} run{'s' * (len(runs) > 1)}, {steps:,} step{'s' * (steps > 1)}. {means * smoothed}"
               "Solid: training, dashed: validation.")
    return fill("plot.html", title="Training: " + ", ".join(run.name for run in runs), summary=summary,
                rows="\n".join(summary_row(i, run) for i, run in enumerate(runs)),
                panels="\n".join(markup for markup, _ in panels), left=str(LEFT), width=str(WIDTH - LEFT - RIGHT),
                data=embed({"runs": [run.name for run in runs], "panels": [data for _, data in panels]}))


def noisy(run: int, curve: Curve, name: str, share: int) -> list[Line]:
    """A curve that jumps from step to step: smoothed, with itself behind."""
    smoothed = Line(run, "train", thin(smooth(curve, window(curve)), SMOOTHED // share), name)
    return [Line(run, "raw", thin(curve, RAW // share), ""), smoothed] if window(curve) > 1 else [smoothed]


def window(curve: Curve) -> int:
    return len(curve.steps) // WINDOW


def summary_row(i: int, run: Run) -> str:
    """A run's line in the table that is also the legend."""
    steps = max(int(one.steps[-1]) for one in (run.loss, run.validation_loss) if one)
    train = validation = best = "–"
    if run.loss:
        train = f"{smooth(run.loss, window(run.loss)).values[-1]:.4f}"
    if run.validation_loss:
        lowest = run.validation_loss.values.argmin()
        validation = f"{run.validation_loss.values[-1]:.4f}"
        best = f"{run.validation_loss.values[lowest]:.4f} at {run.validation_loss.steps[lowest]:,.0f}"
    key = (f'<svg class="key c{i % COLOURS}" viewBox="0 0 40 12" aria-hidden="true">'
           f'<path class="train{dash(i)}" d="M1 4H39"/>'
           f'<path class="validation" d="M1 9H39"/><circle cx="20" cy="9" r="2.4"/></svg>')
    return (f'<tr><th scope="row">{key}{html.escape(run.name)}</th><td>{steps:,}</td><td>{train}</td>'
            f"<td>{validation}</td><td>{best}</td></tr>")


def panel(name: str, title: str, unit: str, lines: Sequence[Line]) -> tuple[str, dict]:
    """A panel's markup, and what its pointer needs."""
    lines = [line for line in lines if line.curve]
    if not lines:
        empty = f'<figure class="{name}"><figcaption>{title}</figcaption><p class="quiet">was not written down</p></figure>'
        return empty, {"lines": []}
    x = axis(min(line.curve.steps[0] for line in lines), max(line.curve.steps[-1] for line in lines), tight=True)
    low = 0.0 if name == "rate" else min(float(line.curve.values.min()) for line in lines)
    high = max(float(line.curve.values.max()) for line in lines)
    y = axis(low, high, logarithmic=name == "norm")
    said = ", ".join([unit] * bool(unit) + ["logarithmic"] * y.logarithmic)
    caption = f'{title} <span class="quiet">{said}</span>'
    return f"""<figure class="{name}">
<figcaption id="{name}">{caption}</figcaption>
<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}" tabindex="0">
{grid(x, y)}
{chr(10).join(drawn(line, x, y) for line in lines)}
<line class="cursor" y1="{TOP}" y2="{HEIGHT - BOTTOM}" visibility="hidden"/>
</svg>
<p class="said" aria-live="polite"></p>
</figure>""", {"low": x.low, "high": x.high, "lines": [
        {"run": line.run, "name": line.name, "x": [int(step) for step in line.curve.steps],
         "y": [float(f"{value:.5g}") for value in line.curve.values]} for line in lines if line.kind != "raw"]}


def grid(x: Axis, y: Axis) -> str:
    parts = []
    for tick in y.ticks:
        place = across_y(y, tick)
        parts.append(f'<path class="grid" d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}"/>'
                     f'<text x="{LEFT - 8}" y="{place:.1f}" dy=".35em" text-anchor="end">{figure(tick)}</text>')
    for tick in x.ticks:
        place = across_x(x, tick)
        edge = x.place(tick) > 0.97                                # where a centred label would be cut off
        anchor = "end" if edge else "middle"
        parts.append(f'<path class="tick" d="M{place:.1f} {HEIGHT - BOTTOM}v5"/>'
                     f'<text x="{WIDTH - 2 if edge else place:.1f}" y="{HEIGHT - BOTTOM + 21}" '
                     f'text-anchor="{anchor}">{figure(tick)}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
                 f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">step</text>')
    return "\n".join(parts)


def drawn(line: Line, x: Axis, y: Axis) -> str:
    points = [(across_x(x, step), across_y(y, value)) for step, value in zip(line.curve.steps, line.curve.values)]
    colour = f"c{line.run % COLOURS}"
    path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
    marks = "".join(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.6"/>' for px, py in points) if (
        line.kind == "validation" and len(points) <= 80 or len(points) == 1) else ""
    return f'<g class="{colour}"><path class="{line.kind}{dash(line.run)}" d="{path}"/>{marks}</g>'


def dash(run: int) -> str:
    return f" dash{run // COLOURS % 3}" if run >= COLOURS else ""


def across_x(x: Axis, step: float) -> float:
    return LEFT + x.place(step) * (WIDTH - LEFT - RIGHT)


def across_y(y: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM)
