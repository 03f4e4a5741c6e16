"""Loading a tokenizer of any kind from a folder."""
import json

import pytest
from hypothesis import given, strategies as st

from helpers import damaged
from npgpt.errors import InputError
from npgpt.text.byte_pair_files import MERGES_FILE, VOCABULARY_FILE
from npgpt.text.byte_pair_training import tokenizer_of_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.tokenizer import TOKENIZER_FILE, holds_tokenizer, load_tokenizer

FIELDS = ["version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
          "post_processor", "decoder", "model"]


def test_a_character_tokenizer_is_recognised(tmp_path):
    CharacterTokenizer("abc").save(tmp_path)
    assert load_tokenizer(tmp_path).vocabulary == ["a", "b", "c"]


def test_a_byte_tokenizer_is_recognised(tmp_path):
    ByteTokenizer().save(tmp_path)
    assert isinstance(load_tokenizer(tmp_path), ByteTokenizer)


def test_a_byte_pair_tokenizer_is_recognised(tmp_path):
    tokenizer = tokenizer_of_merges([(97, 98)])
    tokenizer.save(tmp_path)
    assert load_tokenizer(tmp_path).merges == [("a", "b")]


def test_a_byte_pair_tokenizer_may_have_no_merges(tmp_path):
    tokenizer_of_merges([]).save(tmp_path)
    assert load_tokenizer(tmp_path).special_tokens == {"<|endoftext|>": 256}


@pytest.mark.parametrize("missing, found", [([TOKENIZER_FILE], True), ([TOKENIZER_FILE, VOCABULARY_FILE], False), ([TOKENIZER_FILE, MERGES_FILE], False),
                                            ([VOCABULARY_FILE, MERGES_FILE], True)])
def test_gpt2s_two_files_are_a_tokenizer_only_together(tmp_path, missing, found):
    tokenizer_of_merges([(97, 98)]).save(tmp_path)
    for name in missing:
        (tmp_path / name).unlink()
    assert holds_tokenizer(tmp_path) == found
    if found:
        assert load_tokenizer(tmp_path).encode("ab").tolist() == [256]


def test_tokenizer_json_is_preferred_to_gpt2s_two_files(tmp_path):
    tokenizer_of_merges([(97, 98)]).save(tmp_path)
    CharacterTokenizer("abc").save(tmp_path)
    assert load_tokenizer(tmp_path).vocabulary == ["a", "b", "c"]


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    assert not holds_tokenizer(tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path.name} holds no tokenizer"):
        load_tokenizer(tmp_path)


def test_a_folder_named_tokenizer_json_is_not_a_tokenizer(tmp_path):
    (tmp_path / TOKENIZER_FILE).mkdir()
    assert not holds_tokenizer(tmp_path)


@pytest.mark.parametrize("model", [None, [], {"type": "Unigram"}, {"type": ["WordLevel"]},
                                   {"type": "BPE", "vocab": {"a": 0}, "merges": []}])
def test_unsupported_tokenizers_are_refused(tmp_path, model):
    (tmp_path / TOKENIZER_FILE).write_text(json.dumps({"model": model}))
    with pytest.raises(InputError):
        load_tokenizer(tmp_path)


@given(st.data())
def test_a_damaged_file_is_loaded_or_raises_input_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("tokenizer")
    CharacterTokenizer("abé").save(folder)
    (folder / TOKENIZER_FILE).write_bytes(damaged((folder / TOKENIZER_FILE).read_bytes(), data))
    try:
        assert load_tokenizer(folder).vocab_size == 3
    except InputError:
        pass


@pytest.mark.parametrize("tokenizer", [CharacterTokenizer("ab"), ByteTokenizer(), tokenizer_of_merges([(97, 98)])])
def test_tokenizer_json_has_all_fields_in_the_order_of_hugging_faces_tokenizers(tmp_path, tokenizer):
    tokenizer.save(tmp_path)
    assert list(json.loads((tmp_path / TOKENIZER_FILE).read_text())) == FIELDS
