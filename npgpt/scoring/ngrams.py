"""n-grams: how many of them predicted texts have in common with the right ones."""
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

Text = str | tuple[str, ...]                    # its characters, or its words


class NgramCounts(NamedTuple):
    common: int                                 # each counted as often as it occurs in both texts
    predicted: int
    actual: int


def ngram_counts(actual: Sequence[Text], predicted: Sequence[Text], n: int) -> NgramCounts:
    """The n-grams of N texts, and of what was predicted for them."""
    pairs = [(ngrams(right, n), ngrams(chosen, n)) for right, chosen in zip(actual, predicted)]
    return NgramCounts(sum((right & chosen).total() for right, chosen in pairs),
                       sum(chosen.total() for _, chosen in pairs), sum(right.total() for right, _ in pairs))


def ngrams(text: Text, n: int) -> Counter:
    """How often each n-gram occurs."""
    return Counter(text[i:i + n] for i in range(len(text) - n + 1))
