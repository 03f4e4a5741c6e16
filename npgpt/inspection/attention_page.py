"""The page of `npgpt attention --html`: the maps of all heads, and the likeliest tokens after each position, or at it."""
import base64
from collections.abc import Callable, Sequence

import numpy as np

from npgpt.inspection.page import embed, fill

LIKELIEST = 10
ONE = 65535                 # represents a weight of 1; the page shows fewer digits than this has


def attention_page(model: str, ids: np.ndarray, shown: Sequence[str], weights: np.ndarray,
                   probabilities: np.ndarray, layers: Sequence[int], heads: Sequence[int],
                   show: Callable[[int], str], causal: bool) -> bytes:
    """ids (T,), shown: the tokens as text, weights (L, H, T, T), probabilities (T, V), the numbers of the layers and heads,
    show: a function from any token id to text  ->  HTML, which opens without a network

    causal: whether tokens attend to none after them and the probabilities are those of the next token. Otherwise they are
    those of the token at each position.
    """
    T, V = probabilities.shape
    predicted = ids[1:] if causal else ids
    data = {"tokens": list(shown), "layers": list(layers), "heads": list(heads), "vocabulary": f"{V:,}", "causal": causal,
            "weights": packed(weights, causal), "next": [likeliest(row, show) for row in probabilities],
            "came": [actual(row, int(token)) for row, token in zip(probabilities, predicted)] + [None] * causal}
    summary = (f"{model}: {len(layers)} layer{'s' * (len(layers) > 1)} of {len(heads)} head{'s' * (len(heads) > 1)}, "
               f"{T} token{'s' * (T > 1)}. For each token, a head averages the values of all tokens{' up to it' * causal}, "
               "with the weights shown here; each row sums to 1.")
    return fill("attention.html", title=f"Attention: {model}", summary=summary, data=embed(data))


def packed(weights: np.ndarray, causal: bool) -> str:
    """The rows of each head, of causal attention up to the diagonal, one after the other, as little-endian uint16 in
    base64."""
    T = weights.shape[-1]
    rows, columns = np.tril_indices(T) if causal else np.indices((T, T)).reshape(2, T * T)
    scaled = np.rint(weights[..., rows, columns] * ONE)
    return base64.b64encode(np.clip(scaled, 0, ONE).astype("<u2").tobytes()).decode()


def likeliest(probabilities: np.ndarray, show: Callable[[int], str]) -> list[tuple[str, float, int]]:
    order = np.argsort(-probabilities, kind="stable")[:LIKELIEST].tolist()
    return [(show(token), rounded(probabilities[token]), token) for token in order]


def actual(probabilities: np.ndarray, token: int) -> dict:
    """The probability of the token that the text has there, and its rank."""
    rank = int((probabilities > probabilities[token]).sum()) + 1
    return {"id": token, "p": rounded(probabilities[token]), "rank": f"{rank:,}"}


def rounded(probability: float) -> float:
    return float(f"{probability:.4g}")
