"""Shared: the layers that hold matrices, each computed by several threads at once.

A head has its own columns of w_qkv and its own rows of w_proj, a channel in feed-forward's middle its own column of
w_up and row of w_down, a token's score its own row of the table. So each thread computes the layer on its part of
the matrices; what the parts give adds up, and every part's gradients have a place of their own (tensor parallelism:
Shoeybi et al. 2019, section 3).
"""
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from npgpt.layers.causal_attention import causal_attention, causal_attention_backward
from npgpt.layers.embedding import unembedding_backward
from npgpt.layers.feed_forward import FeedForwardCache, feed_forward, feed_forward_backward
from npgpt.layers.linear import linear, linear_backward
from npgpt.layers.self_attention import SelfAttentionCache, merge_heads
from npgpt.machine.threads import shares, together
from npgpt.model.layers import Layers


def shared_layers(pool: Executor, threads: int) -> Layers:
    """Layers that give what the plain ones give, but for rounding and for what dropout draws, on so many threads of
    the pool, this one being the first.
    """
    return Layers(partial(shared_self_attention, pool, threads), partial(shared_self_attention_backward, pool),
                  partial(shared_feed_forward, pool, threads), partial(shared_feed_forward_backward, pool),
                  partial(shared_unembedding, pool, threads), partial(shared_unembedding_backward, pool, threads))


def shared_self_attention(pool: Executor, threads: int, x: np.ndarray, w_qkv: np.ndarray, b_qkv: np.ndarray,
                          w_proj: np.ndarray, b_proj: np.ndarray, n_head: int, p: float = 0.0,
                          rng: np.random.Generator | None = None) -> tuple[np.ndarray, list[SelfAttentionCache]]:
    """causal_self_attention: each thread has some of the heads, and a generator that rng seeds."""
    calls = []
    for heads in shares(n_head, threads):
        part_rng = np.random.default_rng(rng.integers(2**63)) if rng is not None else None
        calls.append((heads, x, w_qkv, b_qkv, w_proj, b_proj, n_head, p, part_rng))
    ys, caches = zip(*together(pool, attend, calls))
    return added(ys), list(caches)


