"""Machine: what the figures were measured on, and the most that it can do."""
import datetime
import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.shapes import DTYPE
from benchmarks.table import number, paragraph
from npgpt.parallel.blas import blas_threads, find_blas_threads
from npgpt.parallel.threads import available_cores

PRODUCTS = 256, 512, 1024                       # rows and columns of the matrices whose products are timed
PRODUCT_FLOPS = 4 * 10**9                       # about so many in each attempt, by repeating small products
ARRAY = 256 * 10**6                             # bytes of an array that no cache holds
ATTEMPTS = 6                                    # the best counts, because a peak is what nothing disturbed

STEADY = 0.1                                    # a machine whose peaks differ by more than this was disturbed


class Peaks(NamedTuple):
    """The most that this machine was seen to do, by the number of threads."""
    flops: dict[int, float]                     # float32 operations a second, in square matrix products
    bandwidth: dict[int, float]                 # bytes read and written a second, in adding arrays
    reading: dict[int, float]                   # bytes read a second, where nothing is written

    def figures(self) -> dict:
        """For JSON."""
        return {str(n): {"sgemm peak GFLOP/s": self.flops[n] / 1e9, "bandwidth GB/s": self.bandwidth[n] / 1e9,
                         "reading GB/s": self.reading[n] / 1e9} for n in self.flops}


def thread_counts(most: int) -> list[int]:
    """1, 2, 4 ... and `most` itself."""
    return sorted({2**i for i in range(most.bit_length()) if 2**i <= most} | {most})


def measure_peaks(most_threads: int) -> Peaks:
    """Each thread multiplies, or adds, on its own with BLAS held to one thread, as training does it."""
    counts = thread_counts(most_threads)
    with blas_threads(1):
        return Peaks({n: sgemm_peak(n) for n in counts}, {n: memory_bandwidth(n) for n in counts},
                     {n: reading_bandwidth(n) for n in counts})


def sgemm_peak(threads: int) -> float:
    """Floating point operations a second of square products, 2 n^3 each, of the size that does best."""
    rates = []
    for n in PRODUCTS:
        a = np.random.default_rng(0).standard_normal((n, n), dtype=DTYPE)
        repeats = max(PRODUCT_FLOPS // (2 * n**3), 1)

        def multiply(out: np.ndarray) -> None:
            for _ in range(repeats):
                np.matmul(a, a, out=out)

        results = [np.empty_like(a) for _ in range(threads)]
        seconds = best_time([partial(multiply, out) for out in results])
        rates.append(threads * repeats * 2 * n**3 / seconds)
    return max(rates)


def memory_bandwidth(threads: int) -> float:
    """Bytes a second in target += source: two reads and a write. (A copy would write to memory that it has not
    read, which some processors read all the same; and memcpy's speed depends on how the two are aligned.)
    """
    source = np.ones(ARRAY // np.dtype(DTYPE).itemsize, DTYPE)
    target = np.ones_like(source)
    pairs = zip(np.array_split(target, threads), np.array_split(source, threads))
    return 3 * source.nbytes / best_time([partial(np.add, to, by, out=to) for to, by in pairs])


def reading_bandwidth(threads: int) -> float:
    """Bytes a second in the sum of squares of an array: one read."""
    source = np.ones(ARRAY // np.dtype(DTYPE).itemsize, DTYPE)
    return source.nbytes / best_time([partial(np.dot, part, part) for part in np.array_split(source, threads)])


def best_time(calls: list[Callable[[], object]]) -> float:
    """Seconds of the fastest of several attempts to make all calls at once, each in its own thread."""
    seconds = []
    with ThreadPoolExecutor(len(calls)) as pool:
        for _ in range(ATTEMPTS + 1):
            start = time.perf_counter()
            for job in [pool.submit(call) for call in calls]:
                job.result()
            seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def describe(threads: int) -> dict[str, str]:
    """What a reader needs in order to judge the figures, or to measure them again."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    simd = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    held = "held by npgpt" if find_blas_threads() else "CANNOT be held: OPENBLAS_NUM_THREADS=1 or the like may help"
    return {
        "CPU": f"{cpu_name()}, {available_cores()} of {os.cpu_count()} cores",
        "memory": memory_size(),
        "system": platform.platform(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "NumPy": f"{np.__version__}, SIMD found: {' '.join(simd) or 'baseline only'}",
        "BLAS": f"{blas.get('name', 'unknown')} {blas.get('version', '')}, its threads {held}",
        "npgpt": npgpt_version(),
        "load": load(),
        "threads": f"up to {threads}",
        "dtype": np.dtype(DTYPE).name,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if named:
            return named[0]
    if platform.system() == "Darwin":
        return subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


def memory_size() -> str:
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.1f} GB"
    except (AttributeError, ValueError, OSError):
        return "unknown"


def load() -> str:
    """How much other work there is."""
    try:
        return f"{os.getloadavg()[0]:.1f} cores busy in the minute before"
    except (AttributeError, OSError):
        return "unknown"


def npgpt_version() -> str:
    try:
        return importlib.metadata.version("npgpt")
    except importlib.metadata.PackageNotFoundError:
        return "not installed: taken from this folder"


def print_machine(machine: dict[str, str]) -> None:
    for name, value in machine.items():
        paragraph(value, name)


def print_drift(before: Peaks, after: Peaks) -> None:
    """How far the peaks are from what they were: a measure of what disturbed the run."""
    print("The machine's peaks at the end, of those at the beginning:")
    for n in before.flops:
        paragraph(f"{named(n)}: matrix products {after.flops[n] / before.flops[n]:.0%}, "
                  f"adding {after.bandwidth[n] / before.bandwidth[n]:.0%}", " ")
    drifts = [after.flops[n] / before.flops[n] for n in before.flops]
    if max(drifts) > 1 + STEADY or min(drifts) < 1 - STEADY:
        paragraph(f"More than {STEADY:.0%} apart: other work disturbed this run. Measure again when the machine is quiet.",
                  " ")


def print_peaks(peaks: Peaks) -> None:
    """A line for each number of threads."""
    for n in peaks.flops:
        paragraph(f"{named(n)}: {number(peaks.flops[n] / 1e9)} GFLOP/s in float32 matrix products, "
                  f"{number(peaks.bandwidth[n] / 1e9)} GB/s of memory in adding arrays, "
                  f"{number(peaks.reading[n] / 1e9)} in reading one", "peak")
    paragraph(f"(the best of {ATTEMPTS} attempts each: square products of {', '.join(map(str, PRODUCTS))}; "
              f"a += b on {ARRAY / 1e6:.0f} MB each, counted as two reads and a write; the sum of squares of a)", " ")


def named(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"
