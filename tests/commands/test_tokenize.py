"""npgpt tokenize"""
import io
import json
import re
import sys

import pytest
from hypothesis import example, given, strategies as st

from npgpt.commands.tokenize import SAMPLE
from npgpt.text.byte_pair_training import tokenizer_of_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.shown import visible
from npgpt.text.base_tokenizer import TOKENIZER_FILE
from npgpt.text.word_training import train_word_bpe


@pytest.fixture
def byte_pairs(tmp_path):
    """A folder with a tokenizer that knows "ab" and two spaces, and no model."""
    (tmp_path / "pairs").mkdir()
    tokenizer_of_merges([(97, 98), (32, 32)]).save(tmp_path / "pairs")
    return tmp_path / "pairs"


def shown(outcome):
    """[(id, token as it is shown), ...], and the line below"""
    assert outcome.status == 0 and outcome.err == ""
    *lines, last = outcome.out.splitlines()
    return [(int(i), token) for i, token in (line.split(maxsplit=1) for line in lines)], last


def test_each_token_is_shown_with_its_id(npgpt, byte_pairs):
    tokens, last = shown(npgpt("tokenize", "ab  \n\\né", "--model", byte_pairs))
    assert tokens == [(256, "ab"), (257, "␣␣"), (10, r"\n"), (92, r"\\"), (110, "n"), (195, r"\xc3"), (169, r"\xa9")]
    assert last == "7 tokens, 8 characters, 9 bytes"


def test_words_are_shown_with_the_spaces_that_they_bring(npgpt, tmp_path):
    train_word_bpe("the gradient is magic", 40).save(tmp_path)
    tokens, _ = shown(npgpt("tokenize", "Is  the", "--model", tmp_path))
    assert [token for _, token in tokens] == ["i", "s␣", "t", "h", "e␣"]
    assert [token for _, token in shown(npgpt("tokenize", "--model", tmp_path))[0]][:4] == ["t", "h", "e␣", "g"]       # SAMPLE


def test_ids_are_aligned(npgpt, byte_pairs):
    assert npgpt("tokenize", "abc", "--model", byte_pairs).out.startswith("256  ab\n 99  c\n")


def test_a_file_is_split(npgpt, byte_pairs, text):
    tokens, last = shown(npgpt("tokenize", "--file", text, "--model", byte_pairs))
    assert [token for _, token in tokens[:10]] == list("the␣quick␣") and last == "440 tokens, 440 characters, 440 bytes"


def test_standard_input_is_split(npgpt, byte_pairs, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\ufeffab é".encode())))
    tokens, last = shown(npgpt("tokenize", "--file", "-", "--model", byte_pairs))
    assert [i for i, _ in tokens] == [256, 32, 195, 169] and last == "4 tokens, 4 characters, 5 bytes"


def test_a_models_tokenizer_is_used(npgpt, model):
    tokens, last = shown(npgpt("tokenize", "fox", "--model", model))
    assert [token for _, token in tokens] == ["f", "o", "x"] and last == "3 tokens, 3 characters, 3 bytes"


def test_vocab_json_and_merges_txt_are_enough(npgpt, byte_pairs):
    (byte_pairs / TOKENIZER_FILE).unlink()
    assert shown(npgpt("tokenize", "ab", "--model", byte_pairs)) == ([(256, "ab")], "1 token, 2 characters, 2 bytes")


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), tokenizer_of_merges([(97, 98)]), CharacterTokenizer.of_text(SAMPLE)])
def test_without_arguments_the_model_in_out_reads_a_sample(npgpt, tmp_path, tokenizer):
    (tmp_path / "out").mkdir()
    tokenizer.save(tmp_path / "out")
    tokens, last = shown(npgpt("tokenize"))
    assert [i for i, _ in tokens] == tokenizer.encode(SAMPLE).tolist() and f" {len(SAMPLE)} characters" in last


