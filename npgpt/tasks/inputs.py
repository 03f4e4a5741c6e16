"""Input transformations: labelled examples as sequences of token ids (Radford et al. 2018, section 3.3 and figure 1).

    text                        [start] text [classify]
    two sentences               [start] sentence1 [delimiter] sentence2 [classify]
    similarity of two           both orders, whose states are added, because neither comes first
    multiple choice             for every choice: [start] context [delimiter] choice [classify]

A head reads the hidden state of [classify], which is last, so that it has seen the whole sequence.
"""
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.text.base_tokenizer import Tokenizer
from npgpt.text.examples import ChoiceExample, Label, PairExample, TextExample

SPECIAL = ("_start_", "_delimiter_", "_classify_", "_pad_")
ABSENT = -1                                     # the end of a sequence that an example does not have


class SpecialIds(NamedTuple):
    """The ids of the special tokens SPECIAL."""
    start: int
    delimiter: int
    classify: int
    pad: int


class Inputs(NamedTuple):
    """An example as sequences: one, two for similarity, or one for each choice."""
    sequences: list[np.ndarray]                 # ids (T,) each, of different lengths
    target: Label                               # the index of a label or choice, or a number (regression)
    cut: bool                                   # whether some text was too long for the context


def special_ids(tokenizer: Tokenizer, names: Sequence[str] = SPECIAL) -> SpecialIds | None:
    """The ids of these special tokens in a tokenizer; None if it lacks one, as those of models that were not fine-tuned
    here.
    """
    known = tokenizer.special_tokens
    return SpecialIds(*(known[name] for name in names)) if set(names) <= known.keys() else None


def transformed(example: TextExample | PairExample | ChoiceExample, target: Label, encode: Callable[[str], np.ndarray],
                special: SpecialIds | None, context: int, both_orders: bool = False) -> Inputs:
    """An example with its target as sequences of at most `context` tokens. both_orders: of two sentences.

    Without special tokens, the head reads the last token of the text; two texts are joined. Raises InputError if a context
    has no room for a token of each text, or a text has no tokens.
    """
    if isinstance(example, TextExample):
        texts = [(example.text,)]
    elif isinstance(example, PairExample):
        texts = [(example.sentence1, example.sentence2)]
        texts += [(example.sentence2, example.sentence1)] * both_orders
    else:
        texts = [(example.context, choice) for choice in example.choices]
    sequences, cut = [], False
    for parts in texts:
        ids = [np.asarray(encode(part)) for part in parts]
        room = context - (len(parts) + 1 if special else 0)
        if room < len(parts):
            raise InputError(f"a context of {context} tokens is too short for a text")
        kept = shortened(ids, room)
        cut |= sum(map(len, kept)) < sum(map(len, ids))
        sequences.append(framed(kept, special) if special else np.concatenate(kept).astype(np.int64))
        if not len(sequences[-1]):
            raise InputError(f"the text {parts[0]!r} has no tokens")
    return Inputs(sequences, target, cut)


def framed(parts: Sequence[np.ndarray], special: SpecialIds) -> np.ndarray:
    """[start] first part [classify], or [start] first part [delimiter] second part [classify]"""
    delimited = [array for part in parts for array in ([special.delimiter], part)][1:]
    return np.concatenate([[special.start], *delimited, [special.classify]]).astype(np.int64)


def shortened(parts: Sequence[np.ndarray], room: int) -> list[np.ndarray]:
    """The parts with at most `room` tokens in all, cut at their ends, the longest first: transformers' "longest_first"."""
    kept = list(parts)
    if sum(map(len, parts)) > room:
        for others, i in zip(range(len(parts) - 1, -1, -1), sorted(range(len(parts)), key=lambda i: len(parts[i]))):
            kept[i] = parts[i][:room // (others + 1)]
            room -= len(kept[i])
    return kept


def padded(examples: Sequence[Inputs], pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Several examples in one array  ->  ids (B, S, T), filled up with pad at the end of each sequence, and the positions
    of [classify] (B, S), ABSENT for sequences that an example does not have
    """
    S = max(len(example.sequences) for example in examples)
    T = max(len(sequence) for example in examples for sequence in example.sequences)
    ids, ends = np.full((len(examples), S, T), pad), np.full((len(examples), S), ABSENT)
    for b, example in enumerate(examples):
        for s, sequence in enumerate(example.sequences):
            ids[b, s, :len(sequence)], ends[b, s] = sequence, len(sequence) - 1
    return ids, ends
