"""Plan: what the command line asked of every benchmark."""
from typing import NamedTuple

from benchmarks.machine import Peaks


class Plan(NamedTuple):
    short: bool                                 # fewer shapes, fewer repeats
    threads: int                                # the most to use
    torch_python: str                           # the interpreter that has torch
    peaks: Peaks
