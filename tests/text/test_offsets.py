"""Which characters each token stands for, for every kind of tokenizer."""
import pytest
from hypothesis import given, strategies as st

from npgpt.text.byte_pair_training import count_words, learn_merges, tokenizer_of_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.offsets import encode_with_offsets, tokens_of
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.vocabulary import with_special_tokens
from npgpt.text.word_training import train_word_bpe, train_word_piece

SAMPLE = "Where is Mary's café? In the kitchen, in the naïve 中文 kitchen."
MERGES = [pair for pair, _ in zip(learn_merges(count_words(SAMPLE * 2)), range(30))]
TOKENIZERS = {"characters": with_special_tokens(CharacterTokenizer("abcé "), ["<unk>"]), "bytes": ByteTokenizer(),
              "byte-pair": tokenizer_of_merges(MERGES), "word-piece": train_word_piece(SAMPLE * 3, 60),
              "word-bpe": train_word_bpe(SAMPLE * 3, 60)}
texts = st.text(st.sampled_from("abcé ,.'中\n\u0301kItchen"), max_size=20) | st.just(SAMPLE)


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(text=texts)
def test_ids_are_those_of_encode_and_offsets_go_from_left_to_right(kind, text):
    ids, offsets = encode_with_offsets(text, TOKENIZERS[kind])
    if "\u0301" not in text or "word" not in kind:                 # an accent apart from its letter ends a word
        assert ids.tolist() == TOKENIZERS[kind].encode(text).tolist()
    assert offsets.shape == (len(ids), 2) and all(0 <= start < stop <= len(text) for start, stop in offsets)
    assert sorted(offsets.tolist()) == offsets.tolist() and (offsets[1:, 1] >= offsets[:-1, 1]).all()


@pytest.mark.parametrize("kind", ["bytes", "byte-pair"])
@given(text=texts)
def test_a_token_is_a_part_of_the_characters_that_it_stands_for(kind, text):
    tokenizer = TOKENIZERS[kind]
    for i, (start, stop) in zip(*encode_with_offsets(text, tokenizer)):
        assert tokenizer.token_bytes[i] in text[start:stop].encode()


def test_words_are_divided_at_spaces_and_punctuation():
    text = "Mary's café, 中文"
    _, offsets = encode_with_offsets(text, TOKENIZERS["word-piece"])
    words = [text[start:stop] for start, stop in dict.fromkeys(map(tuple, offsets.tolist()))]
    assert words == ["Mary", "'", "s", "café", ",", "中", "文"]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_tokens_of_a_part_of_a_text(kind):
    start = SAMPLE.index("kitchen")
    ids, offsets = encode_with_offsets(SAMPLE, TOKENIZERS[kind])
    first, last = tokens_of(offsets, start, start + len("kitchen"))
    assert SAMPLE[offsets[first, 0]:offsets[last, 1]].strip() == "kitchen"
    assert first <= last and (offsets[first - 1, 1] <= start) and offsets[last + 1, 0] >= start + 7


def test_what_has_no_token_has_its_first_token_after_its_last():
    _, offsets = encode_with_offsets("a b", TOKENIZERS["word-piece"])
    first, last = tokens_of(offsets, 1, 2)
    assert first > last
