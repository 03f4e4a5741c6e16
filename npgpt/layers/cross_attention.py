"""Cross-attention: every position of one sequence attends to all positions of another, the memory.

In an encoder-decoder the memory is the encoder's output. Its keys and values do not depend on x, so that they can be
computed once and attended to many times, as when a translation is generated token by token. Hence two layers,
memory_keys_values and attend_to_memory; cross_attention is one after the other.
"""
from typing import NamedTuple

import numpy as np

from npgpt.layers.attention import AttentionCache, attention, attention_backward
from npgpt.layers.linear import linear, linear_backward
from npgpt.layers.self_attention import merge_heads, split_heads


class AttendCache(NamedTuple):
    q: tuple
    attention: AttentionCache
    proj: tuple
    n_head: int


class CrossAttentionCache(NamedTuple):
    keys_values: tuple
    attend: AttendCache


def cross_attention(x: np.ndarray, memory: np.ndarray, w_q: np.ndarray, b_q: np.ndarray, w_kv: np.ndarray, b_kv: np.ndarray,
                    w_proj: np.ndarray, b_proj: np.ndarray, n_head: int, *, mask: np.ndarray | None = None, p: float = 0.0,
                    rng: np.random.Generator | None = None) -> tuple[np.ndarray, CrossAttentionCache]:
    """Multi-head attention over a memory (Vaswani et al. 2017, section 3.2.3).

    x (B, T, C), memory (B, S, C), w_q (C, C), b_q (C,), w_kv (C, 2C), b_kv (2C,), w_proj (C, C), b_proj (C,)
    ->  y (B, T, C)

        q    = x w_q + b_q                                 for each head, D channels each
        k, v = memory w_kv + b_kv
        y    = concat(attention of each head) w_proj + b_proj

    The columns of w_kv are those of the first head's k and v, then those of the second's, and so on. mask (B, S): the
    positions of the memory that are seen, if not all. Dropout with probability p acts on the attention weights where
    rng is given.
    """
    keys_values, keys_values_cache = memory_keys_values(memory, w_kv, b_kv, n_head)
    y, attend_cache = attend_to_memory(x, keys_values, w_q, b_q, w_proj, b_proj, mask=mask, p=p, rng=rng)
    return y, CrossAttentionCache(keys_values_cache, attend_cache)


def cross_attention_backward(dy: np.ndarray, cache: CrossAttentionCache,
                             out: tuple = (None, None, None, None, None, None)) -> tuple[np.ndarray, ...]:
    """dy (B, T, C)  ->  dx (B, T, C), dmemory (B, S, C), dw_q, db_q, dw_kv, db_kv, dw_proj, db_proj"""
    dw_q, db_q, dw_kv, db_kv, dw_proj, db_proj = out
    dx, dkeys_values, dw_q, db_q, dw_proj, db_proj = attend_to_memory_backward(
        dy, cache.attend, (dw_q, db_q, dw_proj, db_proj))
    dmemory, dw_kv, db_kv = memory_keys_values_backward(dkeys_values, cache.keys_values, (dw_kv, db_kv))
    return dx, dmemory, dw_q, db_q, dw_kv, db_kv, dw_proj, db_proj


def memory_keys_values(memory: np.ndarray, w_kv: np.ndarray, b_kv: np.ndarray, n_head: int) -> tuple[np.ndarray, tuple]:
    """memory (B, S, C), w_kv (C, 2C), b_kv (2C,)  ->  keys and values (2, B, H, S, D) of every head"""
    kv, kv_cache = linear(memory, w_kv, b_kv)                              # (B, S, 2C)
    B, S, _ = kv.shape
    return kv.reshape(B, S, n_head, 2, -1).transpose(3, 0, 2, 1, 4), (kv_cache,)


def memory_keys_values_backward(dkeys_values: np.ndarray, cache: tuple,
                                out: tuple = (None, None)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dkeys_values (2, B, H, S, D)  ->  dmemory (B, S, C), dw_kv (C, 2C), db_kv (2C,)

    The memory is used twice, for keys and for values. Its two gradients are added up by the one product dkv w_kv^T.
    """
    kv_cache, = cache
    _, B, H, S, D = dkeys_values.shape
    dkv = dkeys_values.transpose(1, 3, 2, 0, 4).reshape(B, S, H * 2 * D)
    return linear_backward(dkv, kv_cache, out)


def attend_to_memory(x: np.ndarray, keys_values: np.ndarray, w_q: np.ndarray, b_q: np.ndarray, w_proj: np.ndarray,
                     b_proj: np.ndarray, *, mask: np.ndarray | None = None, p: float = 0.0,
                     rng: np.random.Generator | None = None) -> tuple[np.ndarray, AttendCache]:
    """x (B, T, C), keys_values (2, B, H, S, D), w_q (C, C), b_q (C,), w_proj (C, C), b_proj (C,)  ->  y (B, T, C)

    The rest of cross_attention, whose arguments these are.
    """
    k, v = keys_values
    q, q_cache = linear(x, w_q, b_q)                                       # (B, T, C)
    n_head = k.shape[1]
    if mask is not None:
        mask = mask[:, None, None, :]                                      # (B, 1, 1, S): for all heads and queries
    heads, attention_cache = attention(split_heads(q, n_head), k, v, mask, p=p, rng=rng)       # (B, H, T, D)
    y, proj_cache = linear(merge_heads(heads), w_proj, b_proj)
    return y, AttendCache(q_cache, attention_cache, proj_cache, n_head)


def attend_to_memory_backward(dy: np.ndarray, cache: AttendCache,
                              out: tuple = (None, None, None, None)) -> tuple[np.ndarray, ...]:
    """dy (B, T, C)  ->  dx (B, T, C), dkeys_values (2, B, H, S, D), dw_q, db_q, dw_proj, db_proj"""
    dw_q, db_q, dw_proj, db_proj = out
    dmerged, dw_proj, db_proj = linear_backward(dy, cache.proj, (dw_proj, db_proj))
    dq, dk, dv = attention_backward(split_heads(dmerged, cache.n_head), cache.attention)
    dx, dw_q, db_q = linear_backward(merge_heads(dq), cache.q, (dw_q, db_q))
    return dx, np.stack([dk, dv]), dw_q, db_q, dw_proj, db_proj
