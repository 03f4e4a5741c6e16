"""AdamW: Adam with decoupled weight decay."""
import math

import numpy as np


def adamw(p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, t: int, learning_rate: float, beta1: float,
          beta2: float, eps: float, weight_decay: float, *, scale: float = 1.0, scratch: np.ndarray | None = None) -> None:
    """Update number t = 1, 2, ... of parameters p with gradients scale * g (Loshchilov and Hutter 2019, algorithm 2).

    All arrays are (N,). p and the moments m and v are changed in place. With g for scale * g:

        m = beta1 m + (1 - beta1) g                   first moment
        v = beta2 v + (1 - beta2) g^2                 second moment
        m_hat = m / (1 - beta1^t)                     corrects the bias of m towards 0, where it starts
        v_hat = v / (1 - beta2^t)                     the same for v
        p = p - learning_rate * (m_hat / (sqrt(v_hat) + eps) + weight_decay * p)

    The corrections are the same for all entries, so they are taken out of the fraction (Kingma and Ba 2015, section 2):
    with root = sqrt(1 - beta2^t), m_hat / (sqrt(v_hat) + eps) = root / (1 - beta1^t) * m / (sqrt(v) + eps * root).

    scratch (N,): an array for intermediate results; by default new ones are allocated.
    """
    scaled_g = np.multiply(g, scale * (1 - beta1), out=scratch)
    m *= beta1
    m += scaled_g
    g_squared = np.multiply(scaled_g, scaled_g, out=scratch)     # squared with its factor: g itself is read only once
    g_squared *= (1 - beta2) / (1 - beta1) ** 2
    v *= beta2
    v += g_squared
    root = math.sqrt(1 - beta2**t)
    denominator = np.sqrt(v, out=scratch)
    denominator += eps * root
    step = np.divide(m, denominator, out=scratch)
    step *= learning_rate * root / (1 - beta1**t)
    if weight_decay:
        p *= 1 - learning_rate * weight_decay
    p -= step


def clip_scale(norm: float, limit: float) -> float:
    """The factor that reduces a gradient of this norm to the norm `limit`; 1 for a smaller one, or where limit is 0."""
    return limit / norm if norm > limit > 0 else 1.0
