"""How well texts were summarised: ROUGE-1, ROUGE-2 and ROUGE-L (Lin, ROUGE: a package for automatic evaluation of
summaries, 2004).

Equal to rouge1, rouge2 and rougeL of the package rouge_score without its stemmer. ROUGE-L takes a text as one sentence,
whatever its line breaks. Words are runs of the letters a to z and digits, in lower case: other letters do not count.
"""
import re
from collections.abc import Sequence
from typing import NamedTuple

from npgpt.scoring.f1 import Scores, macro, require_pairs, scores, table
from npgpt.scoring.ngrams import ngram_counts

WORD = re.compile("[a-z0-9]+")


class SummaryReport(NamedTuple):
    """Precision, recall and F1, each the mean over all texts; support is the number of n-grams in the right ones."""
    rouge_1: Scores
    rouge_2: Scores
    rouge_l: Scores
    examples: int

    def __str__(self) -> str:
        rows = {"ROUGE-1": self.rouge_1, "ROUGE-2": self.rouge_2, "ROUGE-L": self.rouge_l}
        return "\n".join([*table(rows), f"examples  {self.examples:,}"])

    def as_json(self) -> dict:
        """All figures, as JSON has them."""
        return {name: value._asdict() if isinstance(value, Scores) else value for name, value in self._asdict().items()}


def summary_report(actual: Sequence[str], predicted: Sequence[str]) -> SummaryReport:
    """The right summaries of N texts, and the predicted ones."""
    require_pairs(actual, predicted)
    pairs = [(words(right), words(chosen)) for right, chosen in zip(actual, predicted)]
    means = (macro([rouge(*pair) for pair in pairs]) for rouge in (rouge_1, rouge_2, rouge_l))
    return SummaryReport(*means, len(pairs))


def words(text: str) -> tuple[str, ...]:
    return tuple(WORD.findall(text.lower()))


def rouge_1(actual: tuple[str, ...], predicted: tuple[str, ...]) -> Scores:
    """The words that both texts have in common."""
    return scores(*ngram_counts([actual], [predicted], 1))


def rouge_2(actual: tuple[str, ...], predicted: tuple[str, ...]) -> Scores:
    """The pairs of neighbouring words that both texts have in common."""
    return scores(*ngram_counts([actual], [predicted], 2))


def rouge_l(actual: tuple[str, ...], predicted: tuple[str, ...]) -> Scores:
    """The longest sequence of words that both texts have in this order, other words between them allowed."""
    return scores(longest_common_subsequence(actual, predicted), len(predicted), len(actual))


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Its length. length[j] is that of what has been read of a, and of the first j words of b."""
    length = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for j, other in enumerate(b, 1):
            above = length[j]
            length[j] = diagonal + 1 if word == other else max(above, length[j - 1])
            diagonal = above
    return length[-1]
