"""Threads: several calls at once. NumPy releases the GIL in its loops and matrix products, so threads use every core."""
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, wait


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def together(pool: Executor, function: Callable, calls: Sequence[tuple]) -> list:
    """function(*arguments) for each of the calls, the first of them in this thread  ->  the results, in order

    An exception of a call is raised here, after all have ended.
    """
    others = [pool.submit(function, *arguments) for arguments in calls[1:]]
    try:
        first = function(*calls[0])
    finally:
        wait(others)
    return [first, *(other.result() for other in others)]


def partition(count: int, threads: int) -> list[slice]:
    """The range 0 .. count - 1 in slices of about equal size: one for each thread, or fewer where count is smaller."""
    parts = min(count, threads)
    return [slice(count * i // parts, count * (i + 1) // parts) for i in range(parts)]
