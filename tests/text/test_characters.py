"""The character tokenizer."""
import json

import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.tokenizer import load_tokenizer
from npgpt.text.base_tokenizer import TOKENIZER_FILE

texts = st.text(st.characters(codec="utf-8"), min_size=1)


@given(texts)
def test_decode_undoes_encode(text):
    tokenizer = CharacterTokenizer.of_text(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(texts)
def test_ids_are_indices_into_the_sorted_characters_of_the_text(text):
    tokenizer = CharacterTokenizer.of_text(text)
    assert tokenizer.vocabulary == sorted(set(text))
    assert tokenizer.encode(text).tolist() == [tokenizer.vocabulary.index(character) for character in text]


@given(texts, st.randoms(use_true_random=False))
def test_a_vocabulary_may_have_any_order(text, random):
    vocabulary = sorted(set(text))
    random.shuffle(vocabulary)
    tokenizer = CharacterTokenizer(vocabulary)
    assert tokenizer.encode(text).tolist() == [vocabulary.index(character) for character in text]
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(texts)
def test_bytes_are_the_text_in_utf_8(text):
    tokenizer = CharacterTokenizer.of_text(text)
    assert tokenizer.decode_bytes(tokenizer.encode(text)) == text.encode()


@given(texts)
def test_a_saved_tokenizer_is_loaded(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("tokenizer")
    CharacterTokenizer(reversed(sorted(set(text)))).save(folder)
    assert load_tokenizer(folder).vocabulary == sorted(set(text), reverse=True)


def test_the_empty_text_has_no_tokens():
    tokenizer = CharacterTokenizer("ab")
    assert tokenizer.encode("").shape == (0,) and tokenizer.decode([]) == ""


@pytest.mark.parametrize("text, complaint", [
    ("abxa?", "'x' at position 2 "),
    ("\U0001f600", "'\U0001f600' at position 0 "),
    ("b\n", r"'\n' at position 1 "),
    ("a\0", r"'\x00' at position 1 "),
    ("\ud800", r"'\ud800' at position 0 "),
])
def test_an_unknown_character_is_named_with_its_position(text, complaint):
    with pytest.raises(InputError) as error:
        CharacterTokenizer("ab").encode(text)
    assert complaint in str(error.value)


@pytest.mark.parametrize("wrong", [-1, 2, 10**30])
def test_an_id_outside_the_vocabulary_is_named(wrong):
    with pytest.raises(InputError, match=f"token id {wrong} "):
        CharacterTokenizer("ab").decode([0, 1, wrong])


@pytest.mark.parametrize("vocabulary", ["", "aba", "a\udfff", "\ud800"])
def test_an_empty_vocabulary_duplicates_and_surrogates_are_refused(vocabulary):
    with pytest.raises(InputError, match="vocabulary"):
        CharacterTokenizer(vocabulary)


def test_tokenizer_json_has_a_word_level_model_of_single_characters(tmp_path):
    CharacterTokenizer("b\né").save(tmp_path)
    description = json.loads((tmp_path / TOKENIZER_FILE).read_text("utf-8"))
    assert description["model"] == {"type": "WordLevel", "vocab": {"b": 0, "\n": 1, "é": 2}, "unk_token": ""}


@pytest.mark.parametrize("model", [
    None, [], "WordLevel", {},
    {"type": "BPE", "vocab": {"a": 0}},
    {"type": "WordLevel"},
    {"type": "WordLevel", "vocab": ["a"]},
    {"type": "WordLevel", "vocab": {}},
    {"type": "WordLevel", "vocab": {"ab": 0}},
    {"type": "WordLevel", "vocab": {"": 0}},
    {"type": "WordLevel", "vocab": {"a": 1}},
    {"type": "WordLevel", "vocab": {"a": 0, "b": 0}},
    {"type": "WordLevel", "vocab": {"a": 0, "b": 2}},
    {"type": "WordLevel", "vocab": {"a": -1, "b": 0}},
    {"type": "WordLevel", "vocab": {"a": 0.0}},
    {"type": "WordLevel", "vocab": {"a": False}},
    {"type": "WordLevel", "vocab": {"a": "0"}},
    {"type": "WordLevel", "vocab": {"a": None}},
])
def test_a_file_that_is_not_a_character_tokenizer_is_refused(tmp_path, model):
    (tmp_path / TOKENIZER_FILE).write_text(json.dumps({"model": model}))
    with pytest.raises(InputError, match=f"{TOKENIZER_FILE}: "):
        load_tokenizer(tmp_path)
