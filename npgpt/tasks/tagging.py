"""Tagging: a tag for each word of a text, such as those of named entities (Devlin et al. 2019, section 5.3)."""
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.layers.cross_entropy import IGNORED
from npgpt.tasks.inputs import ABSENT, SpecialIds, framed
from npgpt.text.offsets import encode_with_offsets, tokens_of
from npgpt.text.tokenizer import Tokenizer

OUTSIDE = "O"


class TaggedInputs(NamedTuple):
    """A text of W words as a sequence of T tokens."""
    ids: np.ndarray                             # (T,)
    segments: np.ndarray                        # (T,): all 0
    targets: np.ndarray                         # (T,): the index of a tag, for the tokens that carry one; IGNORED elsewhere
    cut: bool                                   # whether the text was too long for the context
    positions: np.ndarray                       # (W,): of the token that carries a word's tag; ABSENT if the word was cut


def tagged_inputs(words: Sequence[str], tags: Sequence[int] | None, tokenizer: Tokenizer, special: SpecialIds | None,
                  context: int, causal: bool) -> TaggedInputs:
    """Words, which are joined by spaces, as at most `context` tokens: [start] text [classify], or [CLS] text [SEP].

    A word's first token carries its tag; where a position sees only those before it, its last. tags: indices of the words'
    tags. Raises InputError if no word has a token, or the context has no room for one.
    """
    stops = np.cumsum([len(word) + 1 for word in words]) - 1
    ids, offsets = encode_with_offsets(" ".join(words), tokenizer)
    first, last = tokens_of(offsets, stops - [len(word) for word in words], stops)
    chosen, room = last if causal else first, context - (2 if special else 0)
    positions = np.where((first > last) | (chosen >= room), ABSENT, chosen + (1 if special else 0))
    if room < 1 or (positions == ABSENT).all():
        raise InputError(f"the first word, {words[0]!r}, has no token in a context of {context}")
    sequence = framed([ids[:room]], special) if special else ids[:room]
    targets = np.full(len(sequence), IGNORED)
    if tags is not None:
        present = positions != ABSENT
        targets[positions[present]] = np.array(tags)[present]
    return TaggedInputs(sequence, np.zeros_like(sequence), targets, len(ids) > room, positions)


def tags_of(logits: np.ndarray, inputs: TaggedInputs, labels: Sequence[str]) -> tuple[str, ...]:
    """logits (T, K)  ->  the likeliest tag of each word; O for words that were cut"""
    best = logits.argmax(axis=-1)
    return tuple(OUTSIDE if position == ABSENT else labels[best[position]] for position in inputs.positions)
