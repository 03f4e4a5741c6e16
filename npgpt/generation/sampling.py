"""Sampling: from scores to the next token."""
import numpy as np

from npgpt.errors import InputError
from npgpt.layers.softmax import softmax


def next_token(logits: np.ndarray, rng: np.random.Generator, temperature: float = 1.0, top_k: int | None = None,
               top_p: float | None = None) -> int:
    """Draw a token id from logits (V,).

    The logits are divided by the temperature; below 1 the likelier tokens gain, above 1 they lose.
    top_k keeps the k likeliest tokens. top_p then keeps the likeliest ones that together have
    probability p, the one that crosses p included (Holtzman et al. 2020, eq. 2).

    Raises InputError unless temperature > 0, top_k >= 1 and 0 < top_p <= 1.
    """
    check_sampling(temperature, top_k, top_p)
    scaled = logits.astype(np.float64) - logits.max()          # at most 0: no temperature is too low
    with np.errstate(over="ignore"):
        scaled /= temperature
    if top_k is not None:
        scaled = keep_top_k(scaled, top_k)
    if top_p is not None:
        scaled = keep_top_p(scaled, top_p)
    weights, _ = softmax(scaled)
    cumulative = np.cumsum(weights)
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))


def check_sampling(temperature: float, top_k: int | None, top_p: float | None) -> None:
    if not 0 < temperature < np.inf:
        raise InputError(f"temperature must be above 0, not {temperature}; for the likeliest token always, use --greedy")
    if top_k is not None and top_k < 1:
        raise InputError(f"top-k must be 1 or more, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise InputError(f"top-p must lie in (0, 1], not {top_p}")


def keep_top_k(logits: np.ndarray, k: int) -> np.ndarray:
    """All but the k largest become -inf; ties with the k-th stay."""
    if k >= len(logits):
        return logits
    kth = np.partition(logits, -k)[-k]
    return np.where(logits < kth, -np.inf, logits)


def keep_top_p(logits: np.ndarray, p: float) -> np.ndarray:
    """All become -inf but the fewest, largest first, whose probabilities sum to p or more."""
    weights, _ = softmax(logits)
    order = np.argsort(-weights, kind="stable")
    before = np.cumsum(weights[order]) - weights[order]        # probability of all that are likelier
    kept = np.full_like(logits, -np.inf)
    chosen = order[before < p]
    kept[chosen] = logits[chosen]
    return kept
