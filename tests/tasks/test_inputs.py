"""Input transformations: figure 1 of Radford et al. (2018)."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.tasks.inputs import ABSENT, SPECIAL, Inputs, SpecialIds, padded, shortened, special_ids, transformed
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.examples import ChoiceExample, PairExample, TextExample
from npgpt.text.vocabulary import with_special_tokens

S, D, C, P = SPECIAL_IDS = SpecialIds(90, 91, 92, 93)
lengths = st.lists(st.integers(0, 20), min_size=1, max_size=2)


def encode(text):
    """a is 1, b is 2, ..."""
    return np.array([ord(character) - 96 for character in text], int)


def sequences(example, context=20, both_orders=False, special=SPECIAL_IDS):
    made = transformed(example, 0, encode, special, context, both_orders)
    return [sequence.tolist() for sequence in made.sequences], made.cut


def test_a_text_is_framed():
    assert sequences(TextExample("abc", 0, 1)) == ([[S, 1, 2, 3, C]], False)


def test_two_texts_have_a_delimiter_between_them():
    pair = PairExample("ab", "c", 0, 1)
    assert sequences(pair) == ([[S, 1, 2, D, 3, C]], False)
    assert sequences(pair, both_orders=True) == ([[S, 1, 2, D, 3, C], [S, 3, D, 1, 2, C]], False)


def test_each_choice_follows_the_context():
    assert sequences(ChoiceExample("ab", ("c", "de", "f"), 0, 1)) == (
        [[S, 1, 2, D, 3, C], [S, 1, 2, D, 4, 5, C], [S, 1, 2, D, 6, C]], False)


def test_without_special_tokens_texts_are_joined():
    assert sequences(TextExample("abc", 0, 1), special=None) == ([[1, 2, 3]], False)
    assert sequences(PairExample("ab", "c", 0, 1), special=None) == ([[1, 2, 3]], False)


def test_long_texts_are_cut_and_this_is_told():
    assert sequences(TextExample("abcdef", 0, 1), 5) == ([[S, 1, 2, 3, C]], True)
    assert sequences(TextExample("abc", 0, 1), 5) == ([[S, 1, 2, 3, C]], False)
    assert sequences(PairExample("abcdef", "g", 0, 1), 7) == ([[S, 1, 2, 3, D, 7, C]], True)
    assert sequences(ChoiceExample("a", ("b", "cdefgh"), 0, 1), 6) == ([[S, 1, D, 2, C], [S, 1, D, 3, 4, C]], True)


@given(lengths, st.integers(2, 30))
def test_parts_are_cut_as_transformers_longest_first_does(counts, room):
    """As tokenizers' truncate_encodings: if the shorter one has at most half of the room, the longer one has the rest;
    otherwise each has half, and the odd token is the longer one's.
    """
    kept = [len(part) for part in shortened([np.arange(count) for count in counts], room)]
    if sum(counts) <= room:
        assert kept == counts
    elif len(counts) == 1:
        assert kept == [room]
    else:
        short, long = sorted(counts)
        expected = (short, room - short) if short <= room // 2 else (room // 2, room - room // 2)
        assert kept == list(expected if counts[0] <= counts[1] else reversed(expected))


def test_the_beginning_of_a_part_is_kept():
    assert [part.tolist() for part in shortened([np.arange(5), np.arange(3)], 5)] == [[0, 1, 2], [0, 1]]


def test_a_context_without_room_and_a_text_without_tokens_are_refused():
    with pytest.raises(InputError, match="a context of 3 tokens is too short"):
        sequences(PairExample("a", "b", 0, 1), 3)
    with pytest.raises(InputError, match="has no tokens"):
        sequences(TextExample("", 0, 1), special=None)


def test_sequences_are_filled_up_at_their_ends():
    examples = [Inputs([np.array([5, 6]), np.array([7])], 0, False), Inputs([np.array([8, 9, 4])], 0, False)]
    ids, ends = padded(examples, 0)
    assert ids.tolist() == [[[5, 6, 0], [7, 0, 0]], [[8, 9, 4], [0, 0, 0]]] and ends.tolist() == [[1, 0], [2, ABSENT]]


def test_the_ids_of_special_tokens_are_the_tokenizers():
    plain = CharacterTokenizer("ab")
    assert special_ids(plain) is None and special_ids(with_special_tokens(plain, SPECIAL[:3])) is None
    assert special_ids(with_special_tokens(plain, ["<unk>", *SPECIAL])) == (3, 4, 5, 6)