@pytest.mark.parametrize("arguments, expected", [([], SAMPLE), (["the parameters 🤗"], "the parameters 🤗")])
def test_without_a_model_a_vocabulary_is_learned_and_a_message_says_so(npgpt, arguments, expected):
    outcome = npgpt("tokenize", *arguments)
    tokens, last = shown(outcome._replace(err=""))
    assert b"".join(undone(token) for _, token in tokens) == expected.encode() and f" {len(expected)} characters" in last
    assert len(tokens) < len(expected) and "1,000 merges of Python's own documentation" in outcome.err


def test_characters_of_the_sample_that_a_small_vocabulary_lacks_are_left_out(npgpt, model):
    model.rename("out")
    tokens, _ = shown(npgpt("tokenize"))
    assert "".join(token for _, token in tokens).startswith("he␣gradient␣isnt␣magic␣␣␣")


def test_an_empty_text_has_no_tokens(npgpt, byte_pairs):
    assert npgpt("tokenize", "", "--model", byte_pairs).out == "0 tokens, 0 characters, 0 bytes\n"


def test_an_argument_that_is_not_utf_8_is_shown_as_bytes(npgpt, byte_pairs):
    tokens, last = shown(npgpt("tokenize", "\udcff", "--model", byte_pairs))
    assert [token for _, token in tokens] == [r"\xed", r"\xb3", r"\xbf"] and last == "3 tokens, 1 character, 3 bytes"


@given(st.binary(max_size=12) | st.text(max_size=8).map(str.encode))
@example("\x80\xad\u2028\U000e0001\x1b\\x80".encode() + b"\x80")
def test_every_token_is_shown_on_one_line_and_differs_from_all_others(token):
    line = visible(token)
    assert line.isprintable() and " " not in line
    if "␣".encode() not in token:
        assert undone(line) == token


def undone(line):
    """The bytes that are shown."""
    return b"".join(bytes_of(part) for part in re.findall(r"\\x..|\\u....|\\U........|\\.|.", line))


def bytes_of(part):
    if part.startswith(r"\x"):
        return bytes.fromhex(part[2:])
    return (" " if part == "␣" else part if len(part) == 1 else part.encode().decode("unicode_escape")).encode()


@pytest.mark.parametrize("option", ["--model", "--tokenizer-dir"])
def test_a_folder_without_a_tokenizer_is_refused(refused, tmp_path, option):
    (tmp_path / "empty").mkdir()
    assert ("empty holds no tokenizer: neither tokenizer.json nor vocab.json with merges.txt"
            in refused("tokenize", "text", option, "empty"))


def test_a_text_and_a_file_cannot_be_combined(refused, text, byte_pairs):
    assert "give TEXT or --file, not both" in refused("tokenize", "text", "--file", text, "--model", byte_pairs)


@pytest.mark.parametrize("arguments, complaint", [
    (["--file", "nowhere"], "nowhere: No such file or directory"),
    (["--file", "pairs"], "pairs: Is a directory"),
    (["a", "b"], "unrecognized arguments: b"),
])
def test_an_argument_that_makes_no_sense_is_refused(refused, byte_pairs, arguments, complaint):
    assert complaint in refused("tokenize", "--model", byte_pairs, *arguments)


def test_a_character_that_the_vocabulary_lacks_is_named(refused, model):
    assert "the character 'F' at position 4 is not in the vocabulary" in refused("tokenize", "the Fox", "--model", model)


def test_a_damaged_tokenizer_is_refused_with_the_file_named(refused, byte_pairs):
    description = json.loads((byte_pairs / TOKENIZER_FILE).read_text("utf-8"))
    description["model"]["merges"].append("x y")
    (byte_pairs / TOKENIZER_FILE).write_text(json.dumps(description))
    assert f"{byte_pairs / TOKENIZER_FILE}: merge 3, 'x' and 'y': 'xy' is not in the vocabulary" in refused(
        "tokenize", "text", "--model", byte_pairs)
