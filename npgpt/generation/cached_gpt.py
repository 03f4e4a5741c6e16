"""The GPT with a memory: the layers of model.gpt, each token read once. For generation, so without backward."""
from typing import NamedTuple

import numpy as np

from npgpt.generation.kv_cache import KeyValueCache
from npgpt.generation.one_token import attention_of_one, layer_norm_of_one
from npgpt.layers.attention import attention
from npgpt.layers.causal_attention import causal_attention
from npgpt.layers.embedding import sinusoidal_positions, unembedding
from npgpt.layers.feed_forward import feed_forward
from npgpt.layers.layer_norm import layer_norm
from npgpt.layers.linear import linear
from npgpt.layers.self_attention import merge_heads, split_heads
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import block_views, head_name, named_views


class Views(NamedTuple):
    """The parameters by use: found once, for in a small model finding them takes as long as using them."""
    tokens: np.ndarray                # (V, C)
    positions: np.ndarray             # (n_positions, C)
    blocks: list[list[np.ndarray]]
    gain: np.ndarray                  # (C,)
    bias: np.ndarray                  # (C,)
    head: np.ndarray                  # (V, C)
    config: GPTConfig


def arrange(parameters: np.ndarray, config: GPTConfig) -> Views:
    p = named_views(parameters, config)
    learned = config.position_embedding_type == "learned"
    positions = (p["transformer.wpe.weight"] if learned
                 else sinusoidal_positions(config.n_positions, config.n_embd, parameters.dtype))
    return Views(p["transformer.wte.weight"], positions, [block_views(p, i) for i in range(config.n_layer)],
                 p["transformer.ln_f.weight"], p["transformer.ln_f.bias"], p[head_name(config)], config)


def cached_gpt(ids: np.ndarray, views: Views, cache: KeyValueCache, length: int, first: np.ndarray | None = None) -> np.ndarray:
    """Scores of the token that follows the last: as model.gpt's for that position, but for rounding.

    ids (B, T), what comes next in B texts of which the cache holds the first `length` columns  ->  logits (B, V)

    The keys and values of ids go into columns length .. length + T - 1. first (B,): the column of each
    text's first token, at most `length`, where the texts differ in length: they end in the same column,
    no token looks at what stands before its own text, and positions count from its start. For one token,
    every product is a matrix with a vector, and the time is that of reading all parameters from memory once.

    The ids must lie in the vocabulary. Raises ValueError where length + T > n_positions.
    """
    config, T = views.config, ids.shape[1]
    end = length + T
    if end > config.n_positions:
        raise ValueError(f"cached_gpt: {length} + {T} tokens do not fit n_positions ({config.n_positions})")
    if first is None:
        mask, positions = None, views.positions[length:end]                            # (T, C)
    else:
        mask = (np.arange(end) >= first[:, None])[:, None, None, :]                    # (B, 1, 1, S)
        positions = views.positions[np.arange(length, end) - first[:, None]]           # (B, T, C)
    x = views.tokens[ids] + positions                                                  # (B, T, C)
    for parameters, keys, values in zip(views.blocks, *cache):
        x = cached_block(x, *parameters, config, keys, values, length, mask)
    last = norm(x[:, -1], views.gain, views.bias, config.layer_norm_epsilon)           # (B, C)
    logits, _ = unembedding(last, views.head)                                          # (B, V)
    return logits


def cached_block(x, gain_1, bias_1, w_qkv, b_qkv, w_proj, b_proj, gain_2, bias_2, w_up, b_up, w_down, b_down,
                 config: GPTConfig, keys: np.ndarray, values: np.ndarray, length: int, mask: np.ndarray | None) -> np.ndarray:
    """model.block, its queries looking back at the cache: x (B, T, C), keys and values (B, H, S, D)  ->  y (B, T, C)"""
    normed = norm(x, gain_1, bias_1, config.layer_norm_epsilon)
    qkv, _ = linear(normed, w_qkv, b_qkv)                                              # (B, T, 3C)
    q, k, v = split_heads(qkv, config.n_head)                                          # (B, H, T, D) each
    end = length + x.shape[1]
    keys[:, :, length:end] = k
    values[:, :, length:end] = v
    heads = look_back(q, keys[:, :, :end], values[:, :, :end], mask)                   # (B, H, T, D)
    branch, _ = linear(merge_heads(heads), w_proj, b_proj)
    m = x + branch

    normed = norm(m, gain_2, bias_2, config.layer_norm_epsilon)
    branch, _ = feed_forward(normed, w_up, b_up, w_down, b_down, config.activation_function)
    return m + branch


def norm(x: np.ndarray, gain: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    """Layer norm of x (..., C)."""
    if x.size == len(gain):
        return layer_norm_of_one(x, gain, bias, eps)
    return layer_norm(x, gain, bias, eps)[0]


def look_back(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Attention of the last T of S positions: q (B, H, T, D), k and v (B, H, S, D)  ->  (B, H, T, D)

    A whole text goes in blocks of queries; a single query sees every key, and needs no causal mask.
    """
    T, S = q.shape[-2], k.shape[-2]
    if mask is not None or 1 < T < S:
        return attention(q, k, v, mask, causal=True)[0]
    if T == 1:
        return attention_of_one(q, k, v)
    return causal_attention(q, k, v)[0]
