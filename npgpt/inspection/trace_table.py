"""The table that `npgpt trace` prints: a line for each intermediate, and one for each parameter's gradient."""
import math
import re
from collections.abc import Iterator

import numpy as np

from npgpt.inspection.intermediates import Summary, summarise
from npgpt.inspection.trace import Trace
from npgpt.model.parameters import named_views

BLOCK = re.compile(r"blocks\.\d+\.")
NAME, SHAPE, NUMBER = 26, 11, 10                # columns
STATISTICS = "".join(title.rjust(NUMBER) for title in ("mean", "std", "min", "max"))
NO_GRADIENT = "      not computed: backward does not need it".ljust(len(STATISTICS))


def intermediate_lines(trace: Trace, full: bool = False) -> Iterator[str]:
    """Every intermediate in the order in which it is made, its gradient, and what made it. full: the arrays as well."""
    width = len(STATISTICS)
    yield f"{'':{NAME + SHAPE}}{' value '.center(width, '-')}   {' gradient '.center(width, '-')}"
    yield f"{'intermediate':{NAME}}{'shape':>{SHAPE}}{STATISTICS}   {STATISTICS}   made by"
    block = ""
    for name, one in trace.intermediates.items():
        found = BLOCK.match(name)
        if found and found[0] != block:
            yield found[0].rstrip(".")
        block = found[0] if found else ""
        shown = "  " + name.removeprefix(block) if block else name
        gradient = numbers(one.gradient) if one.gradient else NO_GRADIENT
        yield f"{shown:{NAME}}{dimensions(one.value):>{SHAPE}}{numbers(one.value)}   {gradient}   {one.made_by}"
        if full:
            yield from array_lines(name, one.value.array)
            if one.gradient:
                yield from array_lines("gradient of " + name, one.gradient.array)


def gradient_lines(trace: Trace, full: bool = False) -> Iterator[str]:
    """The gradient of each parameter, its norm, and its share of the squared norm of all. full: the arrays as well."""
    parameters, gradients = (named_views(vector, trace.task.table) for vector in (trace.parameters, trace.gradients))
    total = squared_norm(trace.gradients)
    yield f"{'gradient of':{NAME}}{'shape':>{SHAPE}}{STATISTICS}{'norm':>{NUMBER}}   share of the squared norm"
    for name, gradient in [*gradients.items(), ("all", trace.gradients)]:
        summary, square = summarise(gradient), squared_norm(gradient)
        share = square / total if 0 < total < math.inf else 0.0
        yield (f"{name:{NAME}}{dimensions(summary):>{SHAPE}}{numbers(summary)}{number(math.sqrt(square)):>{NUMBER}}"
               f"{100 * share:7.2f} % {'#' * round(20 * share)}".rstrip())
        if full and name in parameters:
            yield from array_lines(name, parameters[name])
            yield from array_lines("gradient of " + name, gradient)


def squared_norm(array: np.ndarray) -> float:
    return float(np.square(array, dtype=np.float64).sum())


def array_lines(name: str, array: np.ndarray) -> Iterator[str]:
    """An array itself; of a large one, its corners."""
    text = np.array2string(array, precision=4, suppress_small=True, max_line_width=150, threshold=1000, edgeitems=3)
    yield f"    {name} ="
    yield from ("    " + line if line else "" for line in text.splitlines())
    yield ""


def dimensions(summary: Summary) -> str:
    return "x".join(map(str, summary.shape)) or "()"


def numbers(summary: Summary) -> str:
    return "".join(number(value).rjust(NUMBER) for value in summary[1:5])


def number(value: float) -> str:
    """Three significant digits, and an exponent for what is very small or large."""
    return f"{value:.3g}"
