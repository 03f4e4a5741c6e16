"""How well questions were answered: exact match and F1 of words, after SQuAD's normalisation (Rajpurkar et al. 2016, 2018).

Equal to the official script of SQuAD 2.0, except that figures are from 0 to 1, not per cent.
"""
import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from npgpt.scoring.f1 import require_pairs, scores

ARTICLE = re.compile(r"\b(a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


class AnswerReport(NamedTuple):
    exact_match: float                          # the share of answers that equal a right one, once normalised
    f1: float                                   # the mean F1 of the words, each with the right answer that fits best
    examples: int

    def __str__(self) -> str:
        return f"exact match  {self.exact_match:.4f}\nF1           {self.f1:.4f}\nexamples     {self.examples:,}"

    def as_json(self) -> dict:
        """All figures, as JSON has them."""
        return self._asdict()


def answer_report(actual: Sequence[Sequence[str]], predicted: Sequence[str]) -> AnswerReport:
    """The right answers to N questions, and the predicted one to each. The answer to a question that has none is ""."""
    require_pairs(actual, predicted)
    pairs = [(right_answers(answers), answer) for answers, answer in zip(actual, predicted)]
    matches = sum(max(exact_match(right, answer) for right in answers) for answers, answer in pairs)
    f1 = sum(max(word_f1(right, answer) for right in answers) for answers, answer in pairs)
    return AnswerReport(matches / len(pairs), f1 / len(pairs), len(pairs))


def right_answers(answers: Sequence[str]) -> Sequence[str]:
    """Those that have words left after normalisation; where there are none, the empty one."""
    return [answer for answer in answers if normalise(answer)] or [""]


def exact_match(actual: str, predicted: str) -> bool:
    return normalise(actual) == normalise(predicted)


def word_f1(actual: str, predicted: str) -> float:
    """F1 of the words in common, counted as often as they occur in both. If one answer has no words, it is 1 where the other
    has none either, else 0.
    """
    right, chosen = normalise(actual).split(), normalise(predicted).split()
    if not right or not chosen:
        return float(right == chosen)
    return scores((Counter(right) & Counter(chosen)).total(), len(chosen), len(right)).f1


def normalise(answer: str) -> str:
    """Lower case, no ASCII punctuation, no articles (a, an, the), single spaces."""
    return " ".join(ARTICLE.sub(" ", answer.lower().translate(WITHOUT_PUNCTUATION)).split())
