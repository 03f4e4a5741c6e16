"""Reports: hand-written gradients beside numerical ones, as a table or as an error."""
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npgpt.checking.derivatives import IN_WORDS, TOLERANCES


class GradientError(AssertionError):
    """A hand-written gradient, or a layer's contract, is wrong. The message says where and how."""


class CentralOnly(NamedTuple):
    """Why the complex step was not used, though the caller left the choice to the checker."""
    word: str                                   # in the verdict
    reason: str


class Comparison(NamedTuple):
    """One argument's gradient, hand-written and numerical; of a large model, its derivatives along random directions."""
    layer: str
    argument: str
    shape: tuple[int, ...]
    analytic: np.ndarray
    numeric: dict[str, np.ndarray]              # by method
    scale: float                                # errors are relative to it
    zero: bool = False                          # whether the gradient is known to be zero
    tolerance: float | None = None              # of errors; None for those of TOLERANCES
    central_only: CentralOnly | None = None
    rounding: float = 0.0                       # by which central differences err because forward's results are rounded

    def error(self, method: str) -> float:
        """Largest difference, relative to the scale. Infinite if a number is NaN or infinite."""
        difference = self.difference(method).max(initial=0.0)
        if not np.isfinite(difference):
            return np.inf
        return float(difference / self.scale) if self.scale else float(difference)

    def difference(self, method: str) -> np.ndarray:
        return np.abs(self.analytic - self.numeric[method])

    def allowed(self, method: str) -> float:
        """Largest relative error that is not wrong. Without a tolerance of the caller's, central differences may also err
        by rounding: they have few correct digits where a gradient is small beside forward's results.
        """
        if self.tolerance is not None:
            return self.tolerance
        return TOLERANCES[method] + (self.rounding / (self.scale or 1) if method == "central" else 0)

    @property
    def vanishes(self) -> bool:
        """Whether it is zero everywhere, and not known to be."""
        return not self.zero and self.analytic.size > 0 and not self.analytic.any()

    @property
    def right(self) -> bool:
        return not self.vanishes and all(self.error(method) <= self.allowed(method) for method in self.numeric)

    @property
    def verdict(self) -> str:
        verdict = "ok" if self.right else "zero" if self.vanishes else "WRONG"
        return f"{verdict} ({self.central_only.word})" if self.central_only else verdict

    def explain(self) -> str:
        """The largest error and its place, how many entries are wrong, and what kind of mistake it may be."""
        method = max(self.numeric, key=lambda m: self.error(m) / self.allowed(m))
        numeric, difference = self.numeric[method], self.difference(method)
        worst = np.unravel_index(int(np.nan_to_num(difference, nan=np.inf).argmax()), difference.shape)
        off = int((~(difference <= self.allowed(method) * (self.scale or 1))).sum())
        place = tuple(int(i) for i in worst)
        cause = hint(self.analytic, numeric, self.allowed(method))
        return (f"{self.layer}: the gradient of {self.argument} {self.shape} is wrong: at {place} it is "
                f"{self.analytic[worst]:.10g} by hand and {numeric[worst]:.10g} by {IN_WORDS[method]}; relative error "
                f"{self.error(method):.1e}, {off} of {difference.size} entries off{cause}")


def hint(analytic: np.ndarray, numeric: np.ndarray, tolerance: float) -> str:
    """The kind of mistake that would explain the two arrays; empty if it is none of the common ones.

    Numeric errs by up to the tolerance, relative to its largest entry. Of entries larger than sqrt(tolerance), that is
    sqrt(tolerance) or less.
    """
    rough = min(math.sqrt(tolerance), 0.05)
    if not analytic.any():
        return "; identically zero by hand"
    if not numeric.any():
        return "; identically zero by numerical differentiation"
    sure = tolerance * np.abs(numeric).max()
    if (np.abs(numeric[~(np.abs(analytic - numeric) <= sure)]) <= sure).all():
        return "; right except where it must be zero"
    firm = np.abs(numeric) > rough * np.abs(numeric).max()
    ratios = numeric[firm] / np.where(analytic[firm] == 0, np.nan, analytic[firm])
    if ratios.size > 1 and np.allclose(ratios, ratios[0], rtol=rough, atol=0):
        if close(ratios[0] * analytic, numeric, rough):
            return f"; numeric / analytic is {ratios[0]:.4g} everywhere"
    if analytic.ndim >= 2:
        *leading, rows, columns = analytic.shape
        if rows == columns and close(analytic.swapaxes(-1, -2), numeric, rough):
            return "; matches after a transpose"
        if close(analytic.reshape(*leading, columns, rows).swapaxes(-1, -2), numeric, rough):
            return "; matches after a transpose: it was reshaped where axes should have been swapped"
    if close(np.sort(analytic, axis=None), np.sort(numeric, axis=None), rough):
        return "; the same numbers in another order"
    return ""


def largest(arrays: Sequence[np.ndarray]) -> float:
    """The largest magnitude of any finite entry."""
    return max(float(np.abs(array[np.isfinite(array)]).max(initial=0)) for array in arrays)


def close(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    return np.allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


class Report(NamedTuple):
    """Comparisons, and breaches of the contract as sentences. Prints as a table, then what is wrong with it."""
    comparisons: list[Comparison]
    breaches: list[str]

    @property
    def right(self) -> bool:
        return not self.breaches and all(comparison.right for comparison in self.comparisons)

    def worst(self, method: str) -> float:
        """Largest relative error of all arguments by this method; 0 where it was not used."""
        return max((c.error(method) for c in self.comparisons if method in c.numeric), default=0.0)

    def notes(self) -> list[str]:
        """A sentence for each reason for which the complex step was not used."""
        reasons = dict.fromkeys((c.layer, c.central_only.reason, c.allowed("central"))
                                for c in self.comparisons if c.central_only)
        return [f"{layer}: {reason}; checked by central differences (allowed {allowed:.0e})"
                for layer, reason, allowed in reasons]

    def problems(self) -> str:
        """Everything that is wrong, a line each."""
        return "\n".join(self.breaches + [c.explain() for c in self.comparisons if not c.right])

    def require(self) -> "Report":
        """Raise GradientError if anything is wrong, naming all of it."""
        if not self.right:
            raise GradientError(self.problems())
        return self

    def __repr__(self) -> str:
        return "\n".join([HEADER, *map(comparison_row, self.comparisons), *self.notes(), self.problems()]).rstrip("\n")


def table_row(layer: str, argument: str, shape: str, errors: dict[str, float], verdict: str) -> str:
    """A row of the table, 98 columns wide. A method that was not used has a dash."""
    columns = "".join(f"{errors[method]:11.1e}" if method in errors else f"{'-':>11}" for method in TOLERANCES)
    return f"{layer:27}{argument:26}{shape:>14}{columns}  {verdict}"


HEADER = f"{'layer':27}{'argument':26}{'shape':>14}{'complex':>11}{'central':>11}  verdict"


def comparison_row(comparison: Comparison) -> str:
    shape = " x ".join(map(str, comparison.shape)) or "()"
    errors = {method: comparison.error(method) for method in comparison.numeric}
    return table_row(comparison.layer, comparison.argument, shape, errors, comparison.verdict)
