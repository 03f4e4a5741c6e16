"""Self-attention: every position attends to others of its sequence, in several heads at once."""
from typing import NamedTuple

import numpy as np

from npgpt.layers.linear import linear, linear_backward
from npgpt.layers.pattern import CAUSAL, Pattern


class SelfAttentionCache(NamedTuple):
    qkv: list[tuple]                           # of the three linear layers
    attention: tuple                           # of the pattern
    proj: tuple
    n_head: int
    pattern: Pattern


def self_attention(x: np.ndarray, w_qkv: np.ndarray, b_qkv: np.ndarray, w_proj: np.ndarray, b_proj: np.ndarray,
                   n_head: int, pattern: Pattern = CAUSAL, p: float = 0.0,
                   rng: np.random.Generator | None = None) -> tuple[np.ndarray, SelfAttentionCache]:
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2).

    x (B, T, C), w_qkv (C, 3, A), b_qkv (3, A), w_proj (A, C), b_proj (C,)  ->  y (B, T, C)

        q, k, v = x w_q + b_q,  x w_k + b_k,  x w_v + b_v        w_q is w_qkv[:, 0], w_k w_qkv[:, 1], w_v w_qkv[:, 2]
        y       = concat(attention of each head) w_proj + b_proj

    Of the A channels of q, k and v, head h has channels h D to (h + 1) D. A is C, except where a thread computes
    some of the heads only. pattern: which keys a query sees. Dropout acts on the attention weights.
    """
    (q, q_cache), (k, k_cache), (v, v_cache) = (linear(x, w, b) for w, b in zip(w_qkv.swapaxes(0, 1), b_qkv))
    q, k, v = (split_heads(z, n_head) for z in (q, k, v))                  # (B, H, T, D) each
    heads, attention_cache = pattern.forward(q, k, v, p=p, rng=rng)        # (B, H, T, D)
    y, proj_cache = linear(merge_heads(heads), w_proj, b_proj)
    return y, SelfAttentionCache([q_cache, k_cache, v_cache], attention_cache, proj_cache, n_head, pattern)


def self_attention_backward(dy: np.ndarray, cache: SelfAttentionCache, out: tuple | None = None) -> tuple[np.ndarray, ...]:
    """dy (B, T, C)  ->  dx (B, T, C), dw_qkv (C, 3, A), db_qkv (3, A), dw_proj (A, C), db_proj (C,)

    x is used three times, for queries, keys and values, so its three gradients add up.
    """
    if out is None:
        (_, C), A = dy.shape[1:], cache.proj[1].shape[0]
        out = np.empty((C, 3, A), dy.dtype), np.empty((3, A), dy.dtype), None, None
    dw_qkv, db_qkv, dw_proj, db_proj = out
    dmerged, dw_proj, db_proj = linear_backward(dy, cache.proj, (dw_proj, db_proj))
    dheads = split_heads(dmerged, cache.n_head)                            # (B, H, T, D)
    dq, dk, dv = cache.pattern.backward(dheads, cache.attention)
    dx, _, _ = linear_backward(merge_heads(dq), cache.qkv[0], (dw_qkv[:, 0], db_qkv[0]))
    for i, dz in (1, dk), (2, dv):
        dx += linear_backward(merge_heads(dz), cache.qkv[i], (dw_qkv[:, i], db_qkv[i]))[0]
    return dx, dw_qkv, db_qkv, dw_proj, db_proj


def split_heads(x: np.ndarray, n_head: int) -> np.ndarray:
    """(B, T, C)  ->  (B, H, T, D): a view; head h has channels h D to (h + 1) D."""
    B, T, _ = x.shape
    return x.reshape(B, T, n_head, -1).transpose(0, 2, 1, 3)


def merge_heads(heads: np.ndarray) -> np.ndarray:
    """(B, H, T, D)  ->  (B, T, C)"""
    B, H, T, D = heads.shape
    return heads.transpose(0, 2, 1, 3).reshape(B, T, H * D)
