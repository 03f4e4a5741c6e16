"""Key-value cache: the keys and values of what was read, so that no position is read twice."""
from typing import NamedTuple

import numpy as np

from npgpt.model.config import GPTConfig


class KeyValueCache(NamedTuple):
    """For every block, text and head, a key and a value in each column that was written.

    All of it is set aside once, for n_positions columns: 2 L C n_positions numbers a text, 75 MB for the
    smallest GPT-2 in float32. Each block has arrays of its own, because the system hands over an array of this
    size as it is written, but a single large one in pages so large that each is touched by the first token.
    How many columns are in use is for the caller to know.
    """
    keys: list[np.ndarray]           # of each block, (B, H, S, D)
    values: list[np.ndarray]         # the same

    def arrays(self) -> list[np.ndarray]:
        return [*self.keys, *self.values]

    def text(self, row: int, first: int = 0) -> "KeyValueCache":
        """One text's part, from column `first` on. Writing into it writes into the whole."""
        return KeyValueCache(*([array[row:row + 1, :, first:] for array in arrays] for arrays in self))

    def texts(self, count: int) -> "KeyValueCache":
        """The part of the first `count` texts."""
        return KeyValueCache(*([array[:count] for array in arrays] for arrays in self))

    def rearrange(self, rows: np.ndarray, length: int) -> None:
        """Text b becomes what text rows[b] was, in the first `length` columns: one block at a time, so that
        what is copied aside stays small."""
        if (rows == np.arange(len(rows))).all():
            return
        for array in self.arrays():
            array[:, :, :length] = array[rows, :, :length]


def empty_cache(config: GPTConfig, texts: int, dtype: np.dtype) -> KeyValueCache:
    shape = (texts, config.n_head, config.n_positions, config.n_embd // config.n_head)
    return KeyValueCache(*([np.empty(shape, dtype) for _ in range(config.n_layer)] for _ in range(2)))
