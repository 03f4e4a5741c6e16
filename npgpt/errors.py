"""InputError: an error that the user can correct."""
from collections.abc import Sequence

MOST_PROBLEMS = 10


class InputError(ValueError):
    """What was given cannot be used. The message says what is wrong and what would be right."""


def listed(problems: Sequence[str]) -> str:
    """The first of several problems, and how many others there are."""
    more = len(problems) - MOST_PROBLEMS
    return "; ".join(problems[:MOST_PROBLEMS]) + (f"; and {more:,} more" if more > 0 else "")
