"""One token of one text: the whole model on vectors, where calling NumPy takes longer than the arithmetic.

The equations are those of layers/, without what only batches and backward passes need, in a third of the
calls. A small model writes twice as fast; GPT-2 gains little, for there the time is that of reading the weights.
"""
import math

import numpy as np

from npgpt.generation.kv_cache import KeyValueCache
from npgpt.generation.views import Views
from npgpt.layers.feed_forward import ACTIVATIONS
from npgpt.model.config import GPTConfig


def gpt_of_one(token: int, views: Views, cache: KeyValueCache, length: int) -> np.ndarray:
    """Scores of what follows one token: cached_gpt for one text that begins in the first column  ->  logits (V,)

    The token's keys and values go into column `length` of the cache, which holds those of all before.
    """
    x = views.tokens[token] + views.positions[length]                                  # (C,)
    for parameters, keys, values in zip(views.blocks, *cache):
        x = block_of_one(x, *parameters, views.config, keys[0], values[0], length)
    return views.head @ layer_norm_of_one(x, views.gain, views.bias, views.config.layer_norm_epsilon)


def block_of_one(x, gain_1, bias_1, w_qkv, b_qkv, w_proj, b_proj, gain_2, bias_2, w_up, b_up, w_down, b_down,
                 config: GPTConfig, keys: np.ndarray, values: np.ndarray, length: int) -> np.ndarray:
    """model.block for one position: x (C,), keys and values (H, S, D)  ->  y (C,)"""
    activate, _ = ACTIVATIONS[config.activation_function]
    end = length + 1
    normed = layer_norm_of_one(x, gain_1, bias_1, config.layer_norm_epsilon)
    qkv = normed @ w_qkv + b_qkv                                                       # (3C,)
    q, keys[:, length], values[:, length] = qkv.reshape(3, config.n_head, -1)          # (H, D) each
    heads = attention_of_one(q, keys[:, :end], values[:, :end])                        # (H, D)
    m = x + (heads.reshape(-1) @ w_proj + b_proj)

    normed = layer_norm_of_one(m, gain_2, bias_2, config.layer_norm_epsilon)
    a, _ = activate(normed @ w_up + b_up)                                              # (I,)
    return m + (a @ w_down + b_down)


def layer_norm_of_one(x: np.ndarray, gain: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    """layers.layer_norm for one vector: x, gain, bias (C,)  ->  y (C,)"""
    C = len(x)
    y = x - float(x.sum()) / C
    y *= 1 / math.sqrt(float(y @ y) / C + eps)
    y *= gain
    y += bias
    return y


def attention_of_one(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """layers.attention for one query of each head, which sees every key: q (H, D), k and v (H, S, D)  ->  y (H, D)

    The D results are divided by the softmax's sum, in the place of the S weights.
    """
    weights = k @ (q * (1 / math.sqrt(q.shape[-1])))[:, :, None]                       # (H, S, 1)
    weights -= weights.max(axis=1, keepdims=True)
    np.exp(weights, out=weights)
    y = weights.mT @ v                                                                 # (H, 1, D)
    y /= weights.sum(axis=1, keepdims=True)
    return y[:, 0]
