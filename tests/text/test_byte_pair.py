"""The byte-level BPE tokenizer, compared with a plain implementation of GPT-2's merging."""
import time

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

from npgpt.errors import InputError
from npgpt.text import byte_pair, merging
from npgpt.text.byte_pair import BytePairTokenizer
from npgpt.text.byte_pair_training import count_words, learn_merges, tokenizer_of_merges
from npgpt.text.pre_tokens import pre_tokens
from npgpt.text.raw_bytes import byte_characters
from npgpt.text.vocabulary import SURROGATE

SMALL = "the cat that sat on the mat, the cat's hat; aaaa aaa aaaaaaa naïve naïve 模型模型 123 1234 \n\n \n\n  🤗🤗"
END = "<|endoftext|>"
TRAINED = tokenizer_of_merges(learn_merges(count_words(SMALL)))
texts = st.lists(st.sampled_from([*sorted(set(SMALL)), "<|", "endoftext", "|>", END])).map("".join) | st.text()


def bytes_and(*tokens):
    """A vocabulary of the 256 bytes and the given tokens."""
    return {token: i for i, token in enumerate([*byte_characters(), *tokens])}


def merged_as_gpt2_does(word, tokenizer):
    """encoder.py of openai/gpt-2: merge all occurrences of the pair with the highest priority, until no pair is left."""
    parts = [byte_characters()[byte] for byte in word.encode("utf-8", "surrogatepass")]
    while True:
        pairs = [pair for pair in zip(parts, parts[1:]) if pair in tokenizer.merges]
        if not pairs:
            return [tokenizer.vocabulary.index(part) for part in parts]
        best = min(pairs, key=tokenizer.merges.index)
        merged = []
        while parts:
            take = 2 if tuple(parts[:2]) == best else 1
            merged.append("".join(parts[:take]))
            del parts[:take]
        parts = merged


@given(texts)
@example("aaaaaaaa aaaaaaa")
@example("the cat's hat")
def test_words_are_merged_as_gpt2_does(text):
    expected = [i for word in pre_tokens(text) for i in merged_as_gpt2_does(word, TRAINED)]
    assert TRAINED.encode(text).tolist() == expected


@given(texts)
@example("\udcff")
@example("\ud83d\ude00")
def test_decoding_returns_every_text(text):
    """Also one with lone surrogates, which Python puts into command-line arguments that are not UTF-8."""
    ids = TRAINED.encode(text)
    assert ids.dtype == np.int64 and ids.ndim == 1
    assert TRAINED.decode_bytes(ids).decode("utf-8", "surrogatepass") == text
    if not SURROGATE.search(text):
        assert TRAINED.decode(ids) == text


@given(st.lists(st.integers(0, TRAINED.vocab_size - 1)))
def test_the_bytes_of_ids_are_concatenated(ids):
    data = TRAINED.decode_bytes(ids)
    assert data == b"".join(TRAINED.decode_bytes([i]) for i in ids)
    assert TRAINED.decode(np.array(ids, int)) == data.decode("utf-8", "replace")


def test_the_empty_text_has_no_tokens():
    assert TRAINED.encode("").shape == (0,) and TRAINED.decode([]) == "" and TRAINED.decode_bytes([]) == b""


def test_frequent_words_are_single_tokens():
    assert [TRAINED.decode([i]) for i in TRAINED.encode(" the cat")] == [" the", " cat"]


def test_merges_have_priority_by_their_order_not_by_their_length():
    """In "abc", "bc" is merged before "ab", and then no merge makes "abc"."""
    tokenizer = BytePairTokenizer(bytes_and("bc", "ab", "abc", "Ġab"), [("b", "c"), ("a", "b"), ("ab", "c"), ("Ġ", "ab")])
    assert tokenizer.encode("abc").tolist() == [97, 256]
    assert tokenizer.encode("ab abc ab").tolist() == [257, 32, 97, 256, 259]


