"""Sampling: from logits to the next token."""
import math
from collections.abc import Collection

import numpy as np

from npgpt.errors import InputError
from npgpt.layers.softmax import softmax


def next_token(logits: np.ndarray, rng: np.random.Generator, temperature: float = 1.0, top_k: int | None = None,
               top_p: float | None = None) -> int:
    """Draw a token id from logits (V,).

    The logits are divided by the temperature: below 1, likely tokens become likelier. top_k keeps the k likeliest
    tokens. top_p then keeps the fewest, likeliest first, that together have probability p or more (Holtzman et al.
    2020, eq. 2).

    Raises InputError unless temperature > 0, top_k >= 1 and 0 < top_p <= 1.
    """
    check_sampling(temperature, top_k, top_p)
    scaled = logits.astype(np.float64) - logits.max()          # at most 0, so that no temperature is too low
    with np.errstate(over="ignore"):
        scaled /= temperature
    if top_k is not None:
        scaled = keep_top_k(scaled, top_k)
    if top_p is not None:
        scaled = keep_top_p(scaled, top_p)
    cumulative = np.exp(scaled).cumsum()                       # of weights that do not sum to 1
    return int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))


def check_sampling(temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None,
                   repetition_penalty: float = 1.0) -> None:
    """Raise InputError for a setting out of range, naming it and the rule."""
    if not 0 < temperature < np.inf:
        raise InputError(f"temperature must be above 0, not {temperature}")
    if top_k is not None and top_k < 1:
        raise InputError(f"top-k must be 1 or more, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise InputError(f"top-p must lie in (0, 1], not {top_p}")
    if not 0 < repetition_penalty < np.inf:
        raise InputError(f"repetition-penalty must be above 0, not {repetition_penalty}; 1 changes nothing")


def penalise_repetition(logits: np.ndarray, ids: Collection[int], penalty: float) -> np.ndarray:
    """Logits (V,) in which the ids that occur in `ids`, once or several times, are less likely (Keskar et al. 2019,
    section 4.1).

    A positive logit is divided by the penalty, a negative one multiplied, as in transformers. The paper divides both,
    which would make negative ones likelier.
    """
    if penalty == 1:
        return logits
    seen = np.unique(list(ids))
    penalised = logits.copy()
    penalised[seen] = np.where(logits[seen] < 0, logits[seen] * penalty, logits[seen] / penalty)
    return penalised


def keep_top_k(logits: np.ndarray, k: int) -> np.ndarray:
    """All except the k largest become -inf; those equal to the k-th stay."""
    if k >= len(logits):
        return logits
    kth = np.partition(logits, -k)[-k]
    return np.where(logits < kth, -np.inf, logits)


def keep_top_p(logits: np.ndarray, p: float) -> np.ndarray:
    """All become -inf, except the fewest, largest first, whose probabilities sum to p or more.

    Probabilities below (1 - p) / V sum to less than 1 - p, so the others reach p without them, and only the others are
    sorted. At p = 1 all stay, because rounded sums may reach 1 too early.
    """
    if p == 1:
        return logits
    weights, _ = softmax(logits)
    candidates = np.flatnonzero(weights >= (1 - p) / len(weights))
    order = candidates[np.argsort(-weights[candidates], kind="stable")]
    before = np.cumsum(weights[order]) - weights[order]        # probability of all that are likelier
    kept = np.full_like(logits, -np.inf)
    chosen = order[before < p]
    kept[chosen] = logits[chosen]
    return kept


def logsumexp(logits: np.ndarray) -> float:
    """ln sum exp z over logits (V,): a logit minus this is a log-probability. NaN or infinite if a logit is NaN or +inf."""
    largest = float(logits.max())
    return largest + math.log(np.exp(logits - largest).sum())


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """ln softmax along the last axis, summed in double precision: z - max z - ln sum exp(z - max z)."""
    z = logits - logits.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True, dtype=np.float64))
