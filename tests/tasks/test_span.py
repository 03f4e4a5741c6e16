"""Questions and texts as sequences of tokens, and spans as answers."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, seeds
from npgpt.errors import InputError
from npgpt.tasks.inputs import SpecialIds
from npgpt.tasks.span import LONGEST, answer_of, best_span, question_inputs
from npgpt.text.byte_pair_training import tokenizer_of_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.examples import Answer

CHARACTERS = CharacterTokenizer("abcd ")
SPECIAL = SpecialIds(5, 6, 7, 8)
QUESTION, CONTEXT, ANSWER = "ab", "c dd b", Answer("dd", 2)
#          [start] a  b [delimiter] c  _  d  d  _  b [classify]
IDS = [5, 0, 1, 6, 2, 4, 3, 3, 4, 1, 7]


def test_a_question_a_text_and_the_first_and_last_token_of_the_answer():
    found = question_inputs(QUESTION, CONTEXT, ANSWER, CHARACTERS, SPECIAL, 20, False)
    assert found.ids.tolist() == IDS and found.targets.tolist() == [6, 7] and not found.cut
    assert found.segments.tolist() == [0] * 4 + [1] * 7
    assert (found.start, found.no_answer) == (4, 0) and found.offsets.tolist() == [[i, i + 1] for i in range(6)]


@pytest.mark.parametrize("causal, place", [(False, 0), (True, 10)])
def test_no_answer_is_the_first_token_and_the_last_where_only_the_left_is_seen(causal, place):
    found = question_inputs(QUESTION, CONTEXT, None, CHARACTERS, SPECIAL, 20, causal)
    assert found.targets.tolist() == [place, place] and found.no_answer == place


def test_without_special_tokens_the_text_follows_the_question():
    found = question_inputs(QUESTION, CONTEXT, ANSWER, CHARACTERS, None, 20, False)
    assert found.ids.tolist() == IDS[1:3] + IDS[4:-1] and found.targets.tolist() == [4, 5] and found.start == 2


@pytest.mark.parametrize("length, targets", [(11, [6, 7]), (10, [6, 7]), (9, [6, 7]), (8, [0, 0])])
def test_a_text_that_is_too_long_is_cut_and_its_answer_may_be_lost(length, targets):
    found = question_inputs(QUESTION, CONTEXT, ANSWER, CHARACTERS, SPECIAL, length, False)
    assert found.cut == (length < 11) and len(found.ids) == length and found.targets.tolist() == targets


@pytest.mark.parametrize("question, context, length", [("ab", "c", 4), ("ab", "c", 3)])
def test_a_context_without_room_is_refused(question, context, length):
    with pytest.raises(InputError, match="has no token in a context of"):
        question_inputs(question, context, None, CHARACTERS, SPECIAL, length, False)


@given(st.integers(1, 2 * LONGEST), seeds)
def test_the_best_span_is_that_of_all_that_are_possible(N, seed):
    first, last = draw(seed, (N,), (N,))
    spans = {(i, j): first[i] + last[j] for i in range(N) for j in range(i, min(i + LONGEST, N))}
    assert best_span(first, last) == max(spans, key=spans.get)


def logits_for(inputs, first, last, more=0):
    logits = np.zeros((2, len(inputs.ids) + more))
    logits[0, first], logits[1, last] = 9, 9
    return logits


def test_the_answer_is_the_text_of_the_span():
    found = question_inputs(QUESTION, CONTEXT, None, CHARACTERS, SPECIAL, 20, False)
    answer = answer_of(logits_for(found, 6, 7), found, CONTEXT)
    assert (answer.text, answer.start) == ("dd", 2) and answer.probability == pytest.approx((1 / (1 + 10 * np.exp(-9)))**2)


def test_an_answer_lies_in_the_text_and_not_in_the_question_or_the_padding():
    found = question_inputs(QUESTION, CONTEXT, None, CHARACTERS, SPECIAL, 20, False)
    logits = logits_for(found, 1, 12, more=3)                      # the question's first token, and padding
    logits[0, 6], logits[1, 7] = 5, 5
    assert answer_of(logits, found, CONTEXT).text == "dd"


def test_no_answer_is_found_where_it_is_likelier_than_every_span():
    found = question_inputs(QUESTION, CONTEXT, None, CHARACTERS, SPECIAL, 20, False)
    assert answer_of(logits_for(found, 0, 0), found, CONTEXT)[:2] == ("", -1)


def test_the_space_in_a_token_is_no_part_of_the_answer():
    tokenizer = tokenizer_of_merges([(ord(" "), ord("d")), (256, ord("d"))])
    found = question_inputs(QUESTION, CONTEXT, ANSWER, tokenizer, None, 20, False)
    assert tokenizer.decode(found.ids[found.targets[0]:found.targets[1] + 1]) == " dd"
    assert answer_of(logits_for(found, *found.targets), found, CONTEXT)[:2] == ("dd", 2)


@given(seeds)
def test_an_answer_is_found_where_its_two_logits_have_a_larger_sum_than_those_of_no_answer(seed):
    found = question_inputs(QUESTION, CONTEXT, None, CHARACTERS, SPECIAL, 20, False)
    logits, = draw(seed, (2, len(IDS)))
    places = range(found.start, found.start + len(found.offsets))
    i, j = max(((i, j) for i in places for j in places if i <= j), key=lambda span: logits[0, span[0]] + logits[1, span[1]])
    logits[:, 0] += (logits[0, i] + logits[1, j] - logits[:, 0].sum()) / 2         # now the two sums are equal
    for more, is_answer in ((-1e-9, True), (1e-9, False)):
        logits[seed % 2, 0] += more
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        answer = answer_of(logits, found, CONTEXT)
        assert (answer.start >= 0) == is_answer
        assert answer.probability == pytest.approx(shares[0, i if is_answer else 0] * shares[1, j if is_answer else 0])
        logits[seed % 2, 0] -= more
