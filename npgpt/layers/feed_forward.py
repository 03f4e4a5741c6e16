"""Feed-forward network: two linear layers with a nonlinearity between them, the same for every position."""
from typing import NamedTuple

import numpy as np

from npgpt.layers.activations import (
    gelu, gelu_backward, gelu_exact, gelu_exact_backward, relu, relu_backward, silu, silu_backward)
from npgpt.layers.linear import linear, linear_backward

# By Hugging Face's names: "gelu_new" is the tanh form, "gelu" the exact one.
ACTIVATIONS = {
    "gelu_new": (gelu, gelu_backward),
    "gelu": (gelu_exact, gelu_exact_backward),
    "relu": (relu, relu_backward),
    "silu": (silu, silu_backward),
    "swish": (silu, silu_backward),
}


class FeedForwardCache(NamedTuple):
    up: tuple
    activation: tuple
    down: tuple
    activation_name: str


def feed_forward(x: np.ndarray, w_up: np.ndarray, b_up: np.ndarray, w_down: np.ndarray, b_down: np.ndarray,
                 activation: str = "gelu_new") -> tuple[np.ndarray, FeedForwardCache]:
    """Position-wise feed-forward network (Vaswani et al. 2017, eq. 2, with GPT's activation).

    x (..., C), w_up (C, I), b_up (I,), w_down (I, C), b_down (C,)  ->  y (..., C)

        y = activation(x w_up + b_up) w_down + b_down

    Raises KeyError for an activation that is not in ACTIVATIONS.
    """
    activate, _ = ACTIVATIONS[activation]
    h, up_cache = linear(x, w_up, b_up)                        # (..., I)
    a, activation_cache = activate(h)                          # (..., I)
    y, down_cache = linear(a, w_down, b_down)                  # (..., C)
    return y, FeedForwardCache(up_cache, activation_cache, down_cache, activation)


def feed_forward_backward(dy: np.ndarray, cache: FeedForwardCache,
                          out: tuple = (None, None, None, None)) -> tuple[np.ndarray, ...]:
    """dy (..., C)  ->  dx (..., C), dw_up (C, I), db_up (I,), dw_down (I, C), db_down (C,)"""
    _, activate_backward = ACTIVATIONS[cache.activation_name]
    dw_up, db_up, dw_down, db_down = out
    da, dw_down, db_down = linear_backward(dy, cache.down, (dw_down, db_down))       # (..., I)
    dh = activate_backward(da, cache.activation)                                     # (..., I)
    dx, dw_up, db_up = linear_backward(dh, cache.up, (dw_up, db_up))                 # (..., C)
    return dx, dw_up, db_up, dw_down, db_down
