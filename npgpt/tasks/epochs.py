"""Epochs: which examples each training batch has, so that an epoch has every example at most once."""
import functools
import math
from collections.abc import Sequence

import numpy as np


class Epochs:
    """Batches of examples from one or several data sets, each batch from one of them.

    An epoch has of each set the whole batches that its examples fill, in proportion; or, evenly, the same number of batches
    of each, so that examples of small sets occur several times. The order depends on the seed and the epoch alone: so a run
    that is resumed knows it from the number of the batch.
    """

    def __init__(self, sizes: Sequence[int], seed: int = 0, evenly: bool = False) -> None:
        self.sizes, self.seed, self.evenly = sizes, seed, evenly

    def batch(self, number: int, size: int) -> tuple[int, np.ndarray]:
        """Batch 0, 1, ... of `size` examples  ->  which set it is from, and the indices of its examples"""
        epoch, number = divmod(number, self.length(size))
        return self.order(epoch, size)[number]

    def length(self, size: int) -> int:
        """How many batches an epoch has."""
        return sum(self.counts(size))

    def counts(self, size: int) -> list[int]:
        """How many of them are from each set."""
        counts = [max(examples // size, 1) for examples in self.sizes]
        return [math.ceil(sum(counts) / len(counts))] * len(counts) if self.evenly else counts

    @functools.lru_cache(maxsize=2)                            # the present epoch's, and the last one's
    def order(self, epoch: int, size: int) -> list[tuple[int, np.ndarray]]:
        """All batches of an epoch."""
        rng, batches = np.random.default_rng([self.seed, epoch]), []
        for index, (examples, count) in enumerate(zip(self.sizes, self.counts(size))):
            width = min(size, examples)
            shuffled = np.concatenate([rng.permutation(examples) for _ in range(math.ceil(count * width / examples))])
            batches += [(index, indices) for indices in shuffled[:count * width].reshape(count, width)]
        return [batches[i] for i in rng.permutation(len(batches))]
