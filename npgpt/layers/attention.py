"""Attention: every query collects values, weighted by how well their keys match it."""
import math
from typing import NamedTuple

import numpy as np

from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.linear import linear, linear_backward
from npgpt.layers.softmax import softmax, softmax_backward


class AttentionCache(NamedTuple):
    """What attention_backward needs. weights (..., T, S) are those that met the values."""
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    softmax: tuple
    dropout: tuple | None
    weights: np.ndarray


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None, causal: bool = False,
              p: float = 0.0, rng: np.random.Generator | None = None) -> tuple[np.ndarray, AttentionCache]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1).

    q (..., T, D), k (..., S, D), v (..., S, E)  ->  y (..., T, E)

        y = softmax(q k^T / sqrt(D)) v

    mask, broadcastable to (..., T, S): query t sees key s where True. causal: the queries are the last
    T of the S positions, and none sees past itself. With neither, every query sees every key; keys and
    values may come from another sequence (cross attention). A query that sees nothing yields zeros.
    Dropout with probability p acts on the weights where rng is given.

    Raises ValueError where the leading axes of q, k and v, the S of k and v, or the D of q and k differ.
    """
    if q.shape[:-2] != k.shape[:-2] or k.shape[:-1] != v.shape[:-1] or q.shape[-1] != k.shape[-1]:
        raise ValueError(f"attention: q {q.shape}, k {k.shape}, v {v.shape} do not fit (..., T, D), (..., S, D), (..., S, E)")
    T, D = q.shape[-2:]
    S = k.shape[-2]
    if causal:
        past = causal_mask(T, S)
        mask = past if mask is None else mask & past
    scores = q @ k.mT                                          # (..., T, S)
    scores *= 1 / math.sqrt(D)
    weights, softmax_cache = softmax(scores, mask)
    dropout_cache = None
    if rng is not None and p > 0:
        weights, dropout_cache = dropout(weights, p, rng)
    y = weights @ v                                            # (..., T, E)
    return y, AttentionCache(q, k, v, softmax_cache, dropout_cache, weights)


def attention_backward(dy: np.ndarray, cache: AttentionCache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dy (..., T, E)  ->  dq (..., T, D), dk (..., S, D), dv (..., S, E)

    Two matrix products with a softmax between them. For c = a b: da = dc b^T and db = a^T dc, so

        dweights = dy v^T                  dv = weights^T dy
        dscores  = softmax_backward(dweights)
        dq       = dscores k / sqrt(D)     dk = dscores^T q / sqrt(D)
    """
    q, k, v, softmax_cache, dropout_cache, weights = cache
    dv = weights.mT @ dy                                       # (..., S, E)
    dweights = dy @ v.mT                                       # (..., T, S)
    if dropout_cache is not None:
        dweights = dropout_backward(dweights, dropout_cache)
    dscores = softmax_backward(dweights, softmax_cache)
    dscores *= 1 / math.sqrt(q.shape[-1])
    dk = dscores.mT @ q                                        # (..., S, D)
    dq = dscores @ k                                           # (..., T, D)
    return dq, dk, dv


def causal_mask(T: int, S: int) -> np.ndarray:
    """(T, S), True where query t may see key s: at s <= t + S - T, the queries being the last T positions."""
    return np.tri(T, S, S - T, dtype=bool)


class SelfAttentionCache(NamedTuple):
    qkv: tuple
    attention: AttentionCache
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
    heads, attention_cache = attention(q, k, v, causal=True, p=p, rng=rng)
    y, proj_cache = linear(merge_heads(heads), w_proj, b_proj)
    return y, SelfAttentionCache(qkv_cache, attention_cache, proj_cache)


def causal_self_attention_backward(dy: np.ndarray, cache: SelfAttentionCache) -> tuple[np.ndarray, ...]:
    """dy (B, T, C)  ->  dx (B, T, C), dw_qkv (C, 3C), db_qkv (3C,), dw_proj (C, C), db_proj (C,)

    x reaches y as query, as key and as value. Their three gradients are added up by the one product
    dx = dqkv w_qkv^T, whose inner sum runs over the channels of all three.
    """
    B, H, T, D = cache.attention.q.shape
    dmerged, dw_proj, db_proj = linear_backward(dy, cache.proj)
    dheads = dmerged.reshape(B, T, H, D).transpose(0, 2, 1, 3)             # (B, H, T, D)
    dq, dk, dv = attention_backward(dheads, cache.attention)
    dqkv = np.stack([merge_heads(d) for d in (dq, dk, dv)], axis=2).reshape(B, T, -1)   # (B, T, 3C)
    dx, dw_qkv, db_qkv = linear_backward(dqkv, cache.qkv)
    return dx, dw_qkv, db_qkv, dw_proj, db_proj


def split_heads(qkv: np.ndarray, n_head: int) -> np.ndarray:
    """(B, T, 3C)  ->  (3, B, H, T, D): a view, head h taking channels h D to (h + 1) D."""
    B, T, _ = qkv.shape
    return qkv.reshape(B, T, 3, n_head, -1).transpose(2, 0, 3, 1, 4)


def merge_heads(heads: np.ndarray) -> np.ndarray:
    """(B, H, T, D)  ->  (B, T, C)"""
    B, H, T, D = heads.shape
    return heads.transpose(0, 2, 1, 3).reshape(B, T, H * D)
