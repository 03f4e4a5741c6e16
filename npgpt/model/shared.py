"""Shared: the layers that hold matrices, each computed by several threads at once.

A head has its own columns of w_qkv and its own rows of w_proj, a channel in feed-forward's middle its own column of
w_up and row of w_down, a token's score its own row of the table. So each thread runs the plain layer on its part of
the matrices; what the parts give adds up, and every part's gradients have a place of their own (tensor parallelism:
Shoeybi et al. 2019, section 3).
"""
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np

from npgpt.layers.embedding import unembedding_backward
from npgpt.layers.feed_forward import FeedForwardCache, feed_forward, feed_forward_backward
from npgpt.layers.self_attention import SelfAttentionCache, causal_self_attention, causal_self_attention_backward
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
    """What these heads add to y. Their columns of w_qkv lie in three places, so the product needs a copy."""
    own_w_qkv = by_head(w_qkv, n_head)[..., heads, :].reshape(len(w_qkv), -1)
    own_b_qkv = by_head(b_qkv, n_head)[..., heads, :].reshape(-1)
    own_w_proj = w_proj[channels(heads, len(w_proj) // n_head)]
    own_n_head = heads.stop - heads.start
    return causal_self_attention(x, own_w_qkv, own_b_qkv, own_w_proj, once(b_proj, heads), own_n_head, p, rng)


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
    own_dw_proj = dw_proj[channels(heads, len(dw_proj) // n_head)]
    dx, own_dw_qkv, own_db_qkv, _, db_proj = causal_self_attention_backward(dy, cache, dw_proj=own_dw_proj)
    own_n_head = heads.stop - heads.start
    by_head(dw_qkv, n_head)[..., heads, :] = by_head(own_dw_qkv, own_n_head)
    by_head(db_qkv, n_head)[..., heads, :] = by_head(own_db_qkv, own_n_head)
    return dx, db_proj


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


def by_head(qkv: np.ndarray, n_head: int) -> np.ndarray:
    """(..., 3C)  ->  (..., 3, H, D): a view, in which a head's own channels can be chosen."""
    return qkv.reshape(*qkv.shape[:-1], 3, n_head, -1)


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
