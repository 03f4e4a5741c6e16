"""BERT's tokenizer, compared with BertTokenizer of transformers: golden/make.py."""
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from helpers import damaged
from npgpt.errors import InputError
from npgpt.text.base_tokenizer import TOKENIZER_FILE
from npgpt.text.tokenizer import holds_tokenizer, load_tokenizer
from npgpt.text.word_piece import CONFIG, SPECIAL, VOCABULARY_TEXT, WordPieceTokenizer

GOLDEN = Path(__file__).parent / "golden" / "bert"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
TOKENS = [*SPECIAL.values(), "un", "##aff", "##able", "##a", "a", "##ff", ".", "'", "b"]


def small():
    return WordPieceTokenizer({token: i for i, token in enumerate(TOKENS)})


def tokens_of(text):
    return [TOKENS[i] for i in small().encode(text)]


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(GOLDEN, tmp_path / "bert"))


def change(folder, alter):
    description = json.loads((folder / TOKENIZER_FILE).read_text("utf-8"))
    alter(description)
    (folder / TOKENIZER_FILE).write_text(json.dumps(description))


def only_vocabulary(folder, config=None, line_break="\n"):
    """Replace the other files by vocab.txt, as in Google's repository, and possibly tokenizer_config.json."""
    vocabulary = json.loads((folder / TOKENIZER_FILE).read_text("utf-8"))["model"]["vocab"]
    for file in folder.iterdir():
        file.unlink()
    (folder / VOCABULARY_TEXT).write_bytes("".join(token + line_break for token in sorted(vocabulary, key=vocabulary.get)).encode())
    if config is not None:
        (folder / CONFIG).write_text(json.dumps(config))


@pytest.mark.parametrize("prepare", [lambda folder: None, only_vocabulary, lambda folder: only_vocabulary(folder, line_break="\r\n"),
                                     lambda folder: load_tokenizer(GOLDEN).save(folder)],
                         ids=["as transformers wrote it", "as vocab.txt", "with Windows line breaks", "saved again"])
def test_texts_have_the_ids_of_transformers_and_ids_the_texts(folder, prepare):
    prepare(folder)
    assert holds_tokenizer(folder)
    tokenizer = load_tokenizer(folder)
    assert [tokenizer.encode(text).tolist() for text in EXPECTED["texts"]] == EXPECTED["ids"]
    assert [tokenizer.decode(ids) for ids in EXPECTED["drawn_ids"]] == EXPECTED["decoded"]
    assert tokenizer.special_tokens == {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}


def test_beside_vocab_txt_tokenizer_config_json_says_whether_capitals_are_kept(folder):
    only_vocabulary(folder, {"do_lower_case": False, "mask_token": {"content": "[MASK]"}})
    tokenizer = load_tokenizer(folder)
    assert [tokenizer.encode(text).tolist() for text in EXPECTED["texts"]] == EXPECTED["ids_cased"] != EXPECTED["ids"]
    tokenizer.save(folder)
    assert [load_tokenizer(folder).encode(text).tolist() for text in EXPECTED["texts"]] == EXPECTED["ids_cased"]


def test_the_longest_part_is_taken_first():
    assert tokens_of("Unaffable. aff") == ["un", "##aff", "##able", ".", "a", "##ff"]


def test_a_word_with_a_part_that_is_not_in_the_vocabulary_is_unknown_as_a_whole():
    assert tokens_of("unx a, unb") == ["[UNK]", "a", "[UNK]", "[UNK]"]


@pytest.mark.parametrize("length, n_tokens", [(100, 100), (101, 1)])
def test_a_word_of_more_than_100_characters_is_unknown(length, n_tokens):
    assert len(tokens_of("a" * length)) == n_tokens


def test_special_tokens_are_no_part_of_plain_text_and_recognised_if_allowed():
    assert tokens_of("[MASK]") == ["[UNK]"] * 3
    assert small().encode("a [MASK]b", ["[MASK]"]).tolist() == [9, 4, 13]


def test_plain_text_never_becomes_a_special_token_even_if_its_name_is_a_word():
    assert WordPieceTokenizer({"[UNK]": 0, "mask": 1, "a": 2}, ["mask"]).encode("a mask").tolist() == [2, 0]


@pytest.mark.parametrize("tokens, text", [
    (["un", "##aff", "##able"], "unaffable"), (["a", "b"], "a b"), (["a", ".", "'", "[MASK]", "b"], "a. ' [MASK] b"),
    (["##aff", "a"], "##aff a"), ([], ""),
])
def test_decoding_puts_spaces_between_words_but_not_before_marks(tokens, text):
    assert small().decode(TOKENS.index(token) for token in tokens) == text


def test_decoding_names_an_id_outside_the_vocabulary():
    with pytest.raises(InputError, match="token id 14 "):
        small().decode([14])


@pytest.mark.parametrize("alter, complaint", [
    (lambda d: d["model"].update(max_input_chars_per_word=10**9), "model.max_input_chars_per_word 1000000000: it must be 100"),
    (lambda d: d["model"].update(continuing_subword_prefix=""), "model.continuing_subword_prefix '': it must be '##'"),
    (lambda d: d["model"].pop("unk_token"), "model.vocab and model.unk_token"),
    (lambda d: d["model"].update(unk_token="[OOV]"), "the special token '[OOV]' is empty or not in the vocabulary"),
    (lambda d: d["model"]["vocab"].pop("a"), "each once"),
    (lambda d: d["model"]["vocab"].update(a=True), "is not an integer"),
    (lambda d: d["decoder"].update(cleanup=False), "only the decoder WordPiece"),
    (lambda d: d["normalizer"].update(strip_accents="no"), "only the normalizer BertNormalizer"),
])
def test_a_wrong_or_unsupported_tokenizer_json_is_refused(folder, alter, complaint):
    change(folder, alter)
    with pytest.raises(InputError) as error:
        load_tokenizer(folder)
    assert str(error.value).startswith(f"{folder / TOKENIZER_FILE}: ") and complaint in str(error.value)


@pytest.mark.parametrize("data, complaint", [
    (b"", "the special token '[UNK]' is empty or not in the vocabulary"),
    (b"[UNK]\na\na\n", "line 3: the token 'a' occurs twice"),
    (b"[UNK]\n\xff\n", "not UTF-8 text: invalid start byte at offset 6"),
])
def test_a_wrong_vocabulary_is_refused(tmp_path, data, complaint):
    (tmp_path / VOCABULARY_TEXT).write_bytes(data)
    with pytest.raises(InputError) as error:
        load_tokenizer(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / VOCABULARY_TEXT}: ") and complaint in str(error.value)


def test_a_vocabulary_that_is_too_large_is_not_read(folder, monkeypatch):
    only_vocabulary(folder)
    monkeypatch.setattr("npgpt.text.word_piece.JSON_LIMIT", 10)
    with pytest.raises(InputError, match=r"vocab.txt: [\d,]+ bytes are too many"):
        load_tokenizer(folder)


@given(st.data())
def test_damaged_files_are_loaded_or_raise_input_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("tokenizer")
    small().save(folder)
    (folder / TOKENIZER_FILE).write_bytes(damaged((folder / TOKENIZER_FILE).read_bytes(), data))
    try:
        tokenizer = load_tokenizer(folder)
    except InputError:
        return
    assert tokenizer.encode("unaffable b").max() < tokenizer.vocab_size
