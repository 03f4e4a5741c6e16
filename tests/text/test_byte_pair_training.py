"""Training of a BPE vocabulary, compared with a plain implementation that counts all pairs again for every merge."""
import time
from collections import Counter
from itertools import islice

import pytest
from hypothesis import example, given, strategies as st

from npgpt.text.byte_pair_training import count_words, learn_merges, tokenizer_of_merges
from npgpt.text.corpus import python_documentation

texts = st.text("aab cd\n", max_size=60) | st.text(max_size=60)


def learned_plainly(words):
    words = {tuple(word.encode("utf-8", "surrogatepass")): times for word, times in words.items()}
    new = 256
    while True:
        counts = Counter()
        for word, times in words.items():
            for pair in zip(word, word[1:]):
                counts[pair] += times
        best = max(counts, key=counts.get, default=None)               # of equally frequent pairs, the first
        if best is None or counts[best] < 2:
            return
        yield best
        words = {merged(word, best, new): times for word, times in words.items()}
        new += 1


def merged(word, pair, new):
    result = []
    while word:
        take = 2 if word[:2] == pair else 1
        result.append(new if take == 2 else word[0])
        word = word[take:]
    return tuple(result)


@given(texts)
@example("aaaaaaa")
@example("aaabaaa aaaab aab aaaaaaa")
@example("abababab bababa")
@example("aaaa\ud800\ud800")
def test_merges_are_those_of_the_plain_implementation(text):
    words = count_words(text)
    assert list(learn_merges(words)) == list(learned_plainly(words))


@given(st.dictionaries(st.text("abc", min_size=1, max_size=8), st.integers(1, 5), max_size=8))
def test_words_count_as_often_as_they_occur(words):
    assert list(learn_merges(words)) == list(learned_plainly(words))


def test_merges_of_prose_are_those_of_the_plain_implementation():
    words = count_words(python_documentation()[:50_000])
    assert list(islice(learn_merges(words), 60)) == list(islice(learned_plainly(words), 60))


def test_words_are_counted_as_gpt2_splits_them():
    assert count_words("the cat, the hat") == {"the": 1, " cat": 1, ",": 1, " the": 1, " hat": 1}


@pytest.mark.parametrize("text, merges", [
    ("", []),
    ("abc", []),
    ("abab", [(97, 98)]),
    ("aaa", [(97, 97)]),                                               # three equal bytes are two pairs
    ("ababab", [(97, 98), (256, 256)]),
    ("zy zy ab ab", [(122, 121), (32, 97), (257, 98)]),
])
def test_the_most_frequent_pair_is_first_and_of_equally_frequent_ones_the_first_in_the_text(text, merges):
    assert list(learn_merges(count_words(text))) == merges


@given(texts)
def test_the_tokenizer_makes_the_merges_that_were_learned(text):
    """Each merge adds a token, and words are encoded as after training."""
    merges = list(learn_merges(count_words(text)))
    tokenizer = tokenizer_of_merges(merges)
    assert tokenizer.vocab_size == 256 + len(merges) + 1
    assert tokenizer.vocabulary[-1] == "<|endoftext|>" and list(tokenizer.special_tokens) == ["<|endoftext|>"]
    assert tokenizer.decode_bytes(tokenizer.encode(text)) == text.encode("utf-8", "surrogatepass")
    for word in count_words(text):
        expected = tuple(word.encode("utf-8", "surrogatepass"))
        for n, pair in enumerate(merges):
            expected = merged(expected, pair, 256 + n)
        assert tuple(tokenizer.encode(word)) == expected


def test_merges_are_yielded_one_by_one():
    assert next(learn_merges({"ab" * 1000: 10**12})) == (97, 98)


@pytest.mark.parametrize("word", ["a", "ab", "abcdefghij"])
def test_training_time_does_not_grow_with_the_square_of_the_length(word):
    """One second is usual. Quadratic time would be hours."""
    start = time.perf_counter()
    merges = list(learn_merges({word * (200_000 // len(word)): 1}))
    assert 10 < len(merges) < 40 and time.perf_counter() - start < 20
