"""The picture of `npgpt plot --svg`: the training and validation loss of one run or several."""
from collections.abc import Sequence

from npgpt.inspection.curves import HEIGHT, WIDTH, frame, key, loss_lines, panel
from npgpt.inspection.metrics import Run, comparable
from npgpt.inspection.page import style
from npgpt.inspection.picture import PAGE, picture, text

ROW = 26                                        # the height of a line of the legend
MARGIN = 14


def plot_picture(runs: Sequence[Run]) -> bytes:
    """SVG. Each run has a key above the curves: solid for training, dashed for validation."""
    runs, unit = comparable(runs)
    lines = [line for i, run in enumerate(runs) for line in loss_lines(i, run, fewer=max(1, len(runs) // 8)) if line.curve]
    several = len(runs) > 1
    top = MARGIN + ROW * (1 + len(runs) * several)
    parts = [text(MARGIN, MARGIN + 12, f"loss in {unit}; solid: training, dashed: validation")]
    for i, run in enumerate(runs if several else ()):
        y = MARGIN + ROW * (i + 1)
        parts += [f'<g transform="translate({MARGIN} {y})">{key(i)}</g>', text(MARGIN + 50, y + 12, run.name)]
    parts += [f'<g transform="translate(0 {top})">', *panel(lines, frame(lines)), "</g>"]
    title = "Loss in training: " + ", ".join(run.name for run in runs)
    return picture(title, WIDTH, top + HEIGHT, parts, style("curves.css"), shown=PAGE)
