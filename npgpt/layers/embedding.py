"""Embedding: from token ids to vectors, and from vectors to a logit for each token."""
import math

import numpy as np


def embedding(ids: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = table[ids]: one row of the table for each id.

    ids (...,) integers in [0, V), table (V, C)  ->  y (..., C)

    Raises IndexError for an id outside the table.
    """
    if ids.size and not 0 <= ids.min() <= ids.max() < len(table):
        raise IndexError(f"embedding: ids must lie in [0, {len(table)}), found {ids.min()} to {ids.max()}")
    return table[ids], (ids, table.shape)


def embedding_backward(dy: np.ndarray, cache: tuple, out: tuple = (None,)) -> np.ndarray:
    """dy (..., C)  ->  dtable (V, C): zero except for the rows that were looked up"""
    _, shape = cache
    dtable, = out
    if dtable is None:
        dtable = np.empty(shape, dy.dtype)        # (V, C)
    dtable[...] = 0
    distinct, drows = embedding_backward_rows(dy, cache)
    dtable[distinct] = drows
    return dtable


def embedding_backward_rows(dy: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray]:
    """dy (..., C)  ->  the N distinct ids, and the gradients of their rows (N, C)

    The row of an id gets the sum of the gradients of all its occurrences. `dtable[ids] += dy` would keep only
    the last; np.add.at is right but slow. So the ids are sorted, and each run of equal ids is summed.
    """
    ids, shape = cache
    ids = ids.reshape(-1)                         # (R,)
    order = np.argsort(ids, kind="stable")
    distinct, starts = np.unique(ids[order], return_index=True)
    dy = dy.reshape(-1, shape[1])                 # (R, C)
    return distinct, np.add.reduceat(dy[order], starts, axis=0)


def unembedding(x: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, tuple]:
    """logits = x table^T: the dot product of each vector with each token's row.

    x (..., C), table (V, C)  ->  logits (..., V)

    With the embedding's own table this is the tied head (Press and Wolf 2017).
    """
    rows = x.reshape(-1, x.shape[-1])             # (R, C)
    logits = rows @ table.T                       # (R, V)
    return logits.reshape(*x.shape[:-1], len(table)), (x, table)


def unembedding_backward(dlogits: np.ndarray, cache: tuple, out: tuple = (None,)) -> tuple[np.ndarray, np.ndarray]:
    """dlogits (..., V)  ->  dx (..., C), dtable (V, C)

        dx = dlogits table        dtable = dlogits^T x         as in linear, with w = table^T
    """
    x, table = cache
    dtable, = out
    rows = x.reshape(-1, x.shape[-1])             # (R, C)
    dlogits = dlogits.reshape(-1, len(table))     # (R, V)
    dtable = np.matmul(dlogits.T, rows, out=dtable)          # (V, C)
    dx = dlogits @ table                          # (R, C)
    return dx.reshape(x.shape), dtable


def sinusoidal_positions(t: np.ndarray, channels: int, dtype: np.dtype, halves: bool = False) -> np.ndarray:
    """Fixed vectors for positions (Vaswani et al. 2017, section 3.5): t (...) integers  ->  y (..., C)

        y[2i]     = sin(t / 10000^(2i / C))
        y[2i + 1] = cos(t / 10000^(2i / C))

    halves: all sines come first, then all cosines, as in the authors' code (tensor2tensor) and in Hugging Face's Marian.
    They have no parameters, so there is no backward function.
    """
    even = np.arange(0, channels, 2)              # (ceil(C / 2),)
    angle = t[..., None] * np.exp(even * (-math.log(10000.0) / channels))
    y = np.empty((*t.shape, channels), dtype)
    sines, cosines = (y[..., :len(even)], y[..., len(even):]) if halves else (y[..., 0::2], y[..., 1::2])
    sines[...] = np.sin(angle)
    cosines[...] = np.cos(angle[..., :channels // 2])
    return y
