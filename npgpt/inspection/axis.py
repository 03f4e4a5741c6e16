"""Axis: round figures along a range, and the place of a value between them."""
import math
from typing import NamedTuple

DECADES = 2.0             # values that span more of them, and of which none is 0 or below, are drawn on a logarithmic scale


class Axis(NamedTuple):
    low: float
    high: float
    ticks: list[float]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high end."""
        if self.logarithmic:
            return (math.log(max(value, 5e-324)) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)


def axis(low: float, high: float, count: int = 5, logarithmic: bool = False, tight: bool = False) -> Axis:
    """An axis from low to high with about `count` ticks. tight: end at the values themselves, not at the ticks around them.

    logarithmic is a wish: it is heard where the values are positive and span more than DECADES.
    """
    if low == high:
        margin = abs(low) / 2 or 1.0
        low, high = low - margin, high + margin
    if logarithmic and low > 0 and math.log10(high) - math.log10(low) > DECADES:
        return logarithmic_axis(low, high, count)
    step = nice_step((high - low) / count)
    if tight:                                                      # 1e-9: what is a tick but for its rounding is one
        start, stop = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    else:
        start, stop = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        low, high = min(start * step, low), max(stop * step, high)
    return Axis(low, high, [round(i * step, 12 - math.floor(math.log10(step))) for i in range(start, stop + 1)])


def logarithmic_axis(low: float, high: float, count: int) -> Axis:
    start, stop = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(math.ceil((stop - start) / count), 1)
    return Axis(max(10.0 ** start, 5e-324), min(10.0 ** stop, 1.7e308), [10.0 ** i for i in range(start, stop + 1, every)
                                                                      if -323 < i < 309], True)


def nice_step(step: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, ..."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))


def figure(value: float) -> str:
    """A tick's label: 5e-4, 0.25, 1,000, 20k, 3M"""
    size = abs(value)
    if size >= 1e15 or 0 < size < 0.01:
        mantissa, _, exponent = f"{value:.6e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    for unit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if size >= unit:
            return f"{value / unit:.6g}{letter}"
    return f"{value / 1e3:.6g}k" if size >= 1e4 else f"{value:,.6g}"
