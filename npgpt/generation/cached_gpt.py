"""The GPT with a memory: the layers of model.gpt, each token read once. For generation, so without backward."""
import numpy as np

from npgpt.generation.kv_cache import KeyValueCache
from npgpt.generation.one_token import gpt_of_one
from npgpt.generation.views import Views
from npgpt.layers.attention import attention
from npgpt.layers.causal_attention import causal_attention
from npgpt.layers.embedding import unembedding
from npgpt.layers.feed_forward import feed_forward
from npgpt.layers.layer_norm import layer_norm
from npgpt.layers.linear import linear
from npgpt.layers.self_attention import merge_heads, split_heads
from npgpt.model.config import GPTConfig


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
    if ids.size == 1 and first is None:
        return gpt_of_one(int(ids[0, 0]), views, cache, length)[None]
    if first is None:
        mask, positions = None, views.positions[length:end]                            # (T, C)
    else:
        mask = (np.arange(end) >= first[:, None])[:, None, None, :]                    # (B, 1, 1, S)
        positions = views.positions[np.arange(length, end) - first[:, None]]           # (B, T, C)
    x = views.tokens[ids] + positions                                                  # (B, T, C)
    for parameters, keys, values in zip(views.blocks, *cache):
        x = cached_block(x, *parameters, config, keys, values, length, mask)
    last, _ = layer_norm(x[:, -1], views.gain, views.bias, config.layer_norm_epsilon)  # (B, C)
    logits, _ = unembedding(last, views.head)                                          # (B, V)
    return logits


def cached_block(x, gain_1, bias_1, w_qkv, b_qkv, w_proj, b_proj, gain_2, bias_2, w_up, b_up, w_down, b_down,
                 config: GPTConfig, keys: np.ndarray, values: np.ndarray, length: int, mask: np.ndarray | None) -> np.ndarray:
    """model.block, its queries looking back at the cache: x (B, T, C), keys and values (B, H, S, D)  ->  y (B, T, C)"""
    normed, _ = layer_norm(x, gain_1, bias_1, config.layer_norm_epsilon)
    qkv, _ = linear(normed, w_qkv, b_qkv)                                              # (B, T, 3C)
    q, k, v = split_heads(qkv, config.n_head)                                          # (B, H, T, D) each
    end = length + x.shape[1]
    keys[:, :, length:end] = k
    values[:, :, length:end] = v
    heads = look_back(q, keys[:, :, :end], values[:, :, :end], mask)                   # (B, H, T, D)
    branch, _ = linear(merge_heads(heads), w_proj, b_proj)
    m = x + branch

    normed, _ = layer_norm(m, gain_2, bias_2, config.layer_norm_epsilon)
    branch, _ = feed_forward(normed, w_up, b_up, w_down, b_down, config.activation_function)
    return m + branch


def look_back(q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Attention of the last T of S positions: q (B, H, T, D), k and v (B, H, S, D)  ->  (B, H, T, D)

    A whole text goes in blocks of queries; a single query sees every key, and needs no causal mask.
    """
    T, S = q.shape[-2], k.shape[-2]
    if mask is None and T == S:
        return causal_attention(q, k, v)[0]
    return attention(q, k, v, mask, causal=T > 1)[0]
