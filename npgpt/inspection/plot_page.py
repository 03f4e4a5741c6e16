"""The page of `npgpt plot --html`: training curves with a table of the runs."""
import html
from collections.abc import Sequence

from npgpt.inspection.curves import (BOTTOM, HEIGHT, SMOOTHED, TOP, WIDTH, Line, averaged, frame, key, loss_lines,
                                     noisy_lines, panel)
from npgpt.inspection.metrics import Run, comparable, thin
from npgpt.inspection.page import embed, fill, style


def plot_page(runs: Sequence[Run]) -> bytes:
    """HTML that opens without a network, for one run or several."""
    runs, unit = comparable(runs)
    fewer = max(1, len(runs) // 8)              # with many runs, each has fewer points, so that the page stays small
    loss, rate, norm = [], [], []
    for i, run in enumerate(runs):
        loss += loss_lines(i, run, fewer)
        rate.append(Line(i, "train", thin(run.learning_rate, SMOOTHED // fewer), "learning rate"))
        norm += noisy_lines(i, run.gradient_norm, "gradient norm", fewer)
    figures = [figure_of("loss", "Loss", unit, loss), figure_of("rate", "Learning rate", "", rate),
               figure_of("norm", "Gradient norm", "before clipping", norm)]
    steps = max(run.steps for run in runs)
    means = ("Training loss and gradient norm are means over a fiftieth of the run around each step; the values themselves "
             "are drawn pale behind. ") * any(line.kind == "raw" for line in loss + norm)
    summary = (f"{len(runs)} run{'s' * (len(runs) > 1)}, {steps:,} step{'s' * (steps > 1)}. {means}"
               "Solid: training, dashed: validation.")
    return fill("plot.html", title="Training: " + ", ".join(run.name for run in runs), summary=summary,
                curves=style("curves.css"), rows="\n".join(summary_row(i, run) for i, run in enumerate(runs)),
                panels="\n".join(markup for markup, _ in figures),
                data=embed({"runs": [run.name for run in runs], "panels": [data for _, data in figures]}))


def summary_row(i: int, run: Run) -> str:
    """A run's line in the table that is also the legend."""
    train = validation = best = "–"
    if run.loss:
        train = f"{averaged(run.loss).values[-1]:.4f}"
    if run.validation_loss:
        steps, losses = run.validation_loss
        validation, lowest = f"{losses[-1]:.4f}", losses.argmin()
        best = f"{losses[lowest]:.4f} at {steps[lowest]:,.0f}"
    icon = f'<svg class="key" viewBox="0 0 40 12" aria-hidden="true">{key(i)}</svg>'
    return (f'<tr><th scope="row">{icon}{html.escape(run.name)}</th>'
            f"<td>{run.steps:,}</td><td>{train}</td><td>{validation}</td><td>{best}</td></tr>")


def figure_of(name: str, title: str, unit: str, lines: Sequence[Line]) -> tuple[str, dict]:
    """A panel with its title, and the data that its pointer needs."""
    lines = [line for line in lines if line.curve]
    if not lines:
        return (f'<figure class="{name}"><figcaption>{title}</figcaption><p class="quiet">was not recorded</p></figure>',
                {"lines": []})
    where = frame(lines, from_zero=name == "rate", logarithmic=name == "norm")
    notes = ", ".join([unit] * bool(unit) + ["logarithmic"] * where.y.logarithmic)
    markup = "\n".join([
        f'<figure class="{name}">',
        f'<figcaption id="{name}">{title} <span class="quiet">{notes}</span></figcaption>',
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}" tabindex="0">',
        *panel(lines, where),
        f'<line class="cursor" y1="{TOP}" y2="{HEIGHT - BOTTOM}" visibility="hidden"/>',
        '</svg>',
        '<p class="said" aria-live="polite"></p>',
        '</figure>'])
    return markup, {"low": where.x.low, "high": where.x.high, "left": where.left, "width": where.width, "lines": [
        {"run": line.run, "name": line.name, "x": [int(step) for step in line.curve.steps],
         "y": [float(f"{value:.5g}") for value in line.curve.values]} for line in lines if line.kind != "raw"]}
