"""The byte tokenizer."""
import json

import pytest
from hypothesis import example, given, strategies as st

from npgpt.errors import InputError
from npgpt.text.raw_bytes import ByteTokenizer, byte_characters
from npgpt.text.tokenizer import load_tokenizer
from npgpt.text.base_tokenizer import TOKENIZER_FILE


@given(st.text(st.characters(codec="utf-8")))
def test_ids_are_the_bytes_of_utf_8_and_decode_undoes_encode(text):
    ids = ByteTokenizer().encode(text)
    assert ids.tolist() == list(text.encode())
    assert ByteTokenizer().decode(ids) == text


@given(st.binary())
def test_every_sequence_of_bytes_is_decoded(data):
    assert ByteTokenizer().decode_bytes(list(data)) == data


@given(st.text())
@example("\udcff")
def test_every_text_can_be_encoded(text):
    """Also one with lone surrogates, which Python puts into command-line arguments that are not UTF-8."""
    tokenizer = ByteTokenizer()
    assert tokenizer.decode_bytes(tokenizer.encode(text)).decode("utf-8", "surrogatepass") == text


def test_bytes_that_are_not_utf_8_become_the_replacement_character():
    assert ByteTokenizer().decode([65, 0xFF, 66]) == "A\ufffdB"


@pytest.mark.parametrize("wrong", [-1, 256])
def test_an_id_that_is_not_a_byte_is_named(wrong):
    with pytest.raises(InputError, match=f"token id {wrong} "):
        ByteTokenizer().decode([65, wrong])


def test_each_byte_is_written_as_one_distinct_character_as_in_gpt2s_files():
    characters = byte_characters()
    assert len(set(characters)) == 256 and all(len(character) == 1 and character.isprintable() for character in characters)
    assert characters[ord("A")] == "A" and characters[ord(" ")] == "Ġ" and characters[ord("\n")] == "Ċ"
    assert characters[0] == "Ā" and characters[0xAD] == "Ń" and characters[0xFF] == "ÿ"


def test_a_saved_tokenizer_is_loaded(tmp_path):
    ByteTokenizer().save(tmp_path)
    assert isinstance(load_tokenizer(tmp_path), ByteTokenizer)


def shift_ids(model):
    model["vocab"] = {character: i + 1 for character, i in model["vocab"].items()}


@pytest.mark.parametrize("damage", [
    lambda model: model.update(type="WordPiece"),
    lambda model: model.update(merges=["a b"]),
    lambda model: model.pop("merges"),
    lambda model: model["vocab"].pop("A"),
    lambda model: model["vocab"].update(AB=256),
    shift_ids,
    lambda model: model.clear(),
])
def test_a_damaged_file_is_refused(tmp_path, damage):
    ByteTokenizer().save(tmp_path)
    description = json.loads((tmp_path / TOKENIZER_FILE).read_text("utf-8"))
    damage(description["model"])
    (tmp_path / TOKENIZER_FILE).write_text(json.dumps(description))
    with pytest.raises(InputError, match=f"{TOKENIZER_FILE}: "):
        load_tokenizer(tmp_path)
