"""Tensor parallelism: the layers with matrices, each computed by several threads (Shoeybi et al. 2019, section 3).

A head has its own columns of w_qkv and rows of w_proj, a hidden channel of the feed-forward network its own column of
w_up and row of w_down, a token's logit its own row of the table. So each thread runs the plain layer on its part of the
matrices. The results of the parts add up, and each part writes its own slice of the gradients.
"""
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from npgpt.layers.embedding import unembedding_backward
from npgpt.layers.feed_forward import FeedForwardCache, feed_forward, feed_forward_backward
from npgpt.layers.pattern import CAUSAL, Pattern
from npgpt.layers.self_attention import SelfAttentionCache, self_attention, self_attention_backward
from npgpt.parallel.threads import partition, together


class TensorParallelLayers:
    """The layers of model/layers.py on several threads: the calling one, and `threads` - 1 of the pool.

    Up to rounding and dropout masks they are equal to the plain ones, whose docstrings give the shapes.
    """

    def __init__(self, pool: Executor, threads: int) -> None:
        self.pool, self.threads = pool, threads

    def self_attention(self, x: np.ndarray, w_qkv: np.ndarray, b_qkv: np.ndarray | None, w_proj: np.ndarray,
                       b_proj: np.ndarray, n_head: int, pattern: Pattern = CAUSAL, p: float = 0.0,
                       rng: np.random.Generator | None = None) -> tuple[np.ndarray, list[SelfAttentionCache]]:
        """Each thread has some of the heads, and a random generator of its own, seeded by rng."""
        calls = []
        for heads in partition(n_head, self.threads):
            D = len(w_proj) // n_head
            qkv, own = channels(heads, 3 * D), channels(heads, D)
            part_rng = np.random.default_rng(rng.integers(2**63)) if rng is not None else None
            part_b_qkv = None if b_qkv is None else b_qkv[qkv]
            calls.append((x, w_qkv[:, qkv], part_b_qkv, w_proj[own], only_first(b_proj, heads), heads.stop - heads.start,
                          pattern.of_heads(heads), p, part_rng))
        ys, caches = zip(*together(self.pool, self_attention, calls))
        return added(ys), list(caches)

    def self_attention_backward(self, dy: np.ndarray, caches: list[SelfAttentionCache],
                                out: tuple = (None,) * 4) -> tuple[np.ndarray, ...]:
        C, A = dy.shape[-1], sum(len(cache.proj[1]) for cache in caches)               # of each part's w_proj
        dw_qkv, db_qkv, dw_proj, db_proj = allocated(out, ((C, 3 * A), (3 * A,), (A, C), (C,)), dy.dtype)
        n_head = sum(cache.n_head for cache in caches)
        calls = []
        for heads, cache in zip(partition(n_head, len(caches)), caches):
            D = A // n_head
            qkv, own = channels(heads, 3 * D), channels(heads, D)
            calls.append((dy, cache, (dw_qkv[:, qkv], db_qkv[qkv], dw_proj[own], only_first(db_proj, heads))))
        dxs = [dx for dx, *_ in together(self.pool, self_attention_backward, calls)]
        has_bias = caches[0].qkv[-1]
        return added(dxs), dw_qkv, db_qkv if has_bias else None, dw_proj, db_proj

    def feed_forward(self, x: np.ndarray, w_up: np.ndarray, b_up: np.ndarray, w_down: np.ndarray, b_down: np.ndarray,
                     activation: str = "gelu_new") -> tuple[np.ndarray, list[FeedForwardCache]]:
        """Each thread has some of the hidden channels."""
        calls = [(x, w_up[:, hidden], b_up[hidden], w_down[hidden], only_first(b_down, hidden), activation)
                 for hidden in partition(len(b_up), self.threads)]
        ys, caches = zip(*together(self.pool, feed_forward, calls))
        return added(ys), list(caches)

    def feed_forward_backward(self, dy: np.ndarray, caches: list[FeedForwardCache],
                              out: tuple = (None,) * 4) -> tuple[np.ndarray, ...]:
        C, I = dy.shape[-1], sum(len(cache.down[1]) for cache in caches)               # of each part's w_down
        dw_up, db_up, dw_down, db_down = allocated(out, ((C, I), (I,), (I, C), (C,)), dy.dtype)
        calls = [(dy, cache, (dw_up[:, hidden], db_up[hidden], dw_down[hidden], only_first(db_down, hidden)))
                 for hidden, cache in zip(partition(I, len(caches)), caches)]
        dxs = [dx for dx, *_ in together(self.pool, feed_forward_backward, calls)]
        return added(dxs), dw_up, db_up, dw_down, db_down

    def unembedding(self, x: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, tuple]:
        """Each thread has some tokens of the vocabulary: some columns of the logits."""
        rows = x.reshape(-1, x.shape[-1])             # (R, C)
        logits = np.empty((len(rows), len(table)), x.dtype)
        together(self.pool, np.matmul, [(rows, table[tokens].T, logits[:, tokens])
                                        for tokens in partition(len(table), self.threads)])
        return logits.reshape(*x.shape[:-1], len(table)), (x, table)

    def unembedding_backward(self, dlogits: np.ndarray, cache: tuple,
                             out: tuple = (None,)) -> tuple[np.ndarray, np.ndarray]:
        """Each thread has some rows of the table."""
        x, table = cache
        dtable, = allocated(out, (table.shape,), dlogits.dtype)
        calls = [(dlogits[..., tokens], (x, table[tokens]), (dtable[tokens],))
                 for tokens in partition(len(table), self.threads)]
        dxs = [dx for dx, _ in together(self.pool, unembedding_backward, calls)]
        return added(dxs), dtable


def channels(heads: slice, D: int) -> slice:
    """The channels of some heads."""
    return slice(heads.start * D, heads.stop * D)


def only_first(bias: np.ndarray, part: slice) -> np.ndarray:
    """Only the first part adds the bias. The others add zeros, and write its gradient to an array that is not used."""
    return bias if part.start == 0 else np.zeros_like(bias)


def allocated(out: tuple, shapes: Sequence[tuple[int, ...]], dtype: np.dtype) -> list[np.ndarray]:
    return [np.empty(shape, dtype) if array is None else array for array, shape in zip(out, shapes)]


def added(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of the arrays, always in the same order, in the memory of the first."""
    total, *others = parts
    for other in others:
        total += other
    return total
