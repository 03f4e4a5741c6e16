"""Key-value cache: the keys and values of earlier tokens, so that each token is computed once.

Column c of a text is in slot c mod S of an array with S slots. A layer that attends to all columns has a slot for each. A
layer with a window of W needs the last W only: its W slots are a ring, in which a column takes the place of the one that
was W before it.
"""
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
    first: int = 0                   # no query sees a column before this one

    def forward(self, q: np.ndarray, k: np.ndarray, v: np.ndarray, p: float = 0.0,
                rng: np.random.Generator | None = None) -> tuple[np.ndarray, tuple]:
        start = self.first if self.window is None else max(self.first, self.length + 1 - self.window)
        mask = None if self.mask is None else self.mask[..., start:]
        keys, values = self.extended(self.keys, k, start), self.extended(self.values, v, start)
        return causal_attention(q, keys, values, mask, self.window, p, rng)

    def extended(self, slots: np.ndarray, new: np.ndarray, start: int) -> np.ndarray:
        """Write T new columns into the cache  ->  columns start .. length + T - 1, in order; a view, if none was replaced"""
        S, end = slots.shape[2], self.length + new.shape[2]
        if end <= S:
            slots[:, :, self.length:end] = new
            return slots[:, :, start:end]
        columns = np.concatenate([slots[:, :, np.arange(start, self.length) % S], new], axis=2)
        slots[:, :, np.arange(max(end - S, self.length), end) % S] = new[:, :, -S:]
        return columns

    def backward(self, dy: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Keys and values that were in the cache before are constants: they get no gradient."""
        dq, dk, dv = causal_attention_backward(dy, cache)
        T = dq.shape[-2]
        return dq, dk[..., -T:, :], dv[..., -T:, :]

    def of_heads(self, heads: slice) -> "CachedAttention":
        return self._replace(keys=self.keys[:, heads], values=self.values[:, heads])


class KeyValueCache(NamedTuple):
    """Keys and values for every block, text, head and slot. The caller knows how many columns are in use.

    A text takes 2 L C numbers in every column: 75 MB for the 1024 columns of the smallest GPT-2's context, in float32.
    In the smallest GPT-3, whose context is twice as long, it takes 85 MB, because half of the layers have 256 slots.
    Each block has its own arrays: a single large one would be mapped in huge pages, all of which the first token touches.
    """
    keys: list[np.ndarray]           # of each block, (B, H, S, D)
    values: list[np.ndarray]         # the same

    @property
    def columns(self) -> int:
        """For how many tokens of each text there is room: the slots of the first block, which attends to all columns."""
        return self.keys[0].shape[2]

    def patterns(self, config: GPTConfig, length: int, mask: np.ndarray | None = None,
                 first: int = 0) -> list[CachedAttention]:
        """The attention pattern of every block, with `length` columns in use."""
        return [CachedAttention(keys, values, length, mask, window, first)
                for keys, values, window in zip(*self, attention_windows(config), strict=True)]

    def arrays(self) -> list[np.ndarray]:
        return [*self.keys, *self.values]

    def texts(self, count: int, start: int = 0) -> "KeyValueCache":
        """The part of so many texts, from text `start` on. Writing into it writes into the whole."""
        return KeyValueCache(*([array[start:start + count] for array in arrays] for arrays in self))

    def rearrange(self, rows: np.ndarray, length: int) -> None:
        """Copy the first `length` columns of text rows[b] to text b, for all b. One array at a time: temporary copies
        stay small."""
        if (rows == np.arange(len(rows))).all():
            return
        for array in self.arrays():
            array[:, :, :length] = array[rows, :, :length]

    def move(self, row: int, count: int, end: int, new_end: int) -> None:
        """Move the last `count` columns of a text, which end before column `end`, so that they end before new_end."""
        for array in self.arrays():
            S = array.shape[2]
            back = np.arange(-min(count, S), 0)
            array[row][:, (new_end + back) % S] = array[row][:, (end + back) % S]

    def widen(self, config: GPTConfig, columns: int) -> None:
        """Make room for more columns. One array at a time is copied."""
        for arrays in self:
            for i, slots in enumerate(slots_of(config, columns)):
                B, H, S, D = arrays[i].shape
                if slots > S:
                    wider = np.empty((B, H, slots, D), arrays[i].dtype)
                    wider[:, :, :S] = arrays[i]
                    arrays[i] = wider


def empty_cache(config: GPTConfig, texts: int, columns: int, dtype: np.dtype) -> KeyValueCache:
    """A cache for so many texts, with arrays (texts, H, S, D) that are not initialised."""
    H, D = config.n_head, config.n_embd // config.n_head
    return KeyValueCache(*([np.empty((texts, H, S, D), dtype) for S in slots_of(config, columns)] for _ in range(2)))


def slots_of(config: GPTConfig, columns: int) -> list[int]:
    """S of every block's arrays, in a cache with room for so many columns."""
    return [columns if window is None else min(window, columns) for window in attention_windows(config)]
