"""Precision, recall and F1 from counts, their averages, and the table of them (van Rijsbergen, Information Retrieval, 1979).

Classes, entities, words of an answer and n-grams of a summary are all counted in this way.
"""
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from npgpt.errors import InputError


class Scores(NamedTuple):
    """Of one class, or an average over several. From 0 to 1, and 0 where a ratio would be 0 / 0."""
    precision: float                            # the share of what was predicted that is right
    recall: float                               # the share of what is right that was predicted
    f1: float                                   # their harmonic mean
    support: int                                # how many there are among the right answers


def scores(correct: int, predicted: int, actual: int) -> Scores:
    """precision = correct / predicted, recall = correct / actual, F1 = 2 correct / (predicted + actual)"""
    return Scores(ratio(correct, predicted), ratio(correct, actual), ratio(2 * correct, predicted + actual), int(actual))


def ratio(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0


def macro(each: Collection[Scores]) -> Scores:
    """The mean over classes, each of which counts the same. Its F1 is the mean of theirs."""
    return mean(each, [1] * len(each))


def weighted(each: Collection[Scores]) -> Scores:
    """The mean over classes, weighted by their support."""
    return mean(each, [one.support for one in each])


def mean(each: Collection[Scores], weights: list[int]) -> Scores:
    support = sum(one.support for one in each)
    if not sum(weights):
        return Scores(0.0, 0.0, 0.0, support)
    return Scores(*np.average([one[:3] for one in each], axis=0, weights=weights).tolist(), support)


def table(rows: Mapping[Any, Scores]) -> Iterator[str]:
    """A heading, and a line for each row: its name, precision, recall, F1 and support."""
    width = max(len(str(name)) for name in ["", *rows])
    yield f"{'':{width}}  precision   recall       F1  support"
    for name, row in rows.items():
        yield f"{name!s:{width}}  {row.precision:9.3f}{row.recall:9.3f}{row.f1:9.3f}{row.support:9,}"


def require_pairs(actual: Collection, predicted: Collection) -> None:
    """Raise InputError unless there is one prediction for everything that is to be predicted, and at least one."""
    if len(actual) != len(predicted) or not len(actual):
        raise InputError(f"{len(predicted):,} predictions for {len(actual):,} examples: one for each is needed")
