"""The table that `npgpt trace` prints: a line for each intermediate, and for each parameter's gradient."""
import math
import re
from collections.abc import Iterator

import numpy as np

from npgpt.inspection.statistics import Summary, summarise
from npgpt.inspection.trace import Trace
from npgpt.model.parameters import PREFIX, named_views

BLOCK = re.compile(r"blocks\.\d+\.")
STATISTICS = ("mean", "std", "min", "max")
NAME, SHAPE, NUMBER = 26, 11, 10                # columns
NOT_MADE = "      never made: its backward does without".ljust(len(STATISTICS) * NUMBER)


def intermediate_lines(trace: Trace, full: bool = False) -> Iterator[str]:
    """Every intermediate in the order in which it is made, what made it, and its gradient. full: the arrays as well."""
    titles = "".join(title.rjust(NUMBER) for title in STATISTICS)
    yield f"{'':{NAME + SHAPE}}{' value '.center(len(titles), '-')}   {' gradient '.center(len(titles), '-')}"
    yield f"{'intermediate':{NAME}}{'shape':>{SHAPE}}{titles}   {titles}   made by"
    block = ""
    for name, one in trace.intermediates.items():
        found = BLOCK.match(name)
        if found and found[0] != block:
            yield found[0].rstrip(".")
        block = found[0] if found else ""
        shown = "  " + name.removeprefix(block) if block else name
        gradient = numbers(one.gradient) if one.gradient else NOT_MADE
        yield f"{shown:{NAME}}{dimensions(one.value.shape):>{SHAPE}}{numbers(one.value)}   {gradient}   {one.made_by}"
        if full:
            yield from array_lines(name, one.value.array)
            if one.gradient:
                yield from array_lines("gradient of " + name, one.gradient.array)


def gradient_lines(trace: Trace, full: bool = False) -> Iterator[str]:
    """The gradient of each parameter, its norm, and its share: of the square of the whole norm, so that shares add up
    to 100 %.
    """
    gradients = named_views(trace.gradients, trace.config)
    squares = {name: float(np.square(view, dtype=np.float64).sum()) for name, view in gradients.items()}
    total = sum(squares.values())
    titles = "".join(title.rjust(NUMBER) for title in (*STATISTICS, "norm"))
    yield f"{'gradient of':{NAME}}{'shape':>{SHAPE}}{titles}   share of the norm, squared"
    for name, view in gradients.items():
        share = squares[name] / total if 0 < total < math.inf else 0.0
        yield (f"{name.removeprefix(PREFIX):{NAME}}{dimensions(view.shape):>{SHAPE}}{numbers(summarise(view))}"
               f"{number(squares[name] ** 0.5):>{NUMBER}}{100 * share:7.2f} % {'#' * round(20 * share)}".rstrip())
        if full:
            yield from array_lines(name, named_views(trace.parameters, trace.config)[name])
            yield from array_lines("gradient of " + name, view)
    yield (f"{'all':{NAME}}{dimensions(trace.gradients.shape):>{SHAPE}}{numbers(summarise(trace.gradients))}"
           f"{number(total ** 0.5):>{NUMBER}} 100.00 %")


def array_lines(name: str, array: np.ndarray) -> Iterator[str]:
    """An array itself; of a large one, its corners."""
    text = np.array2string(array, precision=4, suppress_small=True, max_line_width=150, threshold=1000, edgeitems=3)
    yield f"    {name} ="
    yield from ("    " + line if line else "" for line in text.splitlines())
    yield ""


def dimensions(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "()"


def numbers(summary: Summary) -> str:
    return "".join(number(value).rjust(NUMBER) for value in summary[1:1 + len(STATISTICS)])


def number(value: float) -> str:
    """Three digits; what is 0 but for rounding stays visibly tiny."""
    return f"{value:.3g}"
