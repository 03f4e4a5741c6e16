"""Activations: the nonlinearities between two linear layers."""
import math

import numpy as np

CUBIC = 0.044715
SLOPE = 2 * math.sqrt(2 / math.pi)


def gelu(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """GELU in the tanh form that GPT-1 and GPT-2 use (Hendrycks and Gimpel 2016, section 2).

    x (...)  ->  y (...)

        y = x/2 * (1 + tanh(u/2)),   u = 2 sqrt(2/pi) * (x + 0.044715 x^3)
          = x * sigmoid(u)           since 1 + tanh(u/2) = 2 sigmoid(u); one exp is cheaper than tanh
    """
    minus_u = x * x
    minus_u *= -SLOPE * CUBIC
    minus_u -= SLOPE
    minus_u *= x
    with np.errstate(over="ignore"):              # for very negative x exp overflows to infinity; 1/infinity = 0 is right
        sigmoid = np.exp(minus_u, out=minus_u)
    sigmoid += 1
    np.reciprocal(sigmoid, out=sigmoid)
    return x * sigmoid, (x, sigmoid)


def gelu_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy (...)  ->  dx (...)

    By the product rule, with sigmoid' = sigmoid (1 - sigmoid):

        y' = sigmoid + x sigmoid (1 - sigmoid) u',   u' = 2 sqrt(2/pi) * (1 + 3 * 0.044715 x^2)
    """
    x, sigmoid = cache
    s = 1 - sigmoid
    s *= sigmoid
    s *= x                                        # 0 for large |x|, so that x^2 cannot overflow below
    slope = s * x
    slope *= x
    slope *= 3 * CUBIC
    slope += s
    slope *= SLOPE                                # s u', where s = x sigmoid (1 - sigmoid)
    slope += sigmoid
    slope *= dy
    return slope


def relu(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = max(x, 0). For complex x the real part decides, so that it stays analytic except at 0.

    x (...)  ->  y (...)
    """
    return np.maximum(x, 0), (x.real > 0,)


def relu_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy (...)  ->  dx (...): dy where x was positive, else 0."""
    positive, = cache
    return dy * positive
