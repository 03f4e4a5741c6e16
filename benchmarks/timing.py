"""Timing: warm up, repeat, and report the median with its quartiles."""
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Times(NamedTuple):
    """Repeated measurements of one thing: seconds, or ratios."""
    median: float
    low: float                                  # first quartile
    high: float                                 # third quartile
    count: int

    def figures(self) -> dict[str, float]:
        """For JSON, in milliseconds."""
        return {"ms": 1e3 * self.median, "ms low": 1e3 * self.low, "ms high": 1e3 * self.high, "repeats": self.count}


def summarise(values: Sequence[float]) -> Times:
    low, median, high = np.percentile(values, [25, 50, 75])
    return Times(float(median), float(low), float(high), len(values))


class Effort(NamedTuple):
    """How long to measure: calls that are not counted, then calls until both `least` and `seconds` are reached."""
    warmup: int                                 # calls
    least: int                                  # calls
    seconds: float
    most: int = 2000                            # calls

    def __str__(self) -> str:
        return f"{self.warmup} to warm up, then as many as {self.seconds:g} s allow, from {self.least} to {self.most}"


def repeat(call: Callable, effort: Effort) -> list:
    """The results of all calls that are counted."""
    for _ in range(effort.warmup):
        call()
    results: list = []
    end = time.perf_counter() + effort.seconds
    while len(results) < effort.least or time.perf_counter() < end and len(results) < effort.most:
        results.append(call())
    return results


def measure(call: Callable[[], object], effort: Effort) -> Times:
    """Seconds that a call takes; each call is timed separately."""
    def seconds() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return summarise(repeat(seconds, effort))


class Rounds(NamedTuple):
    """How long to measure processes that take turns: in each round, every one makes a burst of steps."""
    warmup: int                                 # steps of each, before the first round
    rounds: int
    least: int                                  # steps in a burst,
    seconds: float                              # or as many as take so long

    def steps(self, warmup: list[dict]) -> int:
        """How many steps make a burst, by the fastest step of the warm-up."""
        return max(round(self.seconds / min(step["seconds"] for step in warmup)), self.least)

    def __str__(self) -> str:
        return (f"Processes take turns: after a warm-up, {self.rounds} rounds of a burst of steps each, for about "
                f"{self.seconds:g} s; the first step of a burst is not counted")


def take_turns(bursts: Sequence[Callable], rounds: int, pause: float = 0.0) -> list[list]:
    """Call each of the functions once a round  ->  for each, its results

    The order is reversed from round to round, so that other work on the machine affects all equally. Before each call
    is a pause, in seconds, in which the threads of the others go to sleep.
    """
    results: list[list] = [[] for _ in bursts]
    sides = list(zip(bursts, results))
    for _ in range(rounds):
        for burst, found in sides:
            time.sleep(pause)
            found.append(burst())
        sides.reverse()
    return results


def speed(first: list[list[float]], second: list[list[float]]) -> Times:
    """How many times as fast the first side is: the ratio of the medians of all steps. The quartiles are those of the
    ratios of the single rounds.
    """
    rounds = summarise([float(np.median(b) / np.median(a)) for a, b in zip(first, second, strict=True)])
    return rounds._replace(median=float(np.median(sum(second, [])) / np.median(sum(first, []))))
