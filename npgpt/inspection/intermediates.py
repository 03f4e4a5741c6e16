"""Intermediates, and the calls that make them: what the observer records."""
from dataclasses import dataclass, field
from types import FrameType
from typing import NamedTuple

import numpy as np


class Summary(NamedTuple):
    """Statistics of an array."""
    shape: tuple[int, ...]
    mean: float
    deviation: float
    smallest: float
    largest: float
    array: np.ndarray | None                    # a copy of it, or None


def summarise(array: np.ndarray, keep: bool = False) -> Summary:
    """Mean and standard deviation are computed in double precision. keep: keep a copy of the array."""
    mean, deviation = float(array.mean(dtype=np.float64)), float(array.std(dtype=np.float64))
    return Summary(array.shape, mean, deviation, float(array.min()), float(array.max()), array.copy() if keep else None)


@dataclass(eq=False)
class Intermediate:
    """An array that is passed from one layer to the next, or that a layer keeps for its backward pass.

    What a layer returns has no name until the function that called it assigns it to a variable.
    """
    made_by: str                                # file and function
    result_of: "Call | None" = None             # the layer that returned it
    variable: str = ""                          # its name in the source of
    owner: "Call | None" = None                 # this call
    value: Summary | None = None
    gradient: Summary | None = None             # None if the backward pass does not compute it


@dataclass(eq=False)
class Call:
    """A function that is running, or a layer that has run."""
    frame: FrameType | None
    made_by: str
    arguments: dict[str, object]
    layer: "Call | None" = None                 # of a backward function: the layer whose cache it was given
    path: str = ""
    known: list[tuple[np.ndarray, Intermediate]] = field(default_factory=list)
    inputs: list[Intermediate | None] = field(default_factory=list)
    result: Intermediate | None = None
    composite: bool = False                     # whether it has called a layer

    def find(self, array: np.ndarray) -> Intermediate | None:
        return next((one for other, one in self.known if other is array), None)
