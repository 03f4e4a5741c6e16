"""Key-value cache: the keys and values of what was read, so that no position is read twice."""
from typing import NamedTuple

import numpy as np

from npgpt.model.config import GPTConfig


class KeyValueCache(NamedTuple):
    """For every block, text and head, a key and a value in each column that was written.

    All of it is set aside once, for n_positions columns: 2 L C n_positions numbers a text, 75 MB for the
    smallest GPT-2 in float32, which the system hands over only as they are written. How many columns are in
    use is for the caller to know.
    """
    keys: np.ndarray           # (L, B, H, S, D)
    values: np.ndarray         # (L, B, H, S, D)

    def text(self, row: int, first: int = 0) -> "KeyValueCache":
        """One text's part, from column `first` on. Writing into it writes into the whole."""
        return KeyValueCache(self.keys[:, row:row + 1, :, first:], self.values[:, row:row + 1, :, first:])

    def texts(self, count: int) -> "KeyValueCache":
        """The part of the first `count` texts."""
        return KeyValueCache(self.keys[:, :count], self.values[:, :count])

    def rearrange(self, rows: np.ndarray, length: int) -> None:
        """Text b becomes what text rows[b] was, in the first `length` columns: one block at a time, so that
        what is copied aside stays small."""
        if (rows == np.arange(len(rows))).all():
            return
        for array in (*self.keys, *self.values):                              # (B, H, S, D)
            array[:, :, :length] = array[rows, :, :length]


def empty_cache(config: GPTConfig, texts: int, dtype: np.dtype) -> KeyValueCache:
    shape = (config.n_layer, texts, config.n_head, config.n_positions, config.n_embd // config.n_head)
    return KeyValueCache(np.empty(shape, dtype), np.empty(shape, dtype))
