"""Intermediates, and the calls that make them: what the observer notes."""
from dataclasses import dataclass, field
from types import FrameType

import numpy as np

from npgpt.inspection.statistics import Summary


@dataclass(eq=False)
class Intermediate:
    """An array between two layers, or one that a layer keeps for its way back."""
    variable: str                               # its name in the source of
    owner: "Call"                               # this call
    made_by: str                                # file and function
    value: Summary
    result_of: "Call | None" = None             # the layer that returned it
    gradient: Summary | None = None             # None where the way back never makes it


@dataclass(eq=False)
class Known:
    """An array that a running function has, or has had."""
    array: np.ndarray
    made_by: str
    layer: "Call | None" = None                 # that returned it
    noted: Intermediate | None = None


@dataclass(eq=False)
class Call:
    """A function that is running, or a layer that has run."""
    frame: FrameType | None
    made_by: str
    arguments: dict[str, object]
    undoes: "Call | None" = None                # of a backward pass: the layer
    path: str = ""
    known: list[Known] = field(default_factory=list)
    inputs: list[Intermediate | None] = field(default_factory=list)
    kept: list[Intermediate] = field(default_factory=list)
    result: Intermediate | None = None
    composite: bool = False                     # whether it called a layer

    def find(self, array: np.ndarray) -> Known | None:
        return next((known for known in self.known if known.array is array), None)
