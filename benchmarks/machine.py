"""Machine: what the figures were measured on, and the most that it can do."""
import datetime
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

import npgpt
from benchmarks.roofline import Peak
from benchmarks.shapes import DTYPE
from benchmarks.table import number, paragraph
from npgpt.parallel.blas import blas_threads, find_blas_threads
from npgpt.parallel.threads import available_cores
from npgpt.training.footprint import machine_memory

PRODUCTS = 256, 512, 1024                       # rows and columns of the matrices whose products are timed
PRODUCT_FLOPS = 4 * 10**9                       # about so many in each attempt; small products are repeated
ARRAY = 256 * 10**6                             # bytes of an array that is larger than any cache
ATTEMPTS = 6                                    # the fastest counts: a peak is what the machine does undisturbed


def thread_counts(most: int) -> list[int]:
    """1, 2, 4 ... and `most` itself."""
    return sorted({2**i for i in range(most.bit_length())} | {most})


def measure_peaks(most_threads: int) -> dict[int, Peak]:
    """By number of threads. As in training, each thread computes on its own, with BLAS limited to one thread."""
    with blas_threads(1):
        return {n: Peak(sgemm_peak(n), *memory_peaks(n)) for n in thread_counts(most_threads)}


def sgemm_peak(threads: int) -> float:
    """Floating point operations a second in square products, 2 n^3 each, of the fastest size."""
    rates = []
    for n in PRODUCTS:
        a = np.random.default_rng(0).standard_normal((n, n), dtype=DTYPE)
        repeats = max(PRODUCT_FLOPS // (2 * n**3), 1)

        def multiply(out: np.ndarray) -> None:
            for _ in range(repeats):
                np.matmul(a, a, out=out)

        seconds = best_time([partial(multiply, np.empty_like(a)) for _ in range(threads)])
        rates.append(threads * repeats * 2 * n**3 / seconds)
    return max(rates)


def memory_peaks(threads: int) -> tuple[float, float]:
    """Bytes a second in a += b, which is two reads and a write, and in the sum of squares of a, which is one read.

    A copy would be less clear: some processors read memory before they write to it.
    """
    a, b = np.ones((2, ARRAY // np.dtype(DTYPE).itemsize), DTYPE)
    parts = list(zip(np.array_split(a, threads), np.array_split(b, threads)))
    adding = best_time([partial(np.add, a_part, b_part, out=a_part) for a_part, b_part in parts])
    reading = best_time([partial(np.dot, a_part, a_part) for a_part, _ in parts])
    return 3 * a.nbytes / adding, a.nbytes / reading


def best_time(calls: list[Callable[[], object]]) -> float:
    """Seconds of the fastest of several attempts to make all calls at once, each in its own thread."""
    seconds = []
    with ThreadPoolExecutor(len(calls)) as pool:
        for _ in range(1 + ATTEMPTS):
            start = time.perf_counter()
            list(pool.map(lambda call: call(), calls))
            seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def describe(threads: int) -> dict[str, str]:
    """What a reader must know to judge the figures, or to measure them again."""
    build = np.show_config(mode="dicts")
    blas, simd = build["Build Dependencies"]["blas"], build.get("SIMD Extensions", {}).get("found", [])
    limit = "can be set" if find_blas_threads() else "CANNOT be set: OPENBLAS_NUM_THREADS=1 or the like may help"
    memory = machine_memory()
    return {
        "CPU": f"{cpu_name()}, {available_cores()} of {os.cpu_count()} cores",
        "memory": f"{memory / 1e9:.1f} GB" if memory else "unknown",
        "system": platform.platform(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "NumPy": f"{np.__version__}, SIMD found: {' '.join(simd) or 'baseline only'}",
        "BLAS": f"{blas.get('name', 'unknown')} {blas.get('version', '')}, its number of threads {limit}",
        "npgpt": npgpt.__version__,
        "load": f"{os.getloadavg()[0]:.1f} cores busy in the minute before" if hasattr(os, "getloadavg") else "unknown",
        "threads": f"up to {threads}",
        "dtype": np.dtype(DTYPE).name,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    if named:
        return named[1]
    if platform.system() == "Darwin":
        return subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


def processor() -> str:
    """The processor's name without what all names have, to end a row with."""
    return " ".join(re.sub(r"\((R|TM)\)|\bCPU\b|@.*|\b\d+-Core\b|\bProcessor\b", " ", cpu_name()).split())


def print_peaks(peaks: dict[int, Peak]) -> None:
    for n, peak in peaks.items():
        flops, bandwidth, reading = (number(value) for value in peak.figures().values())
        paragraph(f"threads {n}: {flops} GFLOP/s in float32 matrix products, {bandwidth} GB/s of memory in adding arrays, "
                  f"{reading} in reading one", "peak")
    paragraph(f"(the best of {ATTEMPTS} attempts each: square products of {', '.join(map(str, PRODUCTS))}; "
              f"a += b on {ARRAY / 1e6:.0f} MB each, counted as two reads and a write; the sum of squares of a)", " ")
