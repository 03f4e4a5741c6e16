"""Few-shot prompts: examples as a text that a language model continues, after other examples with their answers (Brown et
al. 2020, section 2.4). The layout is that of EleutherAI's lm-evaluation-harness.
"""
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from npgpt.errors import InputError
from npgpt.text.examples import (ChoiceExample, Example, OpenQuestionExample, PairExample, PassageExample, QuestionExample,
                                 TextExample, TranslationExample, labels_of)

BETWEEN = "\n\n"                                # between examples; between a question and its answer stands a space
SEED = 1234                                     # the harness's own
FIELD = re.compile(r"\{(\w+)\}")
ANSWERS = {"label", "answer", "answers", "target"}             # fields that a question must not show
TEMPLATES = {TextExample: "{text}", PairExample: "{sentence1}\n{sentence2}", ChoiceExample: "{context}",
             QuestionExample: "{context}\nQ: {question}\nA:", OpenQuestionExample: "Q: {question}\nA:",
             TranslationExample: "{source} =>", PassageExample: "{text}"}


class Item(NamedTuple):
    """An example as it is shown to a language model."""
    question: str
    answers: tuple[str, ...]                    # all choices; or right answers, of which the first is shown
    right: int                                  # the index of the right choice; 0 where there are no choices
    line: int                                   # of the file, from 1

    def with_answer(self) -> str:
        return f"{self.question} {self.answers[self.right] if self.answers else ''}".rstrip(" ")


def items_of(examples: Sequence[Example], template: str | None = None) -> list[Item]:
    """Examples of one kind. template: the question, with the names of fields in braces; by default that of TEMPLATES.

    Labels are choices, as text. Raises InputError for a kind that is no text with an answer, for a template with other
    fields than those of a question, and, naming the line, for a passage of a single word.
    """
    kind = type(examples[0])
    if kind not in TEMPLATES:
        raise InputError(f"a language model cannot be asked for {kind._fields[1]} of {kind._fields[0]}: fine-tune one with "
                         "npgpt finetune")
    template = TEMPLATES[kind] if template is None else template
    named, fields = FIELD.findall(template), [name for name in kind._fields[:-1] if name not in ANSWERS]
    unknown = next((name for name in named if name not in fields), None)
    if unknown or not named:
        raise InputError(f"the prompt {template!r} names {unknown or 'no field of the examples'}: it can name "
                         f"{', '.join(f'{{{name}}}' for name in fields)}")
    labels = tuple(map(str, labels_of(examples).values)) if "label" in kind._fields else ()
    return [item_of(example, template, labels) for example in examples]


def item_of(example: Example, template: str, labels: tuple[str, ...]) -> Item:
    if isinstance(example, PassageExample):
        text, _, word = example.text.rstrip().rpartition(" ")
        if not text.strip():
            raise InputError(f"line {example.line}: text has a single word: one to predict, and one before it, are needed")
        example, answers, right = example._replace(text=text), (word,), 0
    elif isinstance(example, ChoiceExample):
        answers, right = example.choices, example.answer
    elif isinstance(example, (TextExample, PairExample)):
        answers, right = labels, labels.index(str(example.label))
    elif isinstance(example, TranslationExample):
        answers, right = (example.target,), 0
    else:
        answers, right = tuple(answer.text for answer in example.answers), 0
    question = FIELD.sub(lambda field: shown(getattr(example, field[1])), template)
    return Item(question, answers, right, example.line)


def shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


class Prompt(NamedTuple):
    """What a language model reads before it answers."""
    text: str
    last: str                                   # the part that begins with the last shot


def prompts(items: Iterable[Item], pool: Sequence[Item], shots: int, description: str = "", seed: int = SEED,
            same: bool = True) -> Iterator[Prompt]:
    """For each item a description, then some of the pool with their answers, then the item's question.

    The shots are drawn afresh for each item, and never equal to it. same: whether the items are those of the pool. With the
    same seed and files, they are those that lm-evaluation-harness draws. Raises InputError if the pool has too few.
    """
    rng = random.Random(seed)
    start = description + BETWEEN * (description.rstrip() == description != "")
    for item in items:
        drawn = [one.with_answer() + BETWEEN for one in draw_shots(rng, pool, item, shots, same)]
        yield Prompt(start + "".join(drawn) + item.question, "".join(drawn[-1:]) + item.question)


def draw_shots(rng: random.Random, pool: Sequence[Item], item: Item, count: int, same: bool) -> list[Item]:
    if count == 0:
        return []
    drawn = []
    if len(pool) >= count + same:
        drawn = [one for one in rng.sample(pool, count + same) if one[:-1] != item[:-1]]
    if len(drawn) < count:                      # the item is in the pool several times
        others = [one for one in pool if one[:-1] != item[:-1]]
        if len(others) < count:
            raise InputError(f"line {item.line}: {count} shots were asked for, but there are only {len(others)} other "
                             "examples")
        drawn = rng.sample(others, count)
    return drawn[:count]
