"""Pre-tokens: how GPT-2 splits a text into words."""
import time

import pytest
from hypothesis import example, given, strategies as st

from npgpt.text.pre_tokens import CHUNK, chunks, pre_tokens, rule
from npgpt.text.unicode_classes import LAST, LAST_OF_BMP

WORDS = ["a", "I", "'s", "'ll", "'", "ß", "模型", "1", "²", "!", "\U0001f600", "\U00020000", "\U0001d7ce", "\ud800"]
SPACES = [" ", "  ", "\n", "\t ", "\xa0", "\u3000", "\x85", "\x1c"]
texts = st.lists(st.sampled_from(WORDS + SPACES)).map("".join) | st.text()


@pytest.mark.parametrize("text, words", [
    ("", []),
    ("Hello world", ["Hello", " world"]),
    ("Hello!! I'm 22, w00t :D", ["Hello", "!!", " I", "'m", " 22", ",", " w", "00", "t", " :", "D"]),
    ("it's we're I've I'll I'd don't", ["it", "'s", " we", "'re", " I", "'ve", " I", "'ll", " I", "'d", " don", "'t"]),
    ("IT'S 'tis 'x '''s", ["IT", "'", "S", " '", "tis", " '", "x", " '''", "s"]),
    ("a  b   c", ["a", " ", " b", "  ", " c"]),
    ("a  1   ! \n\t€", ["a", " ", " 1", "  ", " !", " \n", "\t", "€"]),
    ("a\n\n b\n", ["a", "\n\n", " b", "\n"]),
    ("a\t\tb \n", ["a", "\t", "\t", "b", " \n"]),
    ("   ", ["   "]),
    ("naïve 模型1２½Ⅷ €é", ["naïve", " 模型", "1２½Ⅷ", " €", "é"]),
    ("e\u0301 x\u200d", ["e", "\u0301", " x", "\u200d"]),                  # marks are not letters
    ("a\xa0b \u3000c\x85", ["a", "\xa0", "b", " ", "\u3000", "c", "\x85"]),
    ("a\x1cb \x1f\x1e\n", ["a", "\x1c", "b", " \x1f\x1e", "\n"]),           # whitespace in Python, not in Unicode
    ("ab🤗🤗 🤗\U00020000\U0001d7ce", ["ab", "🤗🤗", " 🤗", "\U00020000", "\U0001d7ce"]),
    ("a\ud83d\ude00 \udcff", ["a", "\ud83d\ude00", " \udcff"]),
])
def test_words_of_gpt2(text, words):
    assert list(pre_tokens(text)) == words


@given(texts)
def test_the_words_joined_are_the_text(text):
    assert "".join(pre_tokens(text)) == text


@given(texts)
def test_the_rule_without_characters_beyond_the_bmp_gives_the_same_words(text):
    short = "".join(character for character in text if ord(character) <= LAST_OF_BMP)
    assert rule(LAST_OF_BMP).findall(short) == rule(LAST).findall(short)


@given(texts, st.integers(1, 9))
@example("a  b", 1)
@example("a b  \n c", 2)
@example("!!\x1c!", 1)
def test_splitting_into_chunks_does_not_change_the_words(text, size):
    pieces = list(chunks(text, size))
    assert "".join(pieces) == text and all(len(piece) >= size for piece in pieces[:-1])
    assert [word for piece in pieces for word in rule(LAST).findall(piece)] == rule(LAST).findall(text)


def test_chunks_of_prose_are_only_a_few_characters_longer_than_chunk():
    assert max(map(len, chunks("some words " * CHUNK))) < CHUNK + 12


@pytest.mark.parametrize("text", ["a", " ", "\n", "'", "1a", " a", "\n ", "\U0001f600"])
def test_splitting_time_does_not_grow_with_the_square_of_the_length(text):
    """A tenth of a second is usual. Quadratic time would be hours."""
    start = time.perf_counter()
    assert sum(map(len, pre_tokens(text * 300_000 + "x"))) == 300_000 * len(text) + 1
    assert time.perf_counter() - start < 10
