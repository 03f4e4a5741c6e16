"""Sinusoidal positions in model files: other libraries read them as parameters, npgpt computes them."""
import numpy as np

from npgpt.interop.safetensors import as_float, precision
from npgpt.layers.embedding import sinusoidal_positions


def is_sinusoidal(positions: np.ndarray, halves: bool = False, least: float = 0.0) -> bool:
    """Whether a table (T, C) of positions is the sinusoidal one, rounded to the table's precision. halves: as in
    sinusoidal_positions. least: a difference that is allowed whatever the precision.

    The table may be as large as a file: it is compared row by row.
    """
    T, C = positions.shape
    tolerance = max(least, precision(positions) + T * np.finfo(np.float64).eps)            # the angles are rounded, too
    return all(np.abs(as_float(row) - sinusoidal_positions(np.array(t), C, np.float64, halves)).max() <= tolerance
               for t, row in enumerate(positions))
