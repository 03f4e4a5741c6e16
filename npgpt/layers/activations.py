"""Activations: the nonlinearities between two linear layers."""
import math

import numpy as np

from npgpt.layers.erf import normal_cdf

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
    sigmoid = sigmoid_of_minus(minus_u)
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


def sigmoid_of_minus(minus_x: np.ndarray) -> np.ndarray:
    """sigmoid(x) = 1 / (1 + exp(-x)), computed in the memory of -x"""
    with np.errstate(over="ignore"):              # for very negative x exp overflows to infinity; 1/infinity = 0 is right
        sigmoid = np.exp(minus_x, out=minus_x)
    sigmoid += 1
    return np.reciprocal(sigmoid, out=sigmoid)
