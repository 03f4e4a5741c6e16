"""Optional reading: a decode step of a single text by GPT-2, with vectors in the place of (B, T, C) arrays.

The equations are those of layers/ and model/, in a third of the calls, because nothing is kept for a backward pass. In a
small model, calling NumPy takes longer than the arithmetic, so this is 1.7 times as fast. In GPT-2, reading the weights from
memory takes most of the time, and this gains little.
"""
import math

import numpy as np

from npgpt.generation.kv_cache import KeyValueCache
from npgpt.layers.embedding import sinusoidal_positions
from npgpt.layers.feed_forward import ACTIVATIONS
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import GPTParameters
from npgpt.model.heads import language_model_head
from npgpt.model.parameters import BlockParameters


def is_gpt2(config: GPTConfig) -> bool:
    """Whether a model has GPT-2's blocks, for which the functions below are."""
    return config.pre_layer_norm and config.qkv_bias and config.window_size is None


def decode_step(token: int, p: GPTParameters, config: GPTConfig, cache: KeyValueCache, length: int) -> np.ndarray:
    """Logits (V,) of what follows one token of a text that begins in the cache's first column.

    The cache holds the keys and values of the `length` tokens before; those of this one are written into the next column.
    """
    position = sinusoidal_positions(np.array(length), config.n_embd, p.wte.dtype) if p.wpe is None else p.wpe[length]
    x = p.wte[token] + position                                                        # (C,)
    for block_parameters, keys, values in zip(p.blocks, *cache):
        x = block_step(x, block_parameters, config, keys[0], values[0], length)
    return language_model_head(p) @ layer_norm_step(x, *p.ln_f, config.layer_norm_epsilon)


def block_step(x: np.ndarray, p: BlockParameters, config: GPTConfig, keys: np.ndarray, values: np.ndarray,
               length: int) -> np.ndarray:
    """model.block for the position `length`: x (C,), keys and values (H, S, D)  ->  y (C,)"""
    activate, _ = ACTIVATIONS[config.activation_function]
    end = length + 1
    normed = layer_norm_step(x, *p.ln_1, config.layer_norm_epsilon)
    qkv = normed @ p.attn.w_qkv                                                        # (3C,)
    qkv += p.attn.b_qkv
    q, keys[:, length], values[:, length] = qkv.reshape(config.n_head, 3, -1).swapaxes(0, 1)     # (H, D) each
    heads = attention_step(q, keys[:, :end], values[:, :end])                          # (H, D)
    m = heads.reshape(-1) @ p.attn.w_proj                                              # (C,)
    m += p.attn.b_proj
    m += x

    normed = layer_norm_step(m, *p.ln_2, config.layer_norm_epsilon)
    h = normed @ p.mlp.w_up                                                            # (I,)
    h += p.mlp.b_up
    a, _ = activate(h)
    y = a @ p.mlp.w_down                                                               # (C,)
    y += p.mlp.b_down
    y += m
    return y


def layer_norm_step(x: np.ndarray, gain: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    """layers.layer_norm for one vector: x, gain, bias (C,)  ->  y (C,)"""
    C = len(x)
    y = x - float(x.sum()) / C
    y *= 1 / math.sqrt(float(y @ y) / C + eps)
    y *= gain
    y += bias
    return y


def attention_step(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """layers.attention for one query of each head, which sees every key: q (H, D), k and v (H, S, D)  ->  y (H, D)"""
    weights = k @ (q * (1 / math.sqrt(q.shape[-1])))[:, :, None]                       # (H, S, 1)
    weights -= weights.max(axis=1, keepdims=True)
    np.exp(weights, out=weights)
    y = weights.mT @ v                                                                 # (H, 1, D)
    y /= weights.sum(axis=1, keepdims=True)                                            # D divisions instead of S
    return y[:, 0]
