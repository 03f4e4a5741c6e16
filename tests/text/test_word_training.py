"""Training of the vocabularies of GPT-1 and BERT."""
import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.text.bert_words import BertNormalizer
from npgpt.text.word_training import alphabet, count_words, train_word_bpe, train_word_piece
from npgpt.text import word_bpe, word_piece

TEXT = "low low low low low lower lower newest newest newest newest newest newest widest widest widest"      # Sennrich et al. 2016
texts = st.text("abc ,", max_size=60) | st.text(max_size=40)


def test_merges_are_those_of_the_paper():
    """Its example begins with e s, es t and est </w>; here t</w> is one symbol from the start."""
    assert train_word_bpe(TEXT, 40).merges[:3] == [("e", "s"), ("es", "t</w>"), ("l", "o")]


def test_tokens_are_the_special_ones_the_characters_and_what_merges_make():
    assert train_word_bpe("ab ab, ab", 9).vocabulary == ["<unk>", ",</w>", "a", "a</w>", "b", "b</w>", "ab</w>"]
    assert train_word_piece("ab ab, ab", 12).vocabulary == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##a", "##b", ",", "a", "b", "ab"]


def test_the_vocabulary_has_the_size_that_was_asked_for_if_the_text_has_enough_pairs():
    assert train_word_bpe(TEXT, 28).vocab_size == train_word_piece(TEXT, 28).vocab_size == 28
    assert train_word_bpe(TEXT, 10**9).vocab_size < 60


@pytest.mark.parametrize("train", [train_word_bpe, train_word_piece])
def test_a_vocabulary_that_is_too_small_for_the_characters_is_refused(train):
    smallest = train("ab", 100).vocab_size
    assert train("ab", smallest).vocab_size == smallest
    with pytest.raises(InputError, match=f"a vocabulary of {smallest - 1} tokens is too small: {smallest} are needed"):
        train("ab", smallest - 1)


@pytest.mark.parametrize("train", [train_word_bpe, train_word_piece])
@given(text=texts)
def test_the_text_has_no_unknown_tokens_and_is_decoded_to_its_words(train, text):
    tokenizer = train(text, 1000)
    ids = tokenizer.encode(text)
    assert not set(ids.tolist()) & set(tokenizer.special_tokens.values())
    assert tokenizer.decode(ids).split() == BertNormalizer().normalize(tokenizer.decode(ids)).split()
    assert "".join(tokenizer.decode(ids).split()) == "".join(BertNormalizer().words(text))


@given(texts)
def test_a_word_is_merged_as_in_training(text):
    """The merges, applied one after the other, give what encode gives."""
    tokenizer = train_word_bpe(text, 200)
    for word in count_words(text):
        tokens = word_bpe.symbols(word)
        for pair in tokenizer.merges:
            i = 0
            while i < len(tokens) - 1:
                if tuple(tokens[i:i + 2]) == pair:
                    tokens[i:i + 2] = ["".join(pair)]
                i += 1
        assert [tokenizer.vocabulary[i] for i in tokenizer.encode(word)] == tokens


def test_characters_inside_words_can_stand_at_either_end():
    assert alphabet(["ab", "!"], word_bpe.symbols) == ["!</w>", "a", "a</w>", "b", "b</w>"]
    assert alphabet(["ab", "!"], word_piece.symbols) == ["!", "##a", "##b", "a", "b"]
    assert "<unk>" not in [train_word_bpe("ab ab", 20).vocabulary[i] for i in train_word_bpe("ab ab", 20).encode("ba bb")]


def test_progress_is_reported_after_each_merge():
    told = []
    train_word_bpe(TEXT, 25, lambda done, wanted: told.append((done, wanted)))
    assert told == [(i, len(told)) for i in range(1, len(told) + 1)] and told
    train_word_bpe("ab", 20, lambda done, wanted: pytest.fail("no pair occurs twice"))