def test_equal_pairs_are_merged_from_the_left():
    tokenizer = BytePairTokenizer(bytes_and("aa", "aaaa"), [("a", "a"), ("aa", "aa")])
    assert [tokenizer.encode("a" * n).tolist() for n in range(1, 8)] == [
        [97], [256], [256, 97], [257], [257, 97], [257, 256], [257, 256, 97]]


def test_ids_may_be_in_any_order():
    ids = {token: 300 - i for i, token in enumerate([*byte_characters(), *map(str, range(10, 55))])}
    tokenizer = BytePairTokenizer(ids, [(token[0], token[1]) for token in map(str, range(10, 55))])
    assert tokenizer.encode("12a").tolist() == [300 - 256 - 2, 300 - ord("a")]
    assert tokenizer.decode(tokenizer.encode("1234567890")) == "1234567890"


def test_plain_text_is_never_encoded_as_a_special_token():
    ids = TRAINED.encode(f"the{END}cat")
    assert TRAINED.special_tokens == {END: TRAINED.vocab_size - 1}
    assert TRAINED.special_tokens[END] not in ids and TRAINED.decode(ids) == f"the{END}cat"


@given(st.lists(texts.filter(lambda text: END not in text), min_size=1, max_size=4))
def test_allowed_special_tokens_divide_the_text(parts):
    text = END.join(parts)
    if text.count(END) > len(parts) - 1:                               # two neighbouring parts form another one
        return
    expected = TRAINED.encode(parts[0]).tolist()
    for part in parts[1:]:
        expected += [TRAINED.special_tokens[END], *TRAINED.encode(part)]
    ids = TRAINED.encode(text, [END])
    assert ids.dtype == np.int64 and ids.tolist() == expected
    assert TRAINED.decode_bytes(ids) == text.encode("utf-8", "surrogatepass")


def test_only_allowed_special_tokens_are_recognised_the_longest_first():
    tokenizer = BytePairTokenizer(bytes_and("<a>", "<a>é"), [], ["<a>", "<a>é"])
    text = "<a>é<a>"
    assert tokenizer.encode(text, tokenizer.special_tokens).tolist() == [257, 256]
    assert tokenizer.encode(text, {"<a>"}).tolist() == [256, 0xC3, 0xA9, 256]
    assert tokenizer.decode([257, 256]) == text


@pytest.mark.parametrize("allowed", [["the"], [END, "<pad>"], ["🤗"], [""]])
def test_only_special_tokens_can_be_allowed(allowed):
    with pytest.raises(InputError, match=r"is not a special token; this tokenizer has <\|endoftext\|>$"):
        TRAINED.encode("the", allowed)


@pytest.mark.parametrize("wrong", [-1, TRAINED.vocab_size, 10**30])
def test_an_id_outside_the_vocabulary_is_named(wrong):
    with pytest.raises(InputError, match=f"token id {wrong} is outside the vocabulary of {TRAINED.vocab_size}"):
        TRAINED.decode([65, wrong])


