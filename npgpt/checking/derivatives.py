"""Numerical derivatives of a scalar function of one array."""
from collections.abc import Callable

import numpy as np

Function = Callable[[np.ndarray], complex | float]

COMPLEX_STEP = 1e-30


def complex_step(f: Function, x: np.ndarray, v: np.ndarray) -> float:
    """Derivative of f at x along v: Im f(x + i h v) / h, exact to rounding (Squire and Trapp 1998).

    For an analytic f, f(x + i h v) = f(x) + i h f'(x) v - h^2 ... Nothing is subtracted, so no digits are
    lost, and h may be so small (1e-30) that the h^2 term vanishes. f must not use abs or conj, nor compare
    complex numbers except by their real parts.
    """
    return f(x + 1j * COMPLEX_STEP * v).imag / COMPLEX_STEP


def central_difference(f: Function, x: np.ndarray, v: np.ndarray) -> float:
    """Derivative of f at x along v: (f(x + h v) - f(x - h v)) / 2h. x and v are float64 or float32.

    There are two errors: the remainder of the Taylor series, h^2/6 f''', and the rounding of f's two values,
    about eps |f| / h. Near h = eps^(1/3) they are equal, about eps^(2/3) times the size of f and f'''. In float64
    h is 6e-6 and the error 4e-11; in a sum of many terms that becomes 1e-9 to 1e-8 of the largest gradient.
    In float32 h is 5e-3 and the error 2e-5.
    """
    h = central_step(x.dtype)
    return (f(x + h * v) - f(x - h * v)) / (2 * h)


def central_step(dtype: np.dtype) -> float:
    return float(np.finfo(dtype).eps) ** (1 / 3)


METHODS = {"complex": complex_step, "central": central_difference}
IN_WORDS = {"complex": "complex step", "central": "central differences"}
TOLERANCES = {"complex": 1e-12, "central": 1e-7}         # relative to the largest entry of a gradient
FLOAT32_TOLERANCE = 2e-3                                 # of central differences in float32


def numerical_gradient(f: Function, x: np.ndarray, method: str = "complex") -> np.ndarray:
    """The derivatives of f along all coordinates of x, with the shape of x."""
    derivative = METHODS[method]
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        v = np.zeros_like(x)
        v[index] = 1
        gradient[index] = derivative(f, x, v)
    return gradient
