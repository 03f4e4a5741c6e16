"""The last word of a text, predicted from all before it (LAMBADA, Paperno et al. 2016)."""
import math
from collections.abc import Sequence
from typing import NamedTuple

from npgpt.scoring.f1 import require_pairs
from npgpt.scoring.likelihood import Likelihood


class LastWordReport(NamedTuple):
    accuracy: float                             # the share of words all of whose tokens are the likeliest
    perplexity: float                           # exp of minus the mean log-probability of a whole word
    examples: int

    def __str__(self) -> str:
        return f"accuracy    {self.accuracy:.4f}\nperplexity  {self.perplexity:.3f}\nexamples    {self.examples:,}"

    def as_json(self) -> dict:
        """All figures, as JSON has them: those beyond its numbers are null."""
        return self._replace(perplexity=self.perplexity if math.isfinite(self.perplexity) else None)._asdict()


def last_word_report(found: Sequence[Likelihood]) -> LastWordReport:
    """The likelihoods of the last words of N texts."""
    require_pairs(found, found)                 # one at least
    mean = sum(one.log_probability for one in found) / len(found)
    return LastWordReport(sum(one.greedy for one in found) / len(found), math.exp(-mean) if mean > -700 else math.inf,
                          len(found))
