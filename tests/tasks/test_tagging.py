"""Words with tags as sequences of tokens, and back."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.layers.cross_entropy import IGNORED
from npgpt.tasks.inputs import ABSENT, SpecialIds
from npgpt.tasks.tagging import tagged_inputs, tags_of
from npgpt.text.byte_pair_training import tokenizer_of_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.word_training import train_word_piece

CHARACTERS = CharacterTokenizer("abc ")
SPECIAL = SpecialIds(4, 5, 6, 7)
WORDS, TAGS = ["ab", "c", "abc"], [0, 1, 2]
#          [start] a  b  _  c  _  a  b  c [classify]
IDS = [4, 0, 1, 3, 2, 3, 0, 1, 2, 6]


@pytest.mark.parametrize("causal, positions", [(False, [1, 4, 6]), (True, [2, 4, 8])])
def test_the_first_token_of_a_word_carries_its_tag_and_the_last_where_only_the_left_is_seen(causal, positions):
    found = tagged_inputs(WORDS, TAGS, CHARACTERS, SPECIAL, 20, causal)
    assert found.ids.tolist() == IDS and found.positions.tolist() == positions and not found.cut
    assert found.targets[positions].tolist() == TAGS and (found.targets != IGNORED).sum() == 3


def test_without_special_tokens_the_text_stands_alone():
    found = tagged_inputs(WORDS, TAGS, CHARACTERS, None, 20, False)
    assert found.ids.tolist() == IDS[1:-1] and found.positions.tolist() == [0, 3, 5]


def test_the_space_before_a_word_is_a_part_of_its_token():
    tokenizer = tokenizer_of_merges([(ord(" "), ord("c")), (ord("a"), ord("b"))])
    found = tagged_inputs(WORDS, TAGS, tokenizer, None, 20, False)
    assert [tokenizer.decode([i]) for i in found.ids[found.positions]] == ["ab", " c", "ab"]


@given(st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=6), st.integers(3, 30), st.booleans())
def test_a_text_that_is_too_long_loses_the_words_at_its_end(words, context, causal):
    tags = [i % 3 for i in range(len(words))]
    if causal and len(words[0]) > context - 2:                     # no word is left
        with pytest.raises(InputError, match="has no token in a context of"):
            tagged_inputs(words, tags, CHARACTERS, SPECIAL, context, causal)
        return
    whole = tagged_inputs(words, tags, CHARACTERS, SPECIAL, 99, causal)
    found = tagged_inputs(words, tags, CHARACTERS, SPECIAL, context, causal)
    assert len(found.ids) == min(context, len(whole.ids)) and found.cut == (context < len(whole.ids))
    expected = np.where(whole.positions < context - 1, whole.positions, ABSENT)
    assert found.positions.tolist() == expected.tolist()
    kept = expected[expected != ABSENT]
    assert found.targets[kept].tolist() == tags[:len(kept)] and (found.targets != IGNORED).sum() == len(kept)


def test_a_word_has_the_likeliest_tag_of_its_token_and_o_where_it_was_cut():
    found = tagged_inputs(WORDS, None, CHARACTERS, SPECIAL, 6, False)
    logits = np.zeros((len(found.ids), 2))
    logits[found.positions[0], 1] = logits[found.positions[1], 0] = 1
    assert found.positions.tolist() == [1, 4, ABSENT] and tags_of(logits, found, ("B-X", "I-X")) == ("I-X", "B-X", "O")
    assert (found.targets == IGNORED).all()


def test_a_word_without_a_token_has_no_tag():
    found = tagged_inputs(["the", "\0", "cat"], [0, 1, 2], train_word_piece("the cat " * 5, 40), None, 9, False)
    assert found.positions[1] == ABSENT and (found.targets != IGNORED).sum() == 2
