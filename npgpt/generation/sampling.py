"""Sampling: from logits to the next token."""
import math
from collections.abc import Collection

import numpy as np

from npgpt.errors import InputError
from npgpt.layers.softmax import softmax


def next_token(logits: np.ndarray, rng: np.random.Generator, temperature: float = 1.0, top_k: int | None = None,
               top_p: float | None = None) -> int:
    """Draw a token id from logits (V,).

    The logits are divided by the temperature; below 1 the likelier tokens gain, above 1 they lose.
    top_k keeps the k likeliest tokens. top_p then keeps the likeliest ones that together have
    probability p, the one that crosses p included (Holtzman et al. 2020, eq. 2). So does transformers;
    OpenAI's code for GPT-2 leaves that one out, and draws from fewer tokens at the same p.

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
    cumulative = np.exp(scaled).cumsum()                       # of weights that need not sum to 1
    return int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))


def check_sampling(temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None,
                   repetition_penalty: float = 1.0) -> None:
    if not 0 < temperature < np.inf:
        raise InputError(f"temperature must be above 0, not {temperature}")
    if top_k is not None and top_k < 1:
        raise InputError(f"top-k must be 1 or more, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise InputError(f"top-p must lie in (0, 1], not {top_p}")
    if not 0 < repetition_penalty < np.inf:
        raise InputError(f"repetition-penalty must be above 0, not {repetition_penalty}; 1 changes nothing")


def penalise_repetition(logits: np.ndarray, ids: Collection[int], penalty: float) -> np.ndarray:
    """Logits (V,) in which every id that stands in `ids` is less likely (Keskar et al. 2019, section 4.1).

    A positive logit is divided by the penalty, a negative one multiplied, as transformers does; the paper
    divides both, which would favour those below 0. Once is enough: how often an id stands does not matter.
    Below 1 it is a reward.
    """
    if penalty == 1:
        return logits
    seen = np.unique(list(ids))
    penalised = logits.copy()
    penalised[seen] = np.where(logits[seen] < 0, logits[seen] * penalty, logits[seen] / penalty)
    return penalised


def keep_top_k(logits: np.ndarray, k: int) -> np.ndarray:
    """All but the k largest become -inf; ties with the k-th stay."""
    if k >= len(logits):
        return logits
    kth = np.partition(logits, -k)[-k]
    return np.where(logits < kth, -np.inf, logits)


def keep_top_p(logits: np.ndarray, p: float) -> np.ndarray:
    """All become -inf but the fewest, largest first, whose probabilities sum to p or more.

    Not all need sorting: those that have less than (1 - p) / V cannot make up 1 - p together, so what is
    likelier than them reaches p without any of them. At p = 1 all stay: rounded sums may come to 1 too early.
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
    """ln sum exp z over logits (V,): a logit minus this is a log-probability. NaN or infinite where any logit is NaN or
    plus infinity."""
    largest = float(logits.max())
    return largest + math.log(np.exp(logits - largest).sum())


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """ln softmax along the last axis, summed in double precision: z - max z - ln sum exp(z - max z)."""
    z = logits - logits.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True, dtype=np.float64))
