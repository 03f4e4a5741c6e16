"""Statistics: an array in five numbers."""
from typing import NamedTuple

import numpy as np


class Summary(NamedTuple):
    shape: tuple[int, ...]
    mean: float
    deviation: float
    smallest: float
    largest: float
    array: np.ndarray | None                    # itself, where it was kept


def summarise(array: np.ndarray, keep: bool = False) -> Summary:
    """Mean and standard deviation are summed in double precision. keep: hold a copy of the array."""
    mean, deviation = float(array.mean(dtype=np.float64)), float(array.std(dtype=np.float64))
    return Summary(array.shape, mean, deviation, float(array.min()), float(array.max()), array.copy() if keep else None)