def attend(heads: slice, x: np.ndarray, w_qkv: np.ndarray, b_qkv: np.ndarray, w_proj: np.ndarray, b_proj: np.ndarray,
           n_head: int, p: float, rng: np.random.Generator | None) -> tuple[np.ndarray, SelfAttentionCache]:
    """What these heads add to y. Their q, k and v are O channels each, in three products, for the columns of w_qkv
    that give one of them lie side by side.
    """
    B, T, C = x.shape
    H = heads.stop - heads.start
    own = channels(heads, C // n_head)
    w, b = thirds(w_qkv, own), thirds(b_qkv, own)                          # (3, C, O), (3, O)
    qkv = x.reshape(B * T, C) @ w                                          # (3, R, O)
    qkv += b[:, None]
    q, k, v = qkv.reshape(3, B, T, H, -1).swapaxes(2, 3)                   # (B, H, T, D) each
    attended, attention_cache = causal_attention(q, k, v, p, rng)
    y, proj_cache = linear(merge_heads(attended), w_proj[own], once(b_proj, heads))
    return y, SelfAttentionCache((x, w), attention_cache, proj_cache)


def shared_self_attention_backward(pool: Executor, dy: np.ndarray, caches: list[SelfAttentionCache],
                                   dw_qkv: np.ndarray | None = None,
                                   dw_proj: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """causal_self_attention_backward, from a cache for each part of the heads."""
    C = dy.shape[-1]
    n_head = sum(cache.attention[0].k.shape[1] for cache in caches)
    dw_qkv = np.empty((C, 3 * C), dy.dtype) if dw_qkv is None else dw_qkv
    dw_proj = np.empty((C, C), dy.dtype) if dw_proj is None else dw_proj
    db_qkv = np.empty(3 * C, dy.dtype)
    calls = [(heads, dy, cache, n_head, dw_qkv, db_qkv, dw_proj)
             for heads, cache in zip(shares(n_head, len(caches)), caches)]
    dxs, db_projs = zip(*together(pool, attend_backward, calls))
    return added(dxs), dw_qkv, db_qkv, dw_proj, db_projs[0]


def attend_backward(heads: slice, dy: np.ndarray, cache: SelfAttentionCache, n_head: int, dw_qkv: np.ndarray,
                    db_qkv: np.ndarray, dw_proj: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What x gets from these heads, and db_proj. The other gradients go to their places."""
    x, w = cache.qkv
    B, T, C = x.shape
    H = heads.stop - heads.start
    own = channels(heads, C // n_head)
    dmerged, _, db_proj = linear_backward(dy, cache.proj, dw_proj[own])
    dattended = dmerged.reshape(B, T, H, -1).swapaxes(1, 2)                # (B, H, T, D)
    dqkv = np.empty((3, B, T, H, C // n_head), dy.dtype)
    for view, gradient in zip(dqkv.swapaxes(2, 3), causal_attention_backward(dattended, cache.attention)):
        view[...] = gradient
    dqkv = dqkv.reshape(3, B * T, -1)                                      # (3, R, O)
    thirds(db_qkv, own)[...] = dqkv.sum(axis=1)
    np.matmul(x.reshape(B * T, C).T, dqkv, out=thirds(dw_qkv, own))
    dx = added(dqkv @ w.mT)                                                # (R, C)
    return dx.reshape(x.shape), db_proj


def shared_feed_forward(pool: Executor, threads: int, x: np.ndarray, w_up: np.ndarray, b_up: np.ndarray,
                        w_down: np.ndarray, b_down: np.ndarray,
                        activation: str = "gelu_new") -> tuple[np.ndarray, list[FeedForwardCache]]:
    """feed_forward: each thread has some channels of the middle."""
    calls = [(x, w_up[:, middle], b_up[middle], w_down[middle], once(b_down, middle), activation)
             for middle in shares(len(b_up), threads)]
    ys, caches = zip(*together(pool, feed_forward, calls))
    return added(ys), list(caches)


def shared_feed_forward_backward(pool: Executor, dy: np.ndarray, caches: list[FeedForwardCache],
                                 dw_up: np.ndarray | None = None,
                                 dw_down: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """feed_forward_backward, from a cache for each part of the middle."""
    C = dy.shape[-1]
    I = sum(cache.up[1].shape[1] for cache in caches)                              # of each part's w_up
    dw_up = np.empty((C, I), dy.dtype) if dw_up is None else dw_up
    dw_down = np.empty((I, C), dy.dtype) if dw_down is None else dw_down
    calls = [(dy, cache, dw_up[:, middle], dw_down[middle]) for middle, cache in zip(shares(I, len(caches)), caches)]
    dxs, _, db_ups, _, db_downs = zip(*together(pool, feed_forward_backward, calls))
    return added(dxs), dw_up, np.concatenate(db_ups), dw_down, db_downs[0]


def shared_unembedding(pool: Executor, threads: int, x: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, tuple]:
    """unembedding: each thread has some tokens of the vocabulary, and so some columns of the scores."""
    rows = x.reshape(-1, x.shape[-1])             # (R, C)
    logits = np.empty((len(rows), len(table)), x.dtype)
    together(pool, np.matmul, [(rows, table[tokens].T, logits[:, tokens]) for tokens in shares(len(table), threads)])
    return logits.reshape(*x.shape[:-1], len(table)), (x, table)


def shared_unembedding_backward(pool: Executor, threads: int, dlogits: np.ndarray, cache: tuple,
                                dtable: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """unembedding_backward: each thread has some rows of the table."""
    x, table = cache
    dtable = np.empty(table.shape, dlogits.dtype) if dtable is None else dtable
    calls = [(dlogits[..., tokens], (x, table[tokens]), dtable[tokens]) for tokens in shares(len(table), threads)]
    dxs, _ = zip(*together(pool, unembedding_backward, calls))
    return added(dxs), dtable


def thirds(qkv: np.ndarray, own: slice) -> np.ndarray:
    """(..., 3C)  ->  (3, ..., O): a view of these channels of q, k and v."""
    return np.moveaxis(qkv.reshape(*qkv.shape[:-1], 3, -1)[..., own], -2, 0)


def channels(heads: slice, D: int) -> slice:
    """Where these heads stand side by side."""
    return slice(heads.start * D, heads.stop * D)


def once(bias: np.ndarray, part: slice) -> np.ndarray:
    """The bias of a sum, which the first part brings."""
    return bias if part.start == 0 else np.zeros_like(bias)


def added(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of arrays that nobody else holds, in the first of them, always in the same order."""
    total, *others = parts
    for other in others:
        total += other
    return total
