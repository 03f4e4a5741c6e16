"""The fields of examples: each is checked before an example is made of them."""
import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from npgpt.errors import InputError
from npgpt.text.examples import KINDS, Answer, ChoiceExample, Example, Label, QuestionExample, TaggedExample

IGNORED = {"id", "idx", "title"}                # of GLUE and SQuAD
CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")
WHOLE = 2**53                                   # whole numbers up to this one are exact in float64


def kind_of(fields: Iterable[str], where: str) -> type[Example]:
    """The kind of example that has these fields. Raises InputError if there is none."""
    found = {*fields} - IGNORED
    kind = max(KINDS, key=lambda kind: (len(found & {*field_names(kind)}), found == {*field_names(kind)}))
    if not {*fields} & {*field_names(kind)}:
        known = "; or ".join(", ".join(field_names(kind)) for kind in KINDS)
        raise InputError(f"{where}: found the fields {listed(fields)}; they can be {known}")
    require_fields(fields, kind, where)
    return kind


def field_names(kind: type[Example]) -> tuple[str, ...]:
    return kind._fields[:-1]                    # all but the line


def require_fields(fields: Iterable[str], kind: type[Example], where: str) -> None:
    expected = field_names(kind)
    if {*fields} - IGNORED != {*expected}:
        raise InputError(f"{where}: the fields {', '.join(expected)} were expected, found {listed(fields)}")


def make_example(kind: type[Example], fields: dict[str, Any], line: int, where: str) -> Example:
    """An example from JSON's values. Raises InputError, beginning with `where`, if they are not right."""
    require_fields(fields, kind, where)
    try:
        example = kind(*(READERS[name](name, fields[name]) for name in field_names(kind)), line)
        return CHECKS[kind](example) if kind in CHECKS else example
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def read_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} must be text, found {described(value)}")
    if not value.strip():
        raise InputError(f"{name} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name} has half of a surrogate pair, {value[error.start]!r}, which is not a character") from None
    return value


def read_texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise InputError(f"{name} must be a list of texts, found {described(value)}")
    return tuple(read_text(f"{name}[{i}]", text) for i, text in enumerate(value))


def read_names(name: str, value: Any) -> tuple[str, ...]:
    return tuple(read_name(name, text) for text in read_texts(name, value))


def read_name(name: str, value: str) -> str:
    """The name of a class or a tag, which is printed."""
    found = CONTROL.search(read_text(name, value))
    if found:
        raise InputError(f"{name} has the control character {found[0]!r}: {described(value)}")
    return value


def read_index(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{name} must be a whole number, 0 or more, found {described(value)}")
    return value


def read_label(name: str, value: Any) -> Label:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise InputError(f"{name} must be text or a number, found {described(value)}")
    if isinstance(value, str):
        return read_name(name, value)
    if not math.isfinite(value) if isinstance(value, float) else abs(value) > WHOLE:
        raise InputError(f"{name} must be a finite number, whole ones up to {WHOLE:,}, found {described(value)}")
    return value


def read_answers(name: str, value: Any) -> tuple[Answer, ...]:
    """Answers as SQuAD's file or the datasets library has them, or texts alone: then start is -1."""
    if isinstance(value, dict) and isinstance(value.get("text"), list):        # {"text": [...], "answer_start": [...]}
        texts, starts = value["text"], value.get("answer_start")
        if not isinstance(starts, list) or len(starts) != len(texts):
            raise InputError(f"{name}.answer_start must be a list of as many numbers as {name}.text has texts, "
                             f"found {described(starts)}")
        value = [{"text": text, "answer_start": start} for text, start in zip(texts, starts)]
    each = value if isinstance(value, list) else [value]
    return tuple(read_answer(f"{name}[{i}]" if each is value else name, answer) for i, answer in enumerate(each))


def read_answer(name: str, value: Any) -> Answer:
    if isinstance(value, str):
        return Answer(read_text(name, value), -1)
    if not isinstance(value, dict) or {*value} != {"text", "answer_start"}:
        raise InputError(f"{name} must be text, or an object with text and answer_start, found {described(value)}")
    return Answer(read_text(f"{name}.text", value["text"]), read_index(f"{name}.answer_start", value["answer_start"]))


READERS: dict[str, Callable[[str, Any], Any]] = {
    "text": read_text, "sentence1": read_text, "sentence2": read_text, "source": read_text, "target": read_text,
    "question": read_text, "context": read_text, "label": read_label, "choices": read_texts, "answer": read_index,
    "tokens": read_texts, "tags": read_names, "answers": read_answers}


def check_choice(example: ChoiceExample) -> ChoiceExample:
    if len(example.choices) < 2:
        raise InputError("choices has a single text: two or more are needed")
    if example.answer >= len(example.choices):
        raise InputError(f"answer is {example.answer}, but the choices are 0 to {len(example.choices) - 1}")
    return example


def check_tags(example: TaggedExample) -> TaggedExample:
    if len(example.tags) != len(example.tokens):
        raise InputError(f"{len(example.tokens):,} tokens and {len(example.tags):,} tags: a tag for each token is needed")
    return example


def find_answers(example: QuestionExample) -> QuestionExample:
    """With the start of those that came without: where their text is first found."""
    return example._replace(answers=tuple(find_answer(answer, example.context) for answer in example.answers))


def find_answer(answer: Answer, context: str) -> Answer:
    first = context.find(answer.text)
    if first < 0:
        raise InputError(f"the answer {described(answer.text)} is not in the context")
    if answer.start >= 0 and not context.startswith(answer.text, answer.start):
        raise InputError(f"the answer {described(answer.text)} is not at character {answer.start:,} of the context, but at "
                         f"{first:,}")
    return answer if answer.start >= 0 else Answer(answer.text, first)


CHECKS: dict[type, Callable[[Any], Any]] = {
    ChoiceExample: check_choice, TaggedExample: check_tags, QuestionExample: find_answers}


def described(value: Any) -> str:
    """The beginning of a value, as JSON writes it."""
    return shortened(json.dumps(value, ensure_ascii=False), 60)


def listed(names: Iterable[str]) -> str:
    """The names of fields, or the beginning of the list."""
    return shortened(", ".join(names), 300) or "(none)"


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most - 3] + "..."
