"""Self-attention: every position attends to others of its sequence, in several heads at once."""
from typing import NamedTuple

import numpy as np

from npgpt.layers.linear import linear, linear_backward
from npgpt.layers.pattern import CAUSAL, Pattern


class SelfAttentionCache(NamedTuple):
    qkv: tuple
    attention: tuple                           # of the pattern
    proj: tuple
    n_head: int
    pattern: Pattern


def self_attention(x: np.ndarray, w_qkv: np.ndarray, b_qkv: np.ndarray | None, w_proj: np.ndarray, b_proj: np.ndarray,
                   n_head: int, pattern: Pattern = CAUSAL, p: float = 0.0,
                   rng: np.random.Generator | None = None) -> tuple[np.ndarray, SelfAttentionCache]:
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2).

    x (B, T, C), w_qkv (C, 3A), b_qkv (3A,) or None, w_proj (A, C), b_proj (C,)  ->  y (B, T, C)

        q, k, v = x w_qkv + b_qkv                            for each head, D channels each
        y       = concat(attention of each head) w_proj + b_proj

    One product computes all queries, keys and values. The columns of w_qkv are those of the first head's q, k and v,
    then those of the second's, and so on, so that some of the heads have columns side by side. A = H D is C, except
    where a thread computes some of the heads only. pattern: which keys a query sees. Dropout acts on the attention
    weights.
    """
    qkv, qkv_cache = linear(x, w_qkv, b_qkv)                               # (B, T, 3A)
    q, k, v = split_qkv(qkv, n_head)                                       # (B, H, T, D) each
    heads, attention_cache = pattern.forward(q, k, v, p=p, rng=rng)        # (B, H, T, D)
    y, proj_cache = linear(merge_heads(heads), w_proj, b_proj)
    return y, SelfAttentionCache(qkv_cache, attention_cache, proj_cache, n_head, pattern)


def self_attention_backward(dy: np.ndarray, cache: SelfAttentionCache,
                            out: tuple = (None, None, None, None)) -> tuple[np.ndarray, ...]:
    """dy (B, T, C)  ->  dx (B, T, C), dw_qkv (C, 3A), db_qkv (3A,), dw_proj (A, C), db_proj (C,)

    x is used three times, for queries, keys and values. Its three gradients are added up by the one product
    dx = dqkv w_qkv^T, whose inner sum runs over the channels of all three.
    """
    dw_qkv, db_qkv, dw_proj, db_proj = out
    dmerged, dw_proj, db_proj = linear_backward(dy, cache.proj, (dw_proj, db_proj))
    dheads = split_heads(dmerged, cache.n_head)                            # (B, H, T, D)
    B, H, T, D = dheads.shape
    dqkv = np.empty((B, T, 3 * H * D), dy.dtype)
    for view, gradient in zip(split_qkv(dqkv, H), cache.pattern.backward(dheads, cache.attention)):
        view[...] = gradient
    dx, dw_qkv, db_qkv = linear_backward(dqkv, cache.qkv, (dw_qkv, db_qkv))
    return dx, dw_qkv, db_qkv, dw_proj, db_proj


def split_qkv(qkv: np.ndarray, n_head: int) -> np.ndarray:
    """(B, T, 3A)  ->  (3, B, H, T, D): a view"""
    B, T, _ = qkv.shape
    return qkv.reshape(B, T, n_head, 3, -1).transpose(3, 0, 2, 1, 4)


def split_heads(x: np.ndarray, n_head: int) -> np.ndarray:
    """(B, T, A)  ->  (B, H, T, D): a view; head h has channels h D to (h + 1) D."""
    B, T, _ = x.shape
    return x.reshape(B, T, n_head, -1).transpose(0, 2, 1, 3)


def merge_heads(heads: np.ndarray) -> np.ndarray:
    """(B, H, T, D)  ->  (B, T, A)"""
    B, H, T, D = heads.shape
    return heads.transpose(0, 2, 1, 3).reshape(B, T, H * D)
