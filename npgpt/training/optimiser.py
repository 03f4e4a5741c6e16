"""The optimiser: AdamW on flat vectors, a slice at a time, on several threads."""
import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from npgpt.model.parameters import Group, named_leaves
from npgpt.training.adamw import adamw

SLICE = 2**16       # entries: few enough for the caches, enough that threads seldom wait for the GIL
PER_THREAD = 2**20  # entries; with fewer, another thread costs more than it saves


class Optimiser:
    """Holds the moments m and v, flat vectors in the layout of the parameters, and t, the number of updates.

    close() ends its threads. After that it computes the same in the calling thread.
    """

    def __init__(self, parameters: np.ndarray, table: Group, beta1: float = 0.9, beta2: float = 0.99,
                 weight_decay: float = 0.1, eps: float = 1e-8, threads: int = 1) -> None:
        self.beta1, self.beta2, self.weight_decay, self.eps = beta1, beta2, weight_decay, eps
        self.m, self.v, self.t = np.zeros_like(parameters), np.zeros_like(parameters), 0
        slices = decay_slices(table)
        threads = min(threads, len(parameters) // PER_THREAD + 1)
        self.parts = [slices[i::threads] for i in range(threads)]
        self.pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def update(self, parameters: np.ndarray, gradients: np.ndarray, learning_rate: float, scale: float = 1.0) -> None:
        """One update, in place, with the gradients times `scale`. Weight decay acts on the parameters that decay."""
        self.t += 1

        def update_part(slices: list[tuple[slice, bool]]) -> None:
            scratch = np.empty(SLICE, parameters.dtype)
            for part, decays in slices:
                adamw(parameters[part], gradients[part], self.m[part], self.v[part], self.t, learning_rate, self.beta1,
                      self.beta2, self.eps, self.weight_decay * decays, scale=scale,
                      scratch=scratch[:part.stop - part.start])

        self.for_each_part(update_part)

    def norm(self, gradients: np.ndarray) -> float:
        """Euclidean norm of the flat vector."""
        def sum_of_squares(slices: list[tuple[slice, bool]]) -> float:
            return sum(float(gradients[part] @ gradients[part]) for part, _ in slices)

        return math.sqrt(sum(self.for_each_part(sum_of_squares)))

    def close(self) -> None:
        if self.pool:
            self.pool.shutdown()
            self.pool = None

    def for_each_part(self, function: Callable[[list[tuple[slice, bool]]], Any]) -> list:
        return list((self.pool.map if self.pool else map)(function, self.parts))


def decay_slices(table: Group) -> list[tuple[slice, bool]]:
    """Slices that cover the flat vector, each with whether weight decay acts on it."""
    slices, start = [], 0
    for decays, neighbours in itertools.groupby((row for _, row in named_leaves(table)), lambda row: row.decays):
        stop = start + sum(row.size for row in neighbours)
        slices += [(slice(i, min(i + SLICE, stop)), decays) for i in range(start, stop, SLICE)]
        start = stop
    return slices
