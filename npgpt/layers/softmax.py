"""Softmax: scores along the last axis become weights that sum to 1."""
import numpy as np


def softmax(x: np.ndarray, mask: np.ndarray | None = None) -> tuple[np.ndarray, tuple]:
    """y_i = exp(x_i) / sum_j exp(x_j), over the entries where the mask is True.

    x (..., S), mask broadcastable to x: False gives an entry weight 0  ->  y (..., S)

    Adding a constant to a row changes nothing, so each row's largest entry is subtracted first and
    exp cannot overflow. A row whose mask is False everywhere gives zeros.
    """
    if mask is not None:
        limit = np.full(mask.shape, np.finfo(x.dtype).max, x.dtype)     # an infinite score becomes finite
        limit[~mask] = -np.inf
        x = np.minimum(x, limit)                  # takes a third of np.where's time, or less
    scores = x.real                               # on short rows, argmax takes a third of max's time
    largest = np.take_along_axis(scores, scores.argmax(axis=-1, keepdims=True), axis=-1)      # (..., 1)
    largest[largest == -np.inf] = 0
    y = x - largest
    np.exp(y, out=y)
    total = np.einsum("...i->...", y)[..., None]  # (..., 1); on short rows three times as fast as y.sum
    total[total == 0] = 1
    y /= total
    return y, (y,)


def softmax_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy (..., S)  ->  dx (..., S)

    Every weight depends on every score of its row. With e = exp x and s = sum e, by the quotient rule the
    derivative of y_i = e_i / s with respect to x_j is (1[i = j] e_i s - e_i e_j) / s^2 = y_i (1[i = j] - y_j). So

        dx_j = sum_i dy_i y_i (1[i = j] - y_j) = y_j * (dy_j - sum_i dy_i y_i)

    A masked entry has y_j = 0 and so a gradient of 0.
    """
    y, = cache
    dx = dy - np.einsum("...i,...i->...", dy, y)[..., None]
    dx *= y
    return dx
