"""Labelled examples for a model: the head that a file of examples needs, and its examples as sequences of tokens."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.model.heads import CLASSIFICATION, EXPONENTS, MULTIPLE_CHOICE, REGRESSION, SPAN, TAGGING, Head
from npgpt.scoring.spans import split_tag
from npgpt.tasks.inputs import Inputs, special_ids, transformed
from npgpt.tasks.token_prediction import FIELDS, KINDS as TOKEN_KINDS
from npgpt.text.examples import ChoiceExample, Example, Label, PairExample, TaggedExample, TextExample, labels_of
from npgpt.text.tokenizer import Tokenizer

SIMILARITY = "similarity"                       # classification or regression of pairs in both orders
TASKS = (CLASSIFICATION, SIMILARITY, REGRESSION, MULTIPLE_CHOICE, TAGGING, SPAN)
SHOWN = 5                                       # lines, in a message
FAR = 10                                        # standard deviations between 0 and the mean of numbers


def head_for(examples: Sequence[Example], path: Path, task: str | None = None, name: str = "") -> Head:
    """The head that the examples of a file need, for one of TASKS. Without a task, it follows from their fields and labels:
    fractions are for regression, all other labels are classes. Raises InputError, naming the file, if they do not fit.
    """
    kind = type(examples[0])
    if kind in TOKEN_KINDS.values() or task in TOKEN_KINDS:
        return token_head(examples, path, task, name)
    if kind not in (TextExample, PairExample, ChoiceExample):
        raise InputError(f"{path}: fine-tuning needs the fields text, label; or sentence1, sentence2, label; or context, "
                         f"choices, answer; or {'; or '.join(FIELDS.values())}")
    if task and (kind is ChoiceExample) != (task == MULTIPLE_CHOICE):
        raise InputError(f"{path}: --task {MULTIPLE_CHOICE} is for the fields context, choices, answer, and no other task "
                         "is")
    if kind is ChoiceExample:
        return Head(MULTIPLE_CHOICE, name=name)
    if task == SIMILARITY and kind is not PairExample:
        raise InputError(f"{path}: --task {SIMILARITY} needs the fields sentence1, sentence2, label")
    fractions = isinstance(examples[0].label, float)
    if task == REGRESSION or fractions and task != CLASSIFICATION:
        if isinstance(examples[0].label, str):
            raise InputError(f"{path}: --task {REGRESSION} needs numbers as labels, found {examples[0].label!r} in line "
                             f"{examples[0].line}")
        return Head(REGRESSION, name=name, both_orders=task == SIMILARITY,
                    scale=scale_of([example.label for example in examples]))
    if fractions:
        raise InputError(f"{path}: the labels are fractions, such as {examples[0].label} in line {examples[0].line}: these "
                         f"are for --task {REGRESSION}")
    return Head(CLASSIFICATION, label_names(examples, path), name, task == SIMILARITY)


def scale_of(numbers: Sequence[float]) -> float:
    """The standard deviation of numbers, rounded to a power of two; 1 if they are equal. In this unit large numbers are
    learned as well as small ones. A model's files hold the product of the scale and the parameters, which a power of two
    leaves exact.
    """
    if min(numbers) == max(numbers):
        return 1.0
    return 2.0**round(float(np.clip(np.log2(np.std(np.asarray(numbers, np.float64))), *EXPONENTS)))


def far_from_zero(examples: Sequence[Example], head: Head, path: Path) -> str | None:
    """A message: that the numbers differ little from their mean, which a head without a bias can hardly learn; or None."""
    mean = float(np.mean([example.label for example in examples])) if head.kind == REGRESSION else 0.0
    if abs(mean) <= FAR * head.scale:
        return None
    return (f"{path}: the labels are {mean:,.6g} on average, and differ from that by about {head.scale:,.6g}: their "
            "differences from a fixed number near it would be learned better")


def token_head(examples: Sequence[Example], path: Path, task: str | None, name: str) -> Head:
    """As head_for, for tagging and spans."""
    kind = next((kind for kind, fields in TOKEN_KINDS.items() if isinstance(examples[0], fields)), None)
    if task not in (None, kind):
        needed = f"needs the fields {FIELDS[task]}" if task in FIELDS else f"is not for the fields {FIELDS[kind]}"
        raise InputError(f"{path}: --task {task} {needed}")
    if kind == SPAN:
        return Head(SPAN, name=name)
    labels = label_names(examples, path)
    try:
        for label in labels:
            split_tag(label)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return Head(TAGGING, labels, name)


def label_names(examples: Sequence[TextExample | PairExample | TaggedExample], path: Path) -> tuple[str, ...]:
    """All labels or tags, as text. Raises InputError, naming the file, unless there are two or more, and not too many."""
    try:
        labels = labels_of(examples).values
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if len(labels) < 2:
        raise InputError(f"{path}: all labels are {labels[0]!r}: two or more are needed")
    return tuple(map(str, labels))


def inputs_of(examples: Sequence[Example], head: Head, tokenizer: Tokenizer, context: int, path: Path) -> list[Inputs]:
    """The examples as sequences for a head. Raises InputError, naming the line, for one that does not fit it."""
    special, index = special_ids(tokenizer), {label: i for i, label in enumerate(head.labels)}
    inputs = []
    for example in examples:
        try:
            target = target_of(example, head, index)
            inputs.append(transformed(example, target, tokenizer.encode, special, context, head.both_orders))
        except InputError as error:
            raise InputError(f"{path}: line {example.line}: {error}") from None
    return inputs


def target_of(example: Example, head: Head, index: dict[str, int]) -> Label:
    """index: of the labels. Raises InputError where an example does not fit a head."""
    if isinstance(example, ChoiceExample) != (head.kind == MULTIPLE_CHOICE) or not isinstance(
            example, (TextExample, PairExample, ChoiceExample)):
        raise InputError(f"the model's head is for {head.kind}, which these fields are not for")
    if head.both_orders and not isinstance(example, PairExample):
        raise InputError("the model's head is for pairs of texts, sentence1 and sentence2")
    if head.kind == MULTIPLE_CHOICE:
        return example.answer
    if head.kind == REGRESSION:
        if isinstance(example.label, str):
            raise InputError(f"label must be a number, found {example.label!r}")
        return float(example.label)
    if str(example.label) not in index:
        known = ", ".join(list(index)[:SHOWN]) + f" and {len(index) - SHOWN} more" * (len(index) > SHOWN)
        raise InputError(f"the label {str(example.label)!r} is not one of the model's: {known}")
    return index[str(example.label)]


def cut_lines(examples: Sequence[Example], inputs: Sequence[Inputs], context: int, path: Path) -> str | None:
    """A message: how many texts are longer than the context, and in which lines; None if there are none."""
    lines = [example.line for example, one in zip(examples, inputs) if one.cut]
    if not lines:
        return None
    shown = ", ".join(map(str, lines[:SHOWN])) + f" and {len(lines) - SHOWN:,} more" * (len(lines) > SHOWN)
    return (f"{path}: {len(lines):,} of {len(inputs):,} examples are longer than the context of {context} tokens, and are "
            f"cut: line{'s' * (len(lines) > 1)} {shown}")
