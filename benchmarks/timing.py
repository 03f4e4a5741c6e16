"""Timing: warm up, repeat, and report the median with its quartiles."""
import time
from collections.abc import Callable
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


class Effort(NamedTuple):
    """How long to measure: calls that do not count, then calls until both limits are passed."""
    warmup: int                                 # calls
    least: int                                  # calls
    seconds: float
    most: int = 2000                            # calls

    def __str__(self) -> str:
        return f"{self.warmup} to warm up, then as many as {self.seconds:g} s allow, but {self.least} to {self.most}"


class Rounds(NamedTuple):
    """How long to measure several processes in turn. Each round has a burst of each."""
    warmup: int                                 # steps of each, before the first round
    rounds: int
    least: int                                  # steps in a burst
    seconds: float                              # of a burst, about

    def steps(self, seconds: float) -> int:
        """How many steps of this length make a burst."""
        return max(round(self.seconds / seconds), self.least)

    def __str__(self) -> str:
        return (f"Processes take turns: {steps(self.warmup)} each to warm up, then {self.rounds} rounds of a burst each, of "
                f"about {self.seconds:g} s but at least {steps(self.least)}, after one that does not count")


def steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def summarise(values: list[float]) -> Times:
    low, median, high = np.percentile(values, [25, 50, 75])
    return Times(float(median), float(low), float(high), len(values))


def measure(call: Callable[[], object], effort: Effort) -> Times:
    """Seconds that a call takes, each timed alone."""
    for _ in range(effort.warmup):
        call()
    seconds: list[float] = []
    end = time.perf_counter() + effort.seconds
    while len(seconds) < effort.least or time.perf_counter() < end and len(seconds) < effort.most:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return summarise(seconds)


class Duel(NamedTuple):
    """Two sides, measured in turn. Each round has one burst of each, in seconds a step."""
    first: list[list[float]]
    second: list[list[float]]

    def times(self) -> tuple[Times, Times]:
        """Over all steps of each side."""
        return summarise(sum(self.first, [])), summarise(sum(self.second, []))

    def ratio(self) -> Times:
        """How many times as fast the first is: the ratio of the medians over all steps. The quartiles are
        those of the rounds, each round's ratio being that of its two bursts' medians.
        """
        first, second = self.times()
        rounds = summarise([float(np.median(b) / np.median(a)) for a, b in zip(self.first, self.second, strict=True)])
        return Times(second.median / first.median, rounds.low, rounds.high, rounds.count)


def alternate(first: Callable[[], list[float]], second: Callable[[], list[float]], rounds: int, pause: float) -> Duel:
    """Ask both for bursts in turn, the one that begins changing from round to round, so that whatever else
    the machine does meets both alike. Before each burst, `pause` seconds for the other's threads to go to sleep.
    """
    duel = Duel([], [])
    sides = [(first, duel.first), (second, duel.second)]
    for number in range(rounds):
        for burst, bursts in sides if number % 2 == 0 else reversed(sides):
            time.sleep(pause)
            bursts.append(burst())
    return duel
