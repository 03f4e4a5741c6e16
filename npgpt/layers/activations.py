"""Activations: the bends between two linear layers."""
import math

import numpy as np

CUBIC = 0.044715
SLOPE = math.sqrt(2 / math.pi)


def gelu(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """GELU in the tanh form that GPT-1 and GPT-2 use (Hendrycks and Gimpel 2016, section 2).

    x (...)  ->  y (...)

        u = sqrt(2/pi) * (x + 0.044715 x^3)
        y = x/2 * (1 + tanh u)
    """
    u = x * x
    u *= CUBIC
    u += 1
    u *= x
    u *= SLOPE
    tanh = np.tanh(u, out=u)
    y = tanh + 1
    y *= x
    y *= 0.5
    return y, (x, tanh)


def gelu_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy (...)  ->  dx (...)

    By the product rule, with tanh' = 1 - tanh^2:

        y' = 1/2 (1 + tanh u) + x/2 (1 - tanh^2 u) u',   u' = sqrt(2/pi) * (1 + 3 * 0.044715 x^2)
    """
    x, tanh = cache
    slope = x * x
    slope *= 3 * CUBIC
    slope += 1
    slope *= x
    slope *= SLOPE                                # x u'
    slope *= 1 - tanh
    slope += 1                                    # 1 + x (1 - tanh) u'
    slope *= 1 + tanh
    slope *= dy
    slope *= 0.5
    return slope


def relu(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = max(x, 0). For complex x the real part decides, so that it stays analytic off the kink.

    x (...)  ->  y (...)
    """
    off = x.real <= 0
    return np.where(off, 0, x), (off,)


def relu_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy (...)  ->  dx (...): the gradient passes where x was positive; at the kink itself it is 0."""
    off, = cache
    return np.where(off, 0, dy)
