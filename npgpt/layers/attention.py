"""Scaled dot-product attention: for every query a mean of the values, weighted by how well their keys match it."""
import math
from typing import NamedTuple

import numpy as np

from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.softmax import softmax, softmax_backward


class AttentionCache(NamedTuple):
    """What attention_backward needs. weights (..., T, S) are those after dropout."""
    scaled_q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    softmax: tuple
    dropout: tuple | None
    weights: np.ndarray


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None = None, causal: bool = False,
              window: int | None = None, p: float = 0.0,
              rng: np.random.Generator | None = None) -> tuple[np.ndarray, AttentionCache]:
    """Scaled dot-product attention (Vaswani et al. 2017, eq. 1).

    q (..., T, D), k (..., S, D), v (..., S, E)  ->  y (..., T, E)

        y = softmax(q k^T / sqrt(D)) v

    mask, broadcastable to (..., T, S): query t sees key s where True. causal: the queries are the last
    T of the S positions, and none sees a later one; with a window W, it sees the last W of them. With
    neither, every query sees every key. A query that sees no key gives zeros. Dropout with probability p
    acts on the weights where rng is given.

    Raises ValueError where the leading axes of q, k and v, the S of k and v, or the D of q and k differ.
    """
    if q.shape[:-2] != k.shape[:-2] or k.shape[:-1] != v.shape[:-1] or q.shape[-1] != k.shape[-1]:
        raise ValueError(f"attention: q {q.shape}, k {k.shape}, v {v.shape} do not fit "
                         "(..., T, D), (..., S, D), (..., S, E)")
    T, D = q.shape[-2:]
    S = k.shape[-2]
    if causal and (T > 1 or window is not None):               # a single query is the last position: it sees every key
        past = causal_mask(T, S, window)
        mask = past if mask is None else mask & past
    scaled_q = q * (1 / math.sqrt(D))                          # q has fewer entries than the scores
    scores = scaled_q @ k.mT                                   # (..., T, S)
    weights, softmax_cache = softmax(scores, mask)
    dropout_cache = None
    if rng is not None and p > 0:
        weights, dropout_cache = dropout(weights, p, rng)
    y = weights @ v                                            # (..., T, E)
    return y, AttentionCache(scaled_q, k, v, softmax_cache, dropout_cache, weights)


def attention_backward(dy: np.ndarray, cache: AttentionCache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dy (..., T, E)  ->  dq (..., T, D), dk (..., S, D), dv (..., S, E)

    Two matrix products with a softmax between them. For c = a b, that is c_ij = sum_k a_ik b_kj, the
    gradients are da = dc b^T and db = a^T dc. So

        dweights = dy v^T                  dv = weights^T dy
        dscores  = softmax_backward(dweights)
        dq       = dscores k / sqrt(D)     dk = dscores^T q / sqrt(D)
    """
    scaled_q, k, v, softmax_cache, dropout_cache, weights = cache
    dv = weights.mT @ dy                                       # (..., S, E)
    dweights = dy @ v.mT                                       # (..., T, S)
    if dropout_cache is not None:
        dweights = dropout_backward(dweights, dropout_cache)
    dscores = softmax_backward(dweights, softmax_cache)
    dk = dscores.mT @ scaled_q                                 # (..., S, D)
    dscaled_q = dscores @ k                                    # (..., T, D)
    dq = dscaled_q * (1 / math.sqrt(k.shape[-1]))
    return dq, dk, dv


def causal_mask(T: int, S: int, window: int | None = None) -> np.ndarray:
    """(T, S), True where query t sees key s: where s <= t + S - T, because the queries are the last T positions;
    with a window, where also s > t + S - T - window."""
    mask = np.tri(T, S, S - T, dtype=bool)
    if window is not None:
        mask &= ~np.tri(T, S, S - T - window, dtype=bool)
    return mask