@pytest.mark.parametrize("word", ["a", "ab", "the", "模型", "\U0001f917", "0123456789"])
def test_encoding_time_does_not_grow_with_the_square_of_the_length(word):
    """One or two seconds are usual. Quadratic time would be hours."""
    text = word * (300_000 // len(word))
    start = time.perf_counter()
    assert TRAINED.decode(TRAINED.encode(text)) == text
    assert time.perf_counter() - start < 30


def test_the_cache_of_words_is_bounded(monkeypatch):
    monkeypatch.setattr(merging, "CACHED_WORDS", 3)
    tokenizer = tokenizer_of_merges(learn_merges(count_words(SMALL)))
    for text in (SMALL, "a b c d e f g", "long" * 100):
        assert tokenizer.decode(tokenizer.encode(text)) == text
        assert len(tokenizer._words) <= 3 and "long" * 100 not in tokenizer._words


@pytest.mark.parametrize("vocabulary, merges, special, named", [
    ({}, [], [], "no byte"),
    ({"<x>": 0}, [], ["<x>"], "no byte"),
    (bytes_and() | {"ab": 257}, [("a", "b")], [], "'ab' has the id 257"),
    (bytes_and() | {"ab": 7}, [("a", "b")], [], "'ab' has the id 7"),
    (bytes_and() | {"ab": -1}, [("a", "b")], [], "'ab' has the id -1"),
    (bytes_and() | {"ab": "256"}, [("a", "b")], [], "'ab' is not an integer"),
    (bytes_and() | {"ab": 256.0}, [("a", "b")], [], "'ab' is not an integer"),
    (bytes_and() | {"ab": True}, [("a", "b")], [], "'ab' is not an integer"),
    (bytes_and() | {"ab": [0] * 1000}, [("a", "b")], [], "'ab' is not an integer"),
    (bytes_and() | {"x" * 10**6: 10**400}, [], [], "'xxx"),
    (bytes_and(), [("a", "b")], [], "merge 1, 'a' and 'b': 'ab'"),
    (bytes_and("ab"), [("a", "b"), ("ab", "ab")], [], "merge 2, 'ab' and 'ab': 'abab'"),
    (bytes_and("abc"), [("ab", "c")], [], "merge 1, 'ab' and 'c': 'ab'"),
    (bytes_and("ab"), [("a", "b"), ("a", "b")], [], "merge 2, 'a' and 'b', occurs twice"),
    (bytes_and("ab"), [], [], "'ab' is neither a byte nor special"),
    (bytes_and("ab"), [("a", "b")], ["ab"], "'ab' is a special token"),
    (bytes_and("<x>", "<x>a"), [("<x>", "a")], ["<x>"], "'<x>' is a special token"),
    (bytes_and(), [], ["<x>"], "the special token '<x>'"),
    (bytes_and("\ud800"), [], ["\ud800"], r"the special token '\ud800'"),
    (bytes_and(""), [], [""], "the special token ''"),
    (bytes_and(), [], ["a"], "the special token 'a'"),
    (bytes_and("€"), [], [], "'€' is neither a byte nor special"),
])
def test_an_inconsistent_vocabulary_is_refused_in_a_short_message(vocabulary, merges, special, named):
    with pytest.raises(InputError) as error:
        BytePairTokenizer(vocabulary, merges, special)
    assert named in str(error.value) and len(str(error.value)) < 300


WITHOUT_C = {"a": 0, "b": 1, "ab": 2, "<unk>": 3, "Ġ": 4, "Ã": 5}        # nor most other bytes


@pytest.mark.parametrize("text, ids", [("ab", [2]), ("acb", [0, 3, 1]), ("aé ab", [0, 5, 3, 4, 2]), ("<unk>", [3] * 5)])
def test_each_byte_that_the_vocabulary_lacks_becomes_the_unknown_token(text, ids):
    tokenizer = BytePairTokenizer(WITHOUT_C, [("a", "b")], ["<unk>"], "<unk>")
    assert tokenizer.encode(text).tolist() == ids


def test_unknown_tokens_are_decoded_as_they_are_written():
    tokenizer = BytePairTokenizer(WITHOUT_C, [("a", "b")], ["<unk>"], "<unk>")
    assert tokenizer.decode(tokenizer.encode("abcab")) == "ab<unk>ab"


def test_without_an_unknown_token_the_byte_that_the_vocabulary_lacks_is_named():
    tokenizer = BytePairTokenizer(WITHOUT_C, [("a", "b")], ["<unk>"])
    assert tokenizer.encode("ab a").tolist() == [2, 4, 0]
    with pytest.raises(InputError, match="byte 0xa9 of ' aéc' is not in the vocabulary"):
        tokenizer.encode("ab aéc")
    with pytest.raises(InputError, match="'ab' is not a special token"):
        BytePairTokenizer(WITHOUT_C, [("a", "b")], ["<unk>"], "ab")


@given(texts)
@example(SMALL)
def test_the_pieces_of_a_long_text_are_encoded_like_the_whole(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_pair, "PIECE", 3)
        pieces = list(TRAINED.pieces(text))
    assert "".join(pieces) == text and len(pieces) >= len(text.split()) // 4
    assert [i for piece in pieces for i in TRAINED.encode(piece)] == TRAINED.encode(text).tolist()
