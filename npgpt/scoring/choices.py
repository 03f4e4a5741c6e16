"""Choices by likelihood: of several answers, a language model chooses the one to which it gives the largest probability."""
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from npgpt.scoring.f1 import require_pairs


class ChoiceLikelihood(NamedTuple):
    """A choice, and its log-probability."""
    text: str
    tokens: int
    log_probability: float                      # after its question
    log_probability_alone: float                # after an empty context


# How choices of different lengths are compared, each with its name in EleutherAI's lm-evaluation-harness where it has one.
RANKINGS: dict[str, Callable[[ChoiceLikelihood], float]] = {
    "sum": lambda choice: choice.log_probability,                                              # acc
    "per token": lambda choice: choice.log_probability / choice.tokens,                        # GPT-3's
    "per character": lambda choice: choice.log_probability / len(choice.text),                 # acc_norm
    "per byte": lambda choice: choice.log_probability / len(choice.text.encode()),             # acc_bytes
    "minus alone": lambda choice: choice.log_probability - choice.log_probability_alone,       # acc_mutual_info
}


class ChoiceReport(NamedTuple):
    accuracy: dict[str, float]                  # by ranking
    chance: float                               # the accuracy of a random guess
    examples: int

    def __str__(self) -> str:
        rows = [f"{name:14}{accuracy:9.4f}" for name, accuracy in self.accuracy.items()]
        return "\n".join([f"{'log-likelihood':14} accuracy", *rows, f"{'chance':14}{self.chance:9.4f}",
                          f"{'examples':14}{self.examples:9,}"])

    def as_json(self) -> dict:
        """All figures, as JSON has them."""
        return self._asdict()


def choice_report(actual: Sequence[int], choices: Sequence[Sequence[ChoiceLikelihood]]) -> ChoiceReport:
    """The right choice of N examples, and the likelihoods of all choices of each."""
    require_pairs(actual, choices)
    predicted = [ranked(one) for one in choices]
    accuracy = {name: float(np.mean([one[name] == right for one, right in zip(predicted, actual)])) for name in RANKINGS}
    return ChoiceReport(accuracy, float(np.mean([1 / len(one) for one in choices])), len(choices))


def ranked(choices: Sequence[ChoiceLikelihood]) -> dict[str, int]:
    """By ranking, the index of the best choice: the first, if several are equal."""
    return {name: int(np.argmax([*map(ranking, choices)])) for name, ranking in RANKINGS.items()}
