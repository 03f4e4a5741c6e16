"""Causal self-attention: every position looks back at those before it, in several heads at once."""
from typing import NamedTuple

import numpy as np

from npgpt.layers.attention import AttentionCache
from npgpt.layers.causal_attention import causal_attention, causal_attention_backward
from npgpt.layers.linear import linear, linear_backward


class SelfAttentionCache(NamedTuple):
    qkv: tuple
    attention: tuple[AttentionCache, ...]      # one for each block of queries
    proj: tuple


def causal_self_attention(x: np.ndarray, w_qkv: np.ndarray, b_qkv: np.ndarray, w_proj: np.ndarray,
                          b_proj: np.ndarray, n_head: int, p: float = 0.0,
                          rng: np.random.Generator | None = None) -> tuple[np.ndarray, SelfAttentionCache]:
    """Multi-head causal self-attention (Vaswani et al. 2017, section 3.2.2; fused q/k/v as in GPT-2).

    x (B, T, C), w_qkv (C, 3C), b_qkv (3C,), w_proj (C, C), b_proj (C,)  ->  y (B, T, C)

    One product makes queries, keys and values; each head attends in its own D = C / H channels; the
    heads' results stand side by side again and go through one more linear layer.
    """
    qkv, qkv_cache = linear(x, w_qkv, b_qkv)                   # (B, T, 3C)
    q, k, v = split_heads(qkv, n_head)                         # (B, H, T, D) each
    heads, attention_cache = causal_attention(q, k, v, p, rng)
    y, proj_cache = linear(merge_heads(heads), w_proj, b_proj)
    return y, SelfAttentionCache(qkv_cache, attention_cache, proj_cache)


def causal_self_attention_backward(dy: np.ndarray, cache: SelfAttentionCache, dw_qkv: np.ndarray | None = None,
                                   dw_proj: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """dy (B, T, C)  ->  dx (B, T, C), dw_qkv (C, 3C), db_qkv (3C,), dw_proj (C, C), db_proj (C,)

    x reaches y as query, as key and as value. Their three gradients are added up by the one product
    dx = dqkv w_qkv^T, whose inner sum runs over the channels of all three.
    """
    B, H, _, D = cache.attention[0].k.shape
    T = dy.shape[1]
    dmerged, dw_proj, db_proj = linear_backward(dy, cache.proj, dw_proj)
    dheads = dmerged.reshape(B, T, H, D).transpose(0, 2, 1, 3)             # (B, H, T, D)
    dq, dk, dv = causal_attention_backward(dheads, cache.attention)
    dqkv = np.empty((B, T, 3 * H * D), dy.dtype)
    for view, gradient in zip(split_heads(dqkv, H), (dq, dk, dv)):
        view[...] = gradient
    dx, dw_qkv, db_qkv = linear_backward(dqkv, cache.qkv, dw_qkv)
    return dx, dw_qkv, db_qkv, dw_proj, db_proj


def split_heads(qkv: np.ndarray, n_head: int) -> np.ndarray:
    """(B, T, 3C)  ->  (3, B, H, T, D): a view, head h taking channels h D to (h + 1) D."""
    B, T, _ = qkv.shape
    return qkv.reshape(B, T, 3, n_head, -1).transpose(2, 0, 3, 1, 4)


def merge_heads(heads: np.ndarray) -> np.ndarray:
    """(B, H, T, D)  ->  (B, T, C)"""
    B, H, T, D = heads.shape
    return heads.transpose(0, 2, 1, 3).reshape(B, T, H * D)
