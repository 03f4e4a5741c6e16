"""Key-value cache: the keys and values of earlier tokens, so that each token is computed once."""
from typing import NamedTuple

import numpy as np

from npgpt.layers.causal_attention import causal_attention, causal_attention_backward
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import attention_windows


class CachedAttention(NamedTuple):
    """An attention pattern (layers/pattern.py): the queries see the keys in the cache, and their own, causally.

    forward writes the keys and values of its T positions into columns length .. length + T - 1 of the cache.
    """
    keys: np.ndarray                 # (B, H, S, D)
    values: np.ndarray               # (B, H, S, D)
    length: int                      # how many columns are in use already
    mask: np.ndarray | None = None   # (B, 1, 1, length + T): which columns are seen, if not all
    window: int | None = None        # a query sees the last so many only

    def forward(self, q: np.ndarray, k: np.ndarray, v: np.ndarray, p: float = 0.0,
                rng: np.random.Generator | None = None) -> tuple[np.ndarray, tuple]:
        end = self.length + q.shape[-2]
        self.keys[:, :, self.length:end] = k
        self.values[:, :, self.length:end] = v
        return causal_attention(q, self.keys[:, :, :end], self.values[:, :, :end], self.mask, self.window, p, rng)

    def backward(self, dy: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Keys and values that were in the cache before are constants: they get no gradient."""
        dq, dk, dv = causal_attention_backward(dy, cache)
        return dq, dk[..., self.length:, :], dv[..., self.length:, :]

    def of_heads(self, heads: slice) -> "CachedAttention":
        return self._replace(keys=self.keys[:, heads], values=self.values[:, heads])


class KeyValueCache(NamedTuple):
    """A key and a value for every block, text, head and column. The caller knows how many columns are in use.

    A text takes 2 L C numbers in every column: 75 MB for the 1024 columns of the smallest GPT-2's context, in float32.
    Each block has its own arrays: a single large one would be mapped in huge pages, all of which the first token touches.
    """
    keys: list[np.ndarray]           # of each block, (B, H, S, D)
    values: list[np.ndarray]         # the same

    @property
    def columns(self) -> int:
        """S: for how many tokens of each text there is room."""
        return self.keys[0].shape[2]

    def patterns(self, config: GPTConfig, length: int, mask: np.ndarray | None = None) -> list[CachedAttention]:
        """The attention pattern of every block, with `length` columns in use."""
        return [CachedAttention(keys, values, length, mask, window)
                for keys, values, window in zip(*self, attention_windows(config), strict=True)]

    def arrays(self) -> list[np.ndarray]:
        return [*self.keys, *self.values]

    def text(self, row: int, first: int = 0) -> "KeyValueCache":
        """One text's part, from column `first` on. Writing into it writes into the whole."""
        return KeyValueCache(*([array[row:row + 1, :, first:] for array in arrays] for arrays in self))

    def texts(self, count: int) -> "KeyValueCache":
        """The part of the first `count` texts."""
        return KeyValueCache(*([array[:count] for array in arrays] for arrays in self))

    def rearrange(self, rows: np.ndarray, length: int) -> None:
        """Copy the first `length` columns of text rows[b] to text b, for all b. One array at a time: temporary copies
        stay small."""
        if (rows == np.arange(len(rows))).all():
            return
        for array in self.arrays():
            array[:, :, :length] = array[rows, :, :length]


    def widen(self, columns: int) -> None:
        """Make room for more columns. One array at a time is copied."""
        for arrays in self:
            for i, array in enumerate(arrays):
                B, H, S, D = array.shape
                arrays[i] = np.empty((B, H, columns, D), array.dtype)
                arrays[i][:, :, :S] = array


def empty_cache(config: GPTConfig, texts: int, columns: int, dtype: np.dtype) -> KeyValueCache:
    """A cache for so many texts, with arrays (texts, H, columns, D) that are not initialised."""
    shape = (texts, config.n_head, columns, config.n_embd // config.n_head)
    return KeyValueCache(*([np.empty(shape, dtype) for _ in range(config.n_layer)] for _ in range(2)))
