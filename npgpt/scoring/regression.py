"""How well numbers were predicted: Pearson's and Spearman's correlation, and the mean squared error.

The correlations equal those of scipy.stats (pearsonr, spearmanr), the error that of sklearn.metrics.
"""
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npgpt.scoring.f1 import require_pairs


class RegressionReport(NamedTuple):
    pearson: float                              # correlation of the numbers; NaN where one side is constant
    spearman: float                             # correlation of their ranks; NaN where one side is constant
    mean_squared_error: float
    examples: int

    def __str__(self) -> str:
        lines = [f"Pearson's correlation   {self.pearson:.4f}", f"Spearman's correlation  {self.spearman:.4f}",
                 f"mean squared error      {self.mean_squared_error:.4g}", f"examples                {self.examples:,}"]
        if math.isnan(self.pearson):
            lines.append("A correlation is undefined (NaN) where all numbers are equal, or one of them is NaN or infinite.")
        return "\n".join(lines)

    def as_json(self) -> dict:
        """All figures, as JSON has them: null for what is NaN or infinite."""
        return {name: value if math.isfinite(value) else None for name, value in self._asdict().items()}


def regression_report(actual: Sequence[float], predicted: Sequence[float]) -> RegressionReport:
    """Numbers (N,) and what was predicted for them (N,)."""
    require_pairs(actual, predicted)
    x, y = np.asarray(actual, np.float64), np.asarray(predicted, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):         # an infinite or NaN error is seen in the report
        error = float(np.square(x - y).mean())
    return RegressionReport(pearson(x, y), spearman(x, y), error, len(x))


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """r = sum (x - mean x) (y - mean y) / (|x - mean x| |y - mean y|), x (N,), y (N,); NaN where x or y is constant."""
    if (x == x[0]).all() or (y == y[0]).all() or not np.isfinite([x, y]).all():
        return math.nan
    return float(np.clip(direction(x) @ direction(y), -1, 1))


def direction(x: np.ndarray) -> np.ndarray:
    """(x - mean x) / |x - mean x|, scaled first, so that squares neither overflow nor vanish."""
    x = x - x.mean()
    x /= np.abs(x).max()
    return x / np.linalg.norm(x)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation of the ranks."""
    return pearson(ranks(x), ranks(y))


def ranks(x: np.ndarray) -> np.ndarray:
    """1 for the smallest, N for the largest; equal numbers share the mean of their ranks. All NaN if one number is NaN."""
    if np.isnan(x).any():
        return np.full(len(x), np.nan)
    _, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[place]
