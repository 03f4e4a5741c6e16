"""Tensor parallelism: the layers that hold matrices, each computed by several threads (Shoeybi et al. 2019, section 3).

A head has its own columns of w_qkv and its own rows of w_proj, a channel in the middle of the feed-forward network
its own column of w_up and row of w_down, a token's logit its own row of the table. So each thread runs the plain
layer on its part of the matrices. The parts' results add up, and every part writes its gradients to their own place.
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
    """The layers of model/layers.py on so many threads of the pool, the calling thread being the first.

    They are equal to the plain ones up to rounding and dropout masks. Their caches are lists of the parts' caches.
    """

    def __init__(self, pool: Executor, threads: int) -> None:
        self.pool, self.threads = pool, threads

    def self_attention(self, x: np.ndarray, w_qkv: np.ndarray, b_qkv: np.ndarray, w_proj: np.ndarray, b_proj: np.ndarray,
                       n_head: int, pattern: Pattern = CAUSAL, p: float = 0.0,
                       rng: np.random.Generator | None = None) -> tuple[np.ndarray, list[SelfAttentionCache]]:
        """Each thread has some of the heads, and a generator that rng seeds."""
        calls = []
        for heads in partition(n_head, self.threads):
            own = channels(heads, len(w_proj) // n_head)
            part_rng = np.random.default_rng(rng.integers(2**63)) if rng is not None else None
            calls.append((x, w_qkv[..., own], b_qkv[:, own], w_proj[own], only_first(b_proj, heads), heads.stop - heads.start,
                          pattern.of_heads(heads), p, part_rng))
        ys, caches = zip(*together(self.pool, self_attention, calls))
        return added(ys), list(caches)

    def self_attention_backward(self, dy: np.ndarray, caches: list[SelfAttentionCache],
                                out: tuple | None = None) -> tuple[np.ndarray, ...]:
        C, A = dy.shape[-1], sum(len(cache.proj[1]) for cache in caches)               # of each part's w_proj
        dw_qkv, db_qkv, dw_proj, db_proj = out or empty_arrays(((3, C, A), (3, A), (A, C), (C,)), dy.dtype)
        n_head = sum(cache.n_head for cache in caches)
        calls = []
        for heads, cache in zip(partition(n_head, len(caches)), caches):
            own = channels(heads, A // n_head)
            calls.append((dy, cache, (dw_qkv[..., own], db_qkv[:, own], dw_proj[own], only_first(db_proj, heads))))
        dxs = [dx for dx, *_ in together(self.pool, self_attention_backward, calls)]
        return added(dxs), dw_qkv, db_qkv, dw_proj, db_proj

    def feed_forward(self, x: np.ndarray, w_up: np.ndarray, b_up: np.ndarray, w_down: np.ndarray, b_down: np.ndarray,
                     activation: str = "gelu_new") -> tuple[np.ndarray, list[FeedForwardCache]]:
        """Each thread has some channels of the middle."""
        calls = [(x, w_up[:, middle], b_up[middle], w_down[middle], only_first(b_down, middle), activation)
                 for middle in partition(len(b_up), self.threads)]
        ys, caches = zip(*together(self.pool, feed_forward, calls))
        return added(ys), list(caches)

    def feed_forward_backward(self, dy: np.ndarray, caches: list[FeedForwardCache],
                              out: tuple | None = None) -> tuple[np.ndarray, ...]:
        C, I = dy.shape[-1], sum(len(cache.down[1]) for cache in caches)               # of each part's w_down
        dw_up, db_up, dw_down, db_down = out or empty_arrays(((C, I), (I,), (I, C), (C,)), dy.dtype)
        calls = [(dy, cache, (dw_up[:, middle], db_up[middle], dw_down[middle], only_first(db_down, middle)))
                 for middle, cache in zip(partition(I, len(caches)), caches)]
        dxs = [dx for dx, *_ in together(self.pool, feed_forward_backward, calls)]
        return added(dxs), dw_up, db_up, dw_down, db_down

    def unembedding(self, x: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, tuple]:
        """Each thread has some tokens of the vocabulary, and so some columns of the logits."""
        rows = x.reshape(-1, x.shape[-1])             # (R, C)
        logits = np.empty((len(rows), len(table)), x.dtype)
        together(self.pool, np.matmul, [(rows, table[tokens].T, logits[:, tokens])
                                        for tokens in partition(len(table), self.threads)])
        return logits.reshape(*x.shape[:-1], len(table)), (x, table)

    def unembedding_backward(self, dlogits: np.ndarray, cache: tuple,
                             out: tuple = (None,)) -> tuple[np.ndarray, np.ndarray]:
        """Each thread has some rows of the table."""
        x, table = cache
        dtable, = out
        if dtable is None:
            dtable = np.empty(table.shape, dlogits.dtype)
        calls = [(dlogits[..., tokens], (x, table[tokens]), (dtable[tokens],))
                 for tokens in partition(len(table), self.threads)]
        dxs = [dx for dx, _ in together(self.pool, unembedding_backward, calls)]
        return added(dxs), dtable


def channels(heads: slice, D: int) -> slice:
    """The channels of some heads."""
    return slice(heads.start * D, heads.stop * D)


def only_first(bias: np.ndarray, part: slice) -> np.ndarray:
    """A bias is added once: by the first part. The others add zeros, and write its gradient to an array of no use."""
    return bias if part.start == 0 else np.zeros_like(bias)


def empty_arrays(shapes: Sequence[tuple[int, ...]], dtype: np.dtype) -> list[np.ndarray]:
    return [np.empty(shape, dtype) for shape in shapes]


def added(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of arrays that nobody else holds, in the first of them, always in the same order."""
    total, *others = parts
    for other in others:
        total += other
    return total
