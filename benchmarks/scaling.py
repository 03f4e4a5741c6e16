"""scaling: how time and memory grow with each size and with threads, and how they are expected to."""
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmarks.machine import thread_counts
from benchmarks.roofline import training_flops
from benchmarks.shapes import DTYPE, Plan, Shape
from benchmarks.table import Table, megabytes, milliseconds, paragraph, spread
from benchmarks.timing import Effort, Times, measure
from npgpt.model.config import GPTConfig
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.training.footprint import footprint, peak_allocated

EFFORT = Effort(warmup=1, least=5, seconds=0.5)
SHORT_EFFORT = Effort(warmup=1, least=2, seconds=0.1)
BASE = {"T": 128, "C": 256, "L": 2, "B": 4, "V": 256}
HEAD_CHANNELS = 64           # as in GPT-2: the number of heads grows with C
POINTS = {"T": [32, 64, 128, 256, 512, 1024], "C": [128, 256, 512, 1024], "L": [1, 2, 4, 8], "B": [1, 2, 4, 8, 16],
          "V": [256, 1024, 4096, 16384]}
WHY = {
    "T": "products with weights, and activations, grow with T; attention's with T^2",
    "C": "weights, their gradients and products grow with C^2; activations and attention with C",
    "L": "every block computes and keeps the same amount; the head and temporary arrays do not depend on L",
    "B": "every sequence takes the same work and memory; the size of the gradients does not depend on B",
    "V": "the head's product, its gradient and the logits grow with V; the blocks do not depend on it",
    "threads": "each has an equal part of the batch (time), but its own gradient vector (memory)",
}


class Point(NamedTuple):
    """One measurement, and what it is expected to be proportional to."""
    value: int
    time: Times
    memory: int                                 # bytes, the most at once in addition to the parameters
    flops: float                                # of matrix products, on the busiest thread
    bytes: int                                  # gradients and activations, as npgpt train --dry-run estimates them


def run(plan: Plan) -> dict:
    """Print the measurements and the exponents  ->  {size: {"points": ..., "time": ..., "memory": ...}}"""
    effort, most = (SHORT_EFFORT, 3) if plan.short else (EFFORT, None)
    paragraph("Forward, loss and backward. From " + ", ".join(f"{name} = {value}" for name, value in BASE.items())
              + f", heads of {HEAD_CHANNELS} channels, one size grows at a time. One thread, except where threads grow.")
    paragraph(f"""Medians of calls: {effort}. Memory is the most that was allocated at once during a first call
        (tracemalloc), gradients included, parameters not.""")
    print()
    table = Table(("grows", -7), ("to", 6), ("ms", 9), ("spread", 6), ("MB", 9))
    measured = {name: grow(name, values[:most], effort, table) for name, values in POINTS.items()}
    measured["threads"] = grow("threads", thread_counts(plan.threads), effort, table)
    print()
    paragraph("""Exponents: the slope of log time and log memory over log size, fitted to these points. Expected are
        those fitted in the same way to the flops of the matrix products, and to gradients and activations as
        npgpt train --dry-run estimates them. Element-wise work grows with lower powers than these products, so that
        the measured time may grow more slowly than expected.""")
    print()
    table = Table(("grows", -7), ("time", 6), ("expected", 8), ("memory", 6), ("expected", 8))
    results = {name: conclude(name, found, table) for name, found in measured.items()}
    print("\nWhy:")
    for name, reason in WHY.items():
        paragraph(reason, name)
    return results


def grow(name: str, values: list[int], effort: Effort, table: Table) -> list[Point]:
    """Measure at each value of one size, or of the number of threads, and print a row for each."""
    found = []
    for value in values:
        size = {"B": 2 * max(values)} if name == "threads" else {name: value}        # so that every thread has sequences
        point = measure_point({**BASE, **size}, value, value if name == "threads" else 1, effort)
        table.row("" if found else name, str(value), milliseconds(point.time), spread(point.time), megabytes(point.memory))
        found.append(point)
    return found


def measure_point(sizes: dict[str, int], value: int, threads: int, effort: Effort) -> Point:
    config = GPTConfig(vocab_size=sizes["V"], n_positions=sizes["T"], n_embd=sizes["C"], n_layer=sizes["L"],
                       n_head=sizes["C"] // HEAD_CHANNELS).without_dropout()
    shape = Shape("scaling", "", config, sizes["B"], sizes["T"])
    with parallel_gradients(shape.task, threads) as loss_and_gradients:
        call = partial(loss_and_gradients, shape.batch(), shape.parameters())
        memory = peak_allocated(call)                     # of the first call, because threads keep their gradient vectors
        time = measure(call, effort)
    need = footprint(shape.task, shape.B, threads, DTYPE)
    return Point(value, time, memory, training_flops(config, shape.B, shape.T) / threads, need.gradients + need.activations)


def conclude(name: str, found: list[Point], table: Table) -> dict:
    """Print a row of exponents  ->  the figures of one size"""
    values, times, memory, flops, sizes = zip(*found)
    fits = [exponent(values, of) for of in ([time.median for time in times], flops, memory, sizes)]
    table.row(name, *("-" if fit is None else f"{fit:.2f}" for fit in fits))
    return {"points": {str(point.value): {**point.time.figures(), "peak MB": point.memory / 1e6} for point in found},
            "time": {"exponent": fits[0], "expected": fits[1]}, "memory": {"exponent": fits[2], "expected": fits[3]}}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """The k of values ~ sizes^k, by least squares on logarithms; None for a single point."""
    if len(sizes) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
