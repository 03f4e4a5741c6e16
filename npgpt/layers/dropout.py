"""Dropout: in training, entries are zeroed at random, and the others scaled up to compensate."""
import numpy as np


def dropout(x: np.ndarray, p: float, rng: np.random.Generator) -> tuple[np.ndarray, tuple]:
    """Each entry is zeroed with probability p; the others are multiplied by 1 / (1 - p), so that the
    expectation stays x ("inverted" dropout, Srivastava et al. 2014, section 10).

    x (...)  ->  y (...)

    The random numbers come from rng alone. Raises ValueError unless 0 <= p < 1.
    """
    if not 0 <= p < 1:
        raise ValueError(f"dropout: p must lie in [0, 1), got {p}")
    keep = rng.random(x.shape) >= p
    scale = 1 / (1 - p)
    y = x * keep
    y *= scale
    return y, (keep, scale)


def dropout_backward(dy: np.ndarray, cache: tuple) -> np.ndarray:
    """dy (...)  ->  dx (...): the same entries zeroed, the others scaled by the same factor."""
    keep, scale = cache
    dx = dy * keep
    dx *= scale
    return dx
