"""How well texts were translated: BLEU (Papineni et al. 2002) and chrF (Popovic 2015) of a whole corpus, from 0 to 100.

Equal to corpus_score of sacrebleu 2 with its defaults and one reference for each text: BLEU with the tokenisation of
mteval-v13a and its smoothing (sacrebleu's "13a" and "exp"), chrF with up to 6 characters, no words, and beta 2.
"""
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from npgpt.scoring.f1 import require_pairs
from npgpt.scoring.ngrams import ngram_counts

WORDS, CHARACTERS = 4, 6                        # the longest n-grams of BLEU and of chrF
BETA = 2                                        # of chrF: recall counts twice as much as precision
ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}        # replaced in this order
SEPARATED = [
    (re.compile(r"([!-&(-+/:-@\[-`{-~])"), r" \1 "),       # ASCII punctuation except ' , - .
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),            # . and , unless between digits
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),                # - after a digit
]


class TranslationReport(NamedTuple):
    bleu: float
    chrf: float
    examples: int

    def __str__(self) -> str:
        return f"BLEU      {self.bleu:.2f}\nchrF      {self.chrf:.2f}\nexamples  {self.examples:,}"

    def as_json(self) -> dict:
        """All figures, as JSON has them."""
        return self._asdict()


def translation_report(actual: Sequence[str], predicted: Sequence[str]) -> TranslationReport:
    """The right translations of N texts, and the predicted ones."""
    return TranslationReport(bleu(actual, predicted), chrf(actual, predicted), len(actual))


def bleu(actual: Sequence[str], predicted: Sequence[str]) -> float:
    """BLEU = 100 min(1, exp(1 - r / p)) (prod_n precision_n)^(1/4), n = 1 to 4; r and p are how many words all right texts
    and all predicted ones have. The k-th precision that would be 0 is 1 / (2^k predicted n-grams) instead; BLEU is 0 if
    that holds for all four, or if no predicted text has four words.
    """
    require_pairs(actual, predicted)
    right, chosen = [words(text) for text in actual], [words(text) for text in predicted]
    counts = [ngram_counts(right, chosen, n) for n in range(1, WORDS + 1)]
    if not counts[0].common or not counts[-1].predicted:
        return 0.0
    log_precision, missing = 0.0, 0
    for count in counts:
        missing += not count.common
        log_precision += math.log((count.common or 0.5**missing) / count.predicted)
    return 100 * math.exp(min(0.0, 1 - sum(map(len, right)) / sum(map(len, chosen))) + log_precision / WORDS)


def words(text: str) -> tuple[str, ...]:
    """Words and punctuation, as mteval-v13a.pl (NIST 2009) separates them for western languages."""
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for name, character in ENTITIES.items():
        text = text.replace(name, character)
    text = f" {text} "
    for pattern, replacement in SEPARATED:
        text = pattern.sub(replacement, text)
    return tuple(text.split())


def chrf(actual: Sequence[str], predicted: Sequence[str]) -> float:
    """chrF = 100 (1 + beta^2) P R / (beta^2 P + R); P and R are the means of precision and recall of the n-grams of 1 to 6
    characters, without white space, over those n that occur on both sides.
    """
    require_pairs(actual, predicted)
    right, chosen = ["".join(text.split()) for text in actual], ["".join(text.split()) for text in predicted]
    counts = []
    for n in range(1, CHARACTERS + 1):
        comparable = [text if len(reference) >= n else "" for text, reference in zip(chosen, right)]
        counts.append(ngram_counts(right, comparable, n))
    counts = [count for count in counts if count.predicted and count.actual]
    if not any(count.common for count in counts):
        return 0.0
    precision = sum(count.common / count.predicted for count in counts) / len(counts)
    recall = sum(count.common / count.actual for count in counts) / len(counts)
    return 100 * (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)
