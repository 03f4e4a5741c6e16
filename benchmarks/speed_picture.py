"""Speed compared with PyTorch as a picture, from the figures of one processor or several:

    python -m benchmarks versus_torch --json figures.json
    python -m benchmarks.speed_picture figures.json --svg speed.svg

A bar for each shape and mode is as long as the ratio of the median times, PyTorch's to npgpt's; a line across its end goes
from the first to the third quartile of the rounds. Where a bar reaches beyond 1, npgpt is faster.
"""
import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.shapes import SHAPES
from npgpt.errors import InputError
from npgpt.files import write_whole
from npgpt.inspection.axis import Axis, axis, figure
from npgpt.inspection.picture import picture, text
from npgpt.json_files import read_json

WIDTH, MARGIN = 760, 14
VALUE = 56                                      # the width of the column at the right, with the ratios as text
LEGEND, HEADING, NAME, BAR, GAP, TICKS = 70, 36, 26, 22, 8, 22       # heights
COLOURS = {"eager": "c0", "compiled": "c1"}
TITLES = {shape.name: f"{shape.name}: {shape.about}" for shape in SHAPES}
STYLE = """text { fill: var(--ink); font: 15px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
.heading { font-weight: 600; } .small { fill: var(--quiet); }
.c0 { fill: var(--c0); } .c1 { fill: var(--c1); } .grid { stroke: var(--grid); }
.one { stroke: var(--ink); stroke-width: 1.6; stroke-dasharray: 5 4; }
.quartiles { stroke: var(--ink); stroke-width: 1.6; } path { fill: none; } rect[class] { fill-opacity: .62; }
@media (max-width: 36rem) { text { font-size: 19px; } }
"""


class Processor(NamedTuple):
    """What one run of versus_torch found."""
    name: str
    date: str
    results: dict[str, dict[str, dict]]         # {shape: {mode: figures}}, as versus_torch returns them


def read_processor(path: Path, name: str | None = None) -> Processor:
    """The figures in a file of --json. name: in the place of the one that the system gives. Raises InputError if the file
    has no figures of versus_torch.
    """
    document = read_json(path)
    found = document.get("results", {}).get("versus_torch", {})
    results = {shape: modes for shape, modes in found.items() if modes}
    if not results:
        raise InputError(f"{path} has no figures of versus_torch; python -m benchmarks versus_torch --json FILE writes them")
    day, *_ = document["machine"]["date"].split()
    return Processor(name or document["machine"]["CPU"], day, results)


def speed_picture(processors: Sequence[Processor]) -> bytes:
    """SVG: a panel for each processor, all with the same axis."""
    ratios = [figures["npgpt over torch"]
              for one in processors for modes in one.results.values() for figures in modes.values()]
    x = axis(0, max(1.0, *(ratio[end] for ratio in ratios for end in ("speed", "speed high"))), tight=True)
    parts, y = legend(), float(LEGEND)
    for one in processors:
        bars, bottom = panel(one.results, x, y + HEADING)
        parts += [text(MARGIN, y + 24, f"{one.name}, {one.date}", kind="heading"), *bars]
        y = bottom + TICKS
    return picture("Speed of a training step, compared with PyTorch", WIDTH, y + MARGIN, parts, STYLE)


def legend() -> list[str]:
    parts = [text(MARGIN, 30, "PyTorch's time / npgpt's for a training step, with quartiles", kind="heading")]
    for i, (mode, colour) in enumerate(COLOURS.items()):
        x = MARGIN + 240 * i
        parts += [f'<rect class="{colour}" x="{x}" y="46" width="16" height="16"/>', text(x + 24, 59, f"to {mode} PyTorch")]
    return [*parts, f'<path class="one" d="M{MARGIN + 480} 54h24"/>', text(MARGIN + 512, 59, "as fast as PyTorch")]


def panel(results: dict[str, dict[str, dict]], x: Axis, y: float) -> tuple[list[str], float]:
    """The bars of one processor from y downwards, and where they end. No line crosses the names of the shapes."""
    parts = []
    for shape, modes in results.items():
        parts.append(text(MARGIN, y + NAME - 7, TITLES.get(shape, shape), kind="small"))
        y += NAME
        parts += [line("grid", across(x, tick), y, y + BAR * len(modes)) for tick in x.ticks]
        for mode, figures in modes.items():
            parts += bar(figures["npgpt over torch"], COLOURS[mode], x, y)
            y += BAR
        parts.append(line("one", across(x, 1), y - BAR * len(modes), y))
        y += GAP
    labels = [text(across(x, tick), y + 12, figure(tick), "middle" if tick else "start", "small") for tick in x.ticks]
    return parts + labels, y


def bar(ratio: dict[str, float], colour: str, x: Axis, y: float) -> list[str]:
    median, low, high = (across(x, ratio[name]) for name in ("speed", "speed low", "speed high"))
    middle = y + BAR / 2
    ends = "".join(f"M{end:.1f} {middle - 4}v8" for end in (low, high))
    return [f'<rect class="{colour}" x="{MARGIN}" y="{y + 2}" width="{median - MARGIN:.1f}" height="{BAR - 4}"/>',
            f'<path class="quartiles" d="M{low:.1f} {middle}H{high:.1f}{ends}"/>',
            text(WIDTH - MARGIN, middle + 5.5, f"{ratio['speed']:.2f}", "end")]


def line(kind: str, x: float, top: float, bottom: float) -> str:
    return f'<path class="{kind}" d="M{x:.1f} {top}V{bottom}"/>'


def across(x: Axis, ratio: float) -> float:
    return MARGIN + x.place(ratio) * (WIDTH - 2 * MARGIN - VALUE)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed_picture", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="+", type=Path, metavar="FIGURES.json", help="of one processor each")
    parser.add_argument("--names", nargs="+", default=[], metavar="NAME",
                        help="of the processors, in the order of the files (default: what their systems call them)")
    parser.add_argument("--svg", type=Path, required=True, metavar="FILE")
    args = parser.parse_args(arguments)
    if args.names and len(args.names) != len(args.figures):
        parser.error(f"--names gives {len(args.names)} names to {len(args.figures)} files")
    names = args.names or [None] * len(args.figures)
    try:
        processors = [read_processor(path, name) for path, name in zip(args.figures, names)]
        write_whole(args.svg, [speed_picture(processors)])
    except InputError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
