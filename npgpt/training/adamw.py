"""AdamW: Adam with decoupled weight decay."""
import numpy as np


def adamw(p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, t: int, learning_rate: float, beta1: float,
          beta2: float, eps: float, weight_decay: float, *, scale: float = 1.0, scratch: np.ndarray | None = None) -> None:
    """Update number t = 1, 2, ... of parameters p with gradients scale * g (Loshchilov and Hutter 2019, algorithm 2).

    All arrays (N,). Changes p and the moments m and v in place; with g for scale * g:

        m = beta1 m + (1 - beta1) g                   first moment
        v = beta2 v + (1 - beta2) g^2                 second moment
        m_hat = m / (1 - beta1^t)                     m and v start from 0, and so are biased towards it
        v_hat = v / (1 - beta2^t)
        p = p - learning_rate * (m_hat / (sqrt(v_hat) + eps) + weight_decay * p)

    scratch (N,): an array for intermediate results; without one, it is allocated.
    """
    scaled_g = np.multiply(g, scale * (1 - beta1), out=scratch)
    m *= beta1
    m += scaled_g
    g_squared = np.multiply(g, g, out=scratch)
    g_squared *= scale**2 * (1 - beta2)
    v *= beta2
    v += g_squared
    v_hat = np.multiply(v, 1 / (1 - beta2**t), out=scratch)
    denominator = np.sqrt(v_hat, out=scratch)
    denominator += eps
    step = np.divide(m, denominator, out=scratch)
    step *= learning_rate / (1 - beta1**t)                # the correction of m_hat, and the rate, in one pass
    if weight_decay:
        p *= 1 - learning_rate * weight_decay
    p -= step


def clip_scale(norm: float, limit: float) -> float:
    """What a gradient of this norm is multiplied by, so that its norm is at most `limit` (0: no limit)."""
    return limit / norm if norm > limit > 0 else 1.0
