"""Plan: what the command line asked of every benchmark."""
from typing import NamedTuple

from benchmarks.machine import Peak
from benchmarks.shapes import SHAPES, Shape


class Plan(NamedTuple):
    short: bool                                 # fewer shapes, fewer repeats
    threads: int                                # the most to use
    torch_python: str                           # the interpreter that has torch
    peaks: dict[int, Peak]                      # by number of threads

    @property
    def shapes(self) -> list[Shape]:
        return SHAPES[:2] if self.short else SHAPES
