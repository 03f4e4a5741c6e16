"""Layer norm: every vector gets mean 0 and variance 1, then a learned gain and bias."""
import numpy as np


def layer_norm(x: np.ndarray, gain: np.ndarray, bias: np.ndarray, eps: float = 1e-5) -> tuple[np.ndarray, tuple]:
    """Normalise the last axis, then scale and shift (Ba et al. 2016, eq. 4).

    x (..., C), gain (C,), bias (C,)  ->  y (..., C)

        xhat = (x - mean x) * rstd,   rstd = 1 / sqrt(var x + eps)     biased variance: divided by C
        y    = gain * xhat + bias
    """
    xhat = x - mean(x)                                             # centred
    variance = mean_of_product(xhat, xhat)                         # (..., 1)
    rstd = 1 / np.sqrt(variance + eps)                             # (..., 1)
    xhat *= rstd
    y = xhat * gain
    y += bias
    return y, (xhat, rstd, gain)


def layer_norm_backward(dy: np.ndarray, cache: tuple,
                        out: tuple = (None, None)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dy (..., C)  ->  dx (..., C), dgain (C,), dbias (C,)

    Every xhat_i = (x_i - m) rstd depends on every x_j of its vector: directly where i = j, through m = mean x,
    and through rstd = (mean (x - m)^2 + eps)^(-1/2). The derivatives with respect to x_j are

        of m:       1/C
        of rstd:    -rstd^3 (x_j - m) / C  =  -rstd^2 xhat_j / C
        of xhat_i:  (1[i = j] - 1/C) rstd - (x_i - m) rstd^2 xhat_j / C  =  rstd (1[i = j] - 1/C - xhat_i xhat_j / C)

    With dxhat = dy * gain, dx_j is the sum over i of dxhat_i times the last of these. Sums divided by C are means:

        dx = rstd * (dxhat - mean dxhat - xhat * mean(dxhat * xhat))
    """
    xhat, rstd, gain = cache
    dgain, dbias = out
    C = len(gain)
    dbias = dy.reshape(-1, C).sum(axis=0, out=dbias)               # (C,)
    dgain = np.einsum("ri,ri->i", dy.reshape(-1, C), xhat.reshape(-1, C), out=dgain)
    dxhat = dy * gain
    along_xhat = mean_of_product(dxhat, xhat)                      # (..., 1)
    dx = dxhat - mean(dxhat)
    dx -= xhat * along_xhat
    dx *= rstd
    return dx, dgain, dbias


def mean(a: np.ndarray) -> np.ndarray:
    """Mean along the last axis  ->  (..., 1). On short rows a matrix product takes a third of the time of a.mean.

    The factor is a power of two below 1/C: multiplying by it is exact, and keeps the sum from overflowing.
    """
    C = a.shape[-1]
    small = 2.0 ** -C.bit_length()
    return a @ np.full((C, 1), small, a.dtype) / (small * C)


def mean_of_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean of a * b along the last axis  ->  (..., 1). No conjugate, so that it stays analytic."""
    return np.einsum("...i,...i->...", a, b)[..., None] / a.shape[-1]
