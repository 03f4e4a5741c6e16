"""Mean squared error: the loss of a model that predicts numbers."""
import numpy as np


def mean_squared_error(predictions: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, tuple]:
    """predictions (...), targets (...), not differentiated  ->  loss ()

        loss = 1/N sum (prediction - target)^2

    Raises ValueError where the shapes differ.
    """
    if predictions.shape != targets.shape:
        raise ValueError(f"mean_squared_error: predictions {predictions.shape} and targets {targets.shape} differ in shape")
    difference = predictions.copy()
    difference -= targets                                      # in place, so that targets in float64 change no dtype
    return (difference * difference).mean(), (difference,)


def mean_squared_error_backward(dloss: np.ndarray | float, cache: tuple) -> np.ndarray:
    """dloss ()  ->  dpredictions (...) = dloss * 2/N * (prediction - target)"""
    difference, = cache
    return difference * (2 * dloss / difference.size)
