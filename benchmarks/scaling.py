"""scaling: how time and memory grow with each size and with threads, beside how they should."""
import tracemalloc
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.machine import thread_counts
from benchmarks.plan import Plan
from benchmarks.roofline import training_flops
from benchmarks.shapes import DTYPE, Shape, random_batch
from benchmarks.table import Table, megabytes, milliseconds, paragraph, spread
from benchmarks.timing import Effort, Times, measure
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import initial_parameters
from npgpt.training.footprint import footprint
from npgpt.parallel.data_parallel import parallel_gradients

EFFORT = Effort(warmup=1, least=5, seconds=0.5)
SHORT_EFFORT = Effort(warmup=1, least=2, seconds=0.1)
BASE = {"T": 128, "C": 256, "L": 2, "B": 4, "V": 256}
HEAD = 64                    # channels of a head, as in GPT-2: their number grows with C
POINTS = {"T": [32, 64, 128, 256, 512, 1024], "C": [128, 256, 512, 1024], "L": [1, 2, 4, 8], "B": [1, 2, 4, 8, 16],
          "V": [256, 1024, 4096, 16384]}
SHORT_POINTS = {"T": [64, 128, 256], "C": [128, 256, 512], "L": [1, 2, 4], "B": [1, 2, 4], "V": [256, 1024, 4096]}
WHY = {
    "T": "products with weights, and activations, grow with T; attention's with T^2",
    "C": "weights, their gradients and products grow with C^2; activations and attention with C",
    "L": "each block does and keeps the same; the head, and work in progress, are there once",
    "B": "each sequence does and keeps the same; the size of the gradients does not depend on B",
    "V": "the head's product, its gradient and the scores grow with V; the blocks know nothing of it",
    "threads": "each has an equal part of the batch (time), but a whole gradient of its own (memory)",
}


class Point(NamedTuple):
    """One measurement, and what is expected to be proportional to it."""
    value: int
    time: Times
    memory: int                                 # bytes, the most at once beyond the parameters
    flops: float                                # of matrix products, on the busiest thread
    bytes: int                                  # gradients and activations, as npgpt train --dry-run foretells them


def run(plan: Plan) -> dict:
    """Print the measurements and the exponents  ->  {size: {"points": ..., "time": ..., "memory": ...}}"""
    effort, points = (SHORT_EFFORT, SHORT_POINTS) if plan.short else (EFFORT, POINTS)
    paragraph("Forward, loss and backward. From " + ", ".join(f"{name} = {value}" for name, value in BASE.items())
              + f", heads of {HEAD} channels, one size grows at a time. One thread, except where threads grow.")
    paragraph(f"""Medians of calls: {effort}. Memory is the most that was allocated at once during one further call
        (tracemalloc), gradients included, parameters not.""")
    print()
    table = Table(("grows", -7), ("to", 6), ("ms", 9), ("spread", 6), ("MB", 9))
    measured = {name: grow(name, values, effort, table) for name, values in points.items()}
    measured["threads"] = grow("threads", thread_counts(plan.threads), effort, table)

    print()
    paragraph("""Exponents: the slope of log time and log memory over log size, fitted to these points. Expected are
        those fitted in the same way to the flops of the matrix products, and to gradients and activations as
        npgpt train --dry-run foretells them. Element-wise work grows with lower powers than these products: it
        draws the measured time below.""")
    print()
    table = Table(("grows", -7), ("time", 6), ("expected", 8), ("memory", 6), ("expected", 8))
    results = {name: conclude(name, found, table) for name, found in measured.items()}
    print("\nWhy:")
    for name, reason in WHY.items():
        paragraph(reason, name)
    return results


def grow(name: str, values: list[int], effort: Effort, table: Table) -> list[Point]:
    """Measure at each value of one size."""
    found = []
    for value in values:
        sizes = {**BASE, **({name: value} if name in BASE else {})}
        if name == "threads":
            sizes["B"] = 2 * max(values)        # enough sequences for every thread
        found.append(measure_point(sizes, value, value if name == "threads" else 1, effort))
        point = found[-1]
        table.row(name if len(found) == 1 else "", str(value), milliseconds(point.time), spread(point.time),
                  megabytes(point.memory))
    return found


def measure_point(sizes: dict[str, int], value: int, threads: int, effort: Effort) -> Point:
    config = GPTConfig(vocab_size=sizes["V"], n_positions=sizes["T"], n_embd=sizes["C"], n_layer=sizes["L"],
                       n_head=sizes["C"] // HEAD).without_dropout()
    shape = Shape("scaling", "", config, sizes["B"], sizes["T"])
    ids, targets = random_batch(shape)
    parameters = initial_parameters(config, seed=0, dtype=DTYPE)
    with parallel_gradients(threads) as gradients_of:
        def call() -> None:
            gradients_of(ids, targets, parameters, config)
        time, memory = measure(call, effort), peak_allocated(call)
    need = footprint(config, shape.B, threads, DTYPE)
    return Point(value, time, memory, training_flops(config, shape.B, shape.T) / threads, need.gradients + need.activations)


def peak_allocated(call: Callable[[], object]) -> int:
    """Bytes that were allocated at once, at most, during the call. Not timed: tracing is slow."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def conclude(name: str, found: list[Point], table: Table) -> dict:
    """The exponents, and a row for them."""
    values = [point.value for point in found]
    fits = {"time": [point.time.median for point in found], "time expected": [point.flops for point in found],
            "memory": [point.memory for point in found], "memory expected": [point.bytes for point in found]}
    exponents = {of: exponent(values, numbers) for of, numbers in fits.items()}
    cells = ["-" if fit is None else f"{fit:.2f}" for fit in exponents.values()]
    table.row(name, *cells)
    return {"points": {str(point.value): {**point.time.figures(), "peak MB": point.memory / 1e6} for point in found},
            **{of: {"exponent": exponents[of], "expected": exponents[of + " expected"]} for of in ("time", "memory")}}


def exponent(sizes: list[float], values: list[float]) -> float | None:
    """The k of values ~ sizes^k, by least squares on logarithms; None for a single point."""
    if len(sizes) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
