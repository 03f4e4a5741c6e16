"""Few-shot prompts: the layout and the draws of lm-evaluation-harness, and what cannot be asked."""
import pytest

from npgpt.errors import InputError
from npgpt.scoring.few_shot import Item, items_of, prompts
from npgpt.text.examples import (Answer, ChoiceExample, OpenQuestionExample, PairExample, PassageExample, QuestionExample,
                                 TaggedExample, TextExample, TranslationExample)

POOL = [Item(f"q{i}", ("x", f"a{i}"), 1, i + 1) for i in range(6)]


@pytest.mark.parametrize("example, item", [
    (TextExample("fine", "good", 1), Item("fine", ("good",), 0, 1)),
    (PairExample("a", "b", 1, 2), Item("a\nb", ("1",), 0, 2)),
    (ChoiceExample("2 + 2 =", ("5", "4"), 1, 3), Item("2 + 2 =", ("5", "4"), 1, 3)),
    (QuestionExample("Who?", "I am.", (Answer("I", 0),), 4), Item("I am.\nQ: Who?\nA:", ("I",), 0, 4)),
    (OpenQuestionExample("Who?", (Answer("I", -1), Answer("me", -1)), 5), Item("Q: Who?\nA:", ("I", "me"), 0, 5)),
    (TranslationExample("cat", "Katze", 6), Item("cat =>", ("Katze",), 0, 6)),
    (PassageExample("on the mat.\n", 7), Item("on the", ("mat.",), 0, 7)),
])
def test_every_kind_of_example_has_a_question_and_answers(example, item):
    assert items_of([example]) == [item]


def test_labels_are_choices_and_the_question_can_be_worded():
    examples = [TextExample("fine", "good", 1), TextExample("poor", "bad", 2)]
    assert items_of(examples, "{text}: it was") == [
        Item("fine: it was", ("bad", "good"), 1, 1), Item("poor: it was", ("bad", "good"), 0, 2)]


@pytest.mark.parametrize("example, template, complaint", [
    (TextExample("fine", "good", 1), "{label}", "names label: it can name {text}"),
    (ChoiceExample("c", ("a", "b"), 0, 1), "{text}", "names text: it can name {context}, {choices}"),
    (TextExample("fine", "good", 1), "It was", "names no field"),
    (TaggedExample(("a",), ("O",), 1), None, "tags of tokens"),
    (PassageExample("word\n", 8), None, "line 8: text has a single word"),
])
def test_what_cannot_be_asked_is_refused(example, template, complaint):
    with pytest.raises(InputError, match=complaint):
        items_of([example], template)


def test_a_prompt_is_a_description_shots_and_the_question():
    """The shots are those that the ContextSampler of lm-evaluation-harness 0.4.13 draws of this pool."""
    first, second = [*prompts(POOL[:2], POOL, 2, "Answer.")]
    assert first.text == "Answer.\n\nq3 a3\n\nq4 a4\n\nq0" and first.last == "q4 a4\n\nq0"
    assert second.text == "Answer.\n\nq0 a0\n\nq4 a4\n\nq1"


@pytest.mark.parametrize("description, start", [("", ""), ("Answer.\n", "Answer.\n"), ("Answer.", "Answer.\n\n")])
def test_a_description_that_ends_with_a_space_or_line_break_is_left_as_it_is(description, start):
    assert next(prompts(POOL, POOL, 0, description)).text == start + "q0"


@pytest.mark.parametrize("same", [True, False])
def test_the_item_itself_is_never_a_shot(same):
    pool = POOL + [one._replace(line=9) for one in POOL[:2]]           # two of them twice
    for item, prompt in zip(pool, prompts(pool, pool, 5, same=same)):
        assert prompt.text.count(item.question) == 1 and prompt.text.count("\n\n") == 5


def test_the_seed_draws_other_shots():
    assert [*prompts(POOL, POOL, 3, seed=1)] != [*prompts(POOL, POOL, 3, seed=2)]
    assert [*prompts(POOL, POOL, 3, seed=1)] == [*prompts(POOL, POOL, 3, seed=1)]


def test_more_shots_than_other_examples_are_refused():
    with pytest.raises(InputError, match="line 1: 6 shots were asked for, but there are only 5 other examples"):
        next(prompts(POOL, POOL, 6))
