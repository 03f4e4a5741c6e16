"""Examples: what a model is fine-tuned on, and measured with. One named tuple for each kind of task.

The fields have the names that GLUE, SQuAD and the datasets library use.
"""
from collections.abc import Sequence
from typing import NamedTuple

from npgpt.errors import InputError

Label = str | int | float
LABELS = 1000                                   # more are a mistake more often than so many classes


class TextExample(NamedTuple):
    """A text and its class, or a number that is to be predicted (regression)."""
    text: str
    label: Label
    line: int                                   # of the file, from 1


class PairExample(NamedTuple):
    """Two texts, and what holds between them."""
    sentence1: str
    sentence2: str
    label: Label
    line: int


class ChoiceExample(NamedTuple):
    """A text, and how it might go on, or be answered."""
    context: str
    choices: tuple[str, ...]
    answer: int                                 # the index of the right choice
    line: int


class TaggedExample(NamedTuple):
    """A text in tokens, which are usually words, and a tag for each."""
    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    line: int


class Answer(NamedTuple):
    text: str
    start: int                                  # context[start:start + len(text)] == text; -1 where there is no context


class QuestionExample(NamedTuple):
    """A question, and a text that has the answers; none if it cannot be answered from the text."""
    question: str
    context: str
    answers: tuple[Answer, ...]
    line: int


class OpenQuestionExample(NamedTuple):
    """A question, and right answers to it, which need not stand in a text; none if it has no answer."""
    question: str
    answers: tuple[Answer, ...]
    line: int


class PassageExample(NamedTuple):
    """A text whose last word can be predicted."""
    text: str
    line: int


class TranslationExample(NamedTuple):
    """A text and its translation, or its summary."""
    source: str
    target: str
    line: int


Example = (TextExample | PairExample | ChoiceExample | TaggedExample | QuestionExample | OpenQuestionExample
           | TranslationExample | PassageExample)
KINDS = (TextExample, PairExample, ChoiceExample, TaggedExample, QuestionExample, OpenQuestionExample, TranslationExample,
         PassageExample)


class Labels(NamedTuple):
    """The labels of a file's examples."""
    values: list[Label]                         # distinct, sorted
    numeric: bool                               # whether they are numbers, which a regression can predict


def labels_of(examples: Sequence[TextExample | PairExample | TaggedExample]) -> Labels:
    """All labels, or tags. Raises InputError for more than a thousand that are not fractions: those are hardly classes."""
    values = sorted({label for one in examples for label in (one.tags if isinstance(one, TaggedExample) else [one.label])})
    if len(values) > LABELS and not isinstance(values[0], float):
        raise InputError(f"the examples have {len(values):,} different labels, at most {LABELS:,} are possible")
    return Labels(values, not isinstance(values[0], str))
