"""Extractive question answering: the answer is a part of a text, from its first to its last token (Devlin et al. 2019,
sections 4.2 and 4.3)."""
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.layers.softmax import softmax
from npgpt.tasks.inputs import SpecialIds, framed, shortened
from npgpt.text.examples import Answer
from npgpt.text.offsets import encode_with_offsets, tokens_of
from npgpt.text.tokenizer import Tokenizer

LONGEST = 64                                    # tokens of an answer; BERT's code takes 30, but those are parts of words


class QuestionInputs(NamedTuple):
    """A question and a text as a sequence of T tokens."""
    ids: np.ndarray                             # (T,)
    segments: np.ndarray                        # (T,): 0 for the question, 1 for the text
    targets: np.ndarray                         # (2,): the first and the last token of the answer
    cut: bool                                   # whether question and text were too long for the context
    offsets: np.ndarray                         # (N, 2): the characters of the text's tokens,
    start: int                                  # of which the first is at this position
    no_answer: int                              # the position that stands for "there is no answer"


class FoundAnswer(NamedTuple):
    text: str                                   # empty if there is no answer
    start: int                                  # its first character in the text; -1 if there is no answer
    probability: float                          # of its first token, times that of its last


def question_inputs(question: str, context: str, answer: Answer | None, tokenizer: Tokenizer, special: SpecialIds | None,
                    length: int, causal: bool) -> QuestionInputs:
    """A question and a text as at most `length` tokens: [start] question [delimiter] text [classify], or
    [CLS] question [SEP] text [SEP]. The longer of them is cut at its end.

    A question without an answer, or whose answer was cut, has the answer [CLS]; where a position sees only those before it,
    the last token. Raises InputError where question or text has no token, or no room for one.
    """
    asked = np.asarray(tokenizer.encode(question), np.int64)
    ids, offsets = encode_with_offsets(context, tokenizer)
    room = length - (3 if special else 0)
    if room < 2 or not len(asked) or not len(ids):
        raise InputError(f"question or text has no token in a context of {length}")
    parts = shortened([asked, ids], room)
    sequence = framed(parts, special) if special else np.concatenate(parts)
    start = len(parts[0]) + (2 if special else 0)
    no_answer = len(sequence) - 1 if causal else 0
    targets = np.full(2, no_answer)
    if answer is not None:
        first, last = tokens_of(offsets, answer.start, answer.start + len(answer.text))
        if first <= last < len(parts[1]):
            targets[:] = start + first, start + last
    return QuestionInputs(sequence, (np.arange(len(sequence)) >= start).astype(np.int64), targets,
                          sum(map(len, parts)) < len(asked) + len(ids), offsets[:len(parts[1])], start, no_answer)


def best_span(first: np.ndarray, last: np.ndarray) -> tuple[int, int]:
    """Logits of the first and the last token of the answer, (N,) each  ->  the two tokens with the largest sum, of which
    the last is not before the first, nor LONGEST tokens or more after it
    """
    N = len(first)
    possible = np.tri(N, dtype=bool).T & np.tri(N, k=LONGEST - 1, dtype=bool)          # i <= j < i + LONGEST
    return divmod(int(np.where(possible, first[:, None] + last, -np.inf).argmax()), N)


def answer_of(logits: np.ndarray, inputs: QuestionInputs, context: str) -> FoundAnswer:
    """logits (2, T) of the first and the last token  ->  the best answer in the text, or none if that is likelier"""
    logits = logits[:, :len(inputs.ids)].astype(np.float64)
    i, j = best_span(*logits[:, inputs.start:inputs.start + len(inputs.offsets)])
    places = np.array([inputs.start + i, inputs.start + j])
    if logits[:, inputs.no_answer].sum() > logits[[0, 1], places].sum():
        return FoundAnswer("", -1, probability(logits, inputs.no_answer))
    found = context[inputs.offsets[i, 0]:inputs.offsets[j, 1]]
    begin = int(inputs.offsets[i, 0]) + len(found) - len(found.lstrip())               # a token may begin with a space
    return FoundAnswer(found.strip(), begin, probability(logits, places))


def probability(logits: np.ndarray, places: np.ndarray | int) -> float:
    return float(softmax(logits)[0][[0, 1], places].prod())
