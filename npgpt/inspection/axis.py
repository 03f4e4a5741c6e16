"""Axis: round numbers to label a range with, and the place of a value between its ends."""
import math
from typing import NamedTuple

DECADES = 2.0             # a logarithmic scale is used for values that are all above 0 and span more than these
TINY = 5e-324             # the smallest float above 0
NARROWEST = 1e-300        # a range that is narrower cannot be divided by ticks


class Axis(NamedTuple):
    low: float
    high: float
    ticks: list[float]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high end."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = (math.log(max(z, TINY)) for z in (low, high, value))
        return (value - low) / (high - low)


def axis(low: float, high: float, count: int = 5, logarithmic: bool = False, tight: bool = False) -> Axis:
    """An axis from low to high, or if not tight, to the ticks around them, of which it has about `count`. logarithmic: if
    the values are above 0 and span more than DECADES.
    """
    if high - low < NARROWEST:
        margin = abs(low) / 2 if abs(low) > NARROWEST else 1.0
        low, high = low - margin, high + margin
    if logarithmic and low > 0 and math.log10(high) - math.log10(low) > DECADES:
        start, stop = math.floor(math.log10(low)), math.ceil(math.log10(high))
        ticks = [10.0 ** i for i in range(start, stop + 1, max(math.ceil((stop - start) / count), 1)) if -323 < i < 309]
        return Axis(max(10.0 ** start, TINY), min(10.0 ** stop, 1.7e308), ticks, True)
    step = nice_step((high - low) / count)
    if tight:                                                      # 1e-9: so that rounding does not remove the last tick
        start, stop = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    else:
        start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        low, high = min(start * step, low), max(stop * step, high)
    return Axis(low, high, [round(i * step, 12 - math.floor(math.log10(step))) for i in range(start, stop + 1)])


def nice_step(step: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, ..."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))


def figure(value: float) -> str:
    """The label of a tick: 5e-4, 0.25, 1,000, 20k, 3M"""
    size = abs(value)
    if size >= 1e15 or 0 < size < 0.01:
        mantissa, _, exponent = f"{value:.6e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    for least, unit, letter in ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if size >= least:
            return f"{value / unit:.6g}{letter}"
    return f"{value:,.6g}"
