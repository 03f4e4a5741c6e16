"""Activations: the nonlinearities between two linear layers."""
import math
from collections.abc import Iterator

import numpy as np

from npgpt.layers.erf import normal_cdf

CUBIC = 0.044715
SLOPE = 2 * math.sqrt(2 / math.pi)
SLICE = 2**16                                     # entries: few enough for the caches


def gelu(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """GELU in the tanh form that GPT-1 and GPT-2 use (Hendrycks and Gimpel 2016, section 2).

    x (...)  ->  y (...)

        y = x/2 * (1 + tanh(u/2)),   u = 2 sqrt(2/pi) * (x + 0.044715 x^3)
          = x * sigmoid(u)           since 1 + tanh(u/2) = 2 sigmoid(u); one exp is cheaper than tanh
    """
    y, sigmoid = np.empty(x.shape, x.dtype), np.empty(x.shape, x.dtype)
    for x_, y_, sigmoid_ in in_slices(x, y, sigmoid):
        minus_u = np.multiply(x_, x_, out=sigmoid_)
        minus_u *= -SLOPE * CUBIC
        minus_u -= SLOPE
        minus_u *= x_
        np.multiply(x_, sigmoid_of_minus(minus_u), out=y_)
    return y, (x, sigmoid)


def gelu_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy (...)  ->  dx (...)

    By the product rule, with sigmoid' = sigmoid (1 - sigmoid):

        y' = sigmoid + x sigmoid (1 - sigmoid) u',   u' = 2 sqrt(2/pi) * (1 + 3 * 0.044715 x^2)
    """
    x, sigmoid = cache
    dx = np.empty(x.shape, np.result_type(dy, x))
    for x_, sigmoid_, dy_, dx_ in in_slices(x, sigmoid, dy, dx):
        s = 1 - sigmoid_
        s *= sigmoid_
        s *= x_                                   # 0 for large |x|, so that x^2 cannot overflow below
        slope = np.multiply(s, x_, out=dx_)
        slope *= x_
        slope *= 3 * CUBIC
        slope += s
        slope *= SLOPE                            # s u', where s = x sigmoid (1 - sigmoid)
        slope += sigmoid_
        slope *= dy_
    return dx


def gelu_exact(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """GELU by its definition (Hendrycks and Gimpel 2016, section 2), as BERT uses it.

    x (...)  ->  y (...)

        y = x * cdf,   cdf = (1 + erf(x / sqrt 2)) / 2,   the normal distribution function
    """
    cdf = normal_cdf(x)
    return x * cdf, (x, cdf)


def gelu_exact_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy (...)  ->  dx (...)

    By the product rule: y' = cdf + x * density, where the density exp(-x^2 / 2) / sqrt(2 pi) is the derivative of cdf.
    """
    x, cdf = cache
    with np.errstate(over="ignore"):              # where x^2 is infinite, the density is 0
        slope = x * x
    slope *= -0.5
    np.exp(slope, out=slope)
    slope *= x
    slope *= 1 / math.sqrt(2 * math.pi)
    slope += cdf
    slope *= dy
    return slope


def silu(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """SiLU, also called swish (Hendrycks and Gimpel 2016, section 2; Ramachandran et al. 2017).

    x (...)  ->  y (...)

        y = x * sigmoid(x)
    """
    sigmoid = sigmoid_of_minus(-x)
    return x * sigmoid, (x, sigmoid)


def silu_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy (...)  ->  dx (...): y' = sigmoid + x sigmoid (1 - sigmoid)"""
    x, sigmoid = cache
    slope = 1 - sigmoid
    slope *= x
    slope += 1
    slope *= sigmoid
    slope *= dy
    return slope


def tanh(x: np.ndarray) -> tuple[np.ndarray, tuple]:
    """y = tanh(x). x (...)  ->  y (...)"""
    y = np.tanh(x)
    return y, (y,)


def tanh_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy (...)  ->  dx (...): tanh' = 1 - tanh^2"""
    y, = cache
    slope = y * y
    np.subtract(1, slope, out=slope)
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


def in_slices(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """The entries of the arrays, SLICE of them at a time: what is computed from a slice in several passes stays in the
    caches. On arrays of a million entries and more this saves a fifth of the time.
    """
    if arrays[0].size <= SLICE:
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, SLICE):
        yield tuple(array[start:start + SLICE] for array in flat)


def sigmoid_of_minus(minus_x: np.ndarray) -> np.ndarray:
    """sigmoid(x) = 1 / (1 + exp(-x)), computed in the memory of -x"""
    with np.errstate(over="ignore"):              # for very negative x exp overflows to infinity; 1/infinity = 0 is right
        sigmoid = np.exp(minus_x, out=minus_x)
    sigmoid += 1
    return np.reciprocal(sigmoid, out=sigmoid)
