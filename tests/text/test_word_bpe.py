"""GPT-1's tokenizer, compared with OpenAIGPTTokenizer of transformers: golden/make.py."""
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from helpers import damaged
from npgpt.errors import InputError
from npgpt.text.base_tokenizer import TOKENIZER_FILE
from npgpt.text.byte_pair_files import MERGES_FILE, VOCABULARY_FILE
from npgpt.text.corpus import encode_corpus
from npgpt.text.tokenizer import load_tokenizer
from npgpt.text.word_bpe import WordBPETokenizer, is_of_words

GOLDEN = Path(__file__).parent / "golden" / "gpt1"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
TOKENS = ["<unk>", "l", "o", "w", "w</w>", "e", "r</w>", "<</w>", "lo", "er</w>", "low</w>", "lower</w>", "low"]
MERGES = [("l", "o"), ("e", "r</w>"), ("lo", "w</w>"), ("lo", "w"), ("low", "er</w>")]


def small():
    return WordBPETokenizer({token: i for i, token in enumerate(TOKENS)}, MERGES)


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(GOLDEN, tmp_path / "gpt1"))


def change(folder, alter):
    description = json.loads((folder / TOKENIZER_FILE).read_text("utf-8"))
    alter(description)
    (folder / TOKENIZER_FILE).write_text(json.dumps(description))


def divide(folder):
    """Replace tokenizer.json by vocab.json and merges.txt, as in OpenAI's repository."""
    model = json.loads((folder / TOKENIZER_FILE).read_text("utf-8"))["model"]
    (folder / TOKENIZER_FILE).unlink()
    (folder / VOCABULARY_FILE).write_text(json.dumps(model["vocab"]))
    (folder / MERGES_FILE).write_text("\n".join(["#version: 0.2", *map(" ".join, model["merges"]), ""]), "utf-8")


@pytest.mark.parametrize("prepare", [lambda folder: None, divide, lambda folder: load_tokenizer(GOLDEN).save(folder)],
                         ids=["as transformers wrote it", "as vocab.json and merges.txt", "saved again"])
def test_texts_have_the_ids_of_transformers_and_ids_the_texts(folder, prepare):
    prepare(folder)
    tokenizer = load_tokenizer(folder)
    assert [tokenizer.encode(text).tolist() for text in EXPECTED["texts"]] == EXPECTED["ids"]
    assert [tokenizer.decode(ids) for ids in EXPECTED["drawn_ids"]] == EXPECTED["decoded"]
    assert tokenizer.special_tokens == {"<unk>": 0}


def test_characters_are_merged_to_the_end_of_the_word():
    words = [[TOKENS[i] for i in small().encode(text)] for text in ("low", "lower", "Löwer", "wl", "lo")]
    assert words == [["low</w>"], ["lower</w>"], ["lower</w>"], ["w", "<unk>"], ["l", "<unk>"]]


def test_each_unknown_character_is_one_unknown_token():
    assert small().encode("xx low").tolist() == [0, 0, TOKENS.index("low</w>")]


def test_a_token_at_the_end_of_a_word_brings_the_space_after_it():
    tokenizer = small()
    ids = tokenizer.encode("low  LOWER\n")
    assert tokenizer.decode_bytes(ids) == b"low lower " and tokenizer.decode(ids) == "low lower"
    assert tokenizer.decode_bytes([TOKENS.index("lo")]) == b"lo" and tokenizer.decode([]) == ""


@given(st.text("low er,\n\x85", max_size=40))
def test_a_long_text_is_encoded_in_pieces_like_the_whole(text):
    tokenizer = small()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("npgpt.text.word_tokenizer.PIECE", 3)
        corpus = encode_corpus(text, tokenizer)
        assert tokenizer.encode(text).tolist() == [i for piece in tokenizer.pieces(text) for i in tokenizer.encode(piece)]
    assert sum(map(len, corpus)) >= 0


@pytest.mark.parametrize("alter", [
    lambda d: d["model"].update(merges=[" ".join(pair) for pair in d["model"]["merges"]]),
    lambda d: d["model"].update(continuing_subword_prefix=None, dropout=0.0),
    lambda d: d["model"].pop("fuse_unk"),
    lambda d: d["normalizer"].pop("strip_accents"),
    lambda d: d.update(post_processor=None, padding={"length": 9}),
])
def test_equivalent_tokenizer_jsons_are_read(folder, alter):
    change(folder, alter)
    assert [load_tokenizer(folder).encode(text).tolist() for text in EXPECTED["texts"]] == EXPECTED["ids"]


@pytest.mark.parametrize("alter, complaint", [
    (lambda d: d["model"].update(dropout=0.1), "model.dropout 0.1: it must be None"),
    (lambda d: d["model"].update(fuse_unk=True), "model.fuse_unk True: it must be False"),
    (lambda d: d["model"].update(type=["BPE"]), "model.type a list of 1"),
    (lambda d: d["model"].update(unk_token=None), "model.vocab and model.unk_token"),
    (lambda d: d["model"].update(unk_token="<oov>"), "the special token '<oov>' is empty or not in the vocabulary"),
    (lambda d: d["model"].update(vocab=[]), "model.vocab and model.unk_token"),
    (lambda d: d["model"].update(merges={}), "model.merges is missing or not a list"),
    (lambda d: d["model"]["merges"].append("a b c"), "expected two tokens separated by a space"),
    (lambda d: d["model"]["merges"].append(["q", "q"]), "is not in the vocabulary"),
    (lambda d: d["model"]["vocab"].update({"zz": 3}), "each once"),
    (lambda d: d["model"]["vocab"].update({"\ud800": 200}), "contains a surrogate"),
    (lambda d: d.update(normalizer=None), "only the normalizer BertNormalizer"),
    (lambda d: d["normalizer"].update(lowercase=1), "only the normalizer BertNormalizer"),
    (lambda d: d["normalizer"].update(another=True), "only the normalizer BertNormalizer"),
    (lambda d: d.update(pre_tokenizer={"type": "Whitespace"}), "only the pre_tokenizer BertPreTokenizer"),
    (lambda d: d["decoder"].update(suffix="@@"), "only the decoder BPEDecoder"),
    (lambda d: d["added_tokens"][0].update(lstrip=True), "does not support the added token '<unk>'"),
    (lambda d: d["added_tokens"].append({"content": "lo", "id": 500, "special": True}), "500"),
])
def test_a_wrong_or_unsupported_tokenizer_json_is_refused(folder, alter, complaint):
    change(folder, alter)
    with pytest.raises(InputError) as error:
        load_tokenizer(folder)
    assert str(error.value).startswith(f"{folder / TOKENIZER_FILE}: ") and complaint in str(error.value)


@pytest.mark.parametrize("merge, complaint",
                         [(("l", "x"), "'x' is not in the vocabulary"), (("o", "l"), "'ol' is not in the vocabulary"),
                                              (("<unk>", "l"), "'<unk>' is a special token")])
def test_a_merge_of_other_tokens_is_refused(merge, complaint):
    with pytest.raises(InputError, match=complaint):
        WordBPETokenizer({token: i for i, token in enumerate(TOKENS)}, [merge])


@given(st.data())
def test_damaged_files_are_loaded_or_raise_input_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("tokenizer")
    small().save(folder)
    (folder / TOKENIZER_FILE).write_bytes(damaged((folder / TOKENIZER_FILE).read_bytes(), data))
    try:
        tokenizer = load_tokenizer(folder)
    except InputError:
        return
    assert tokenizer.encode("lower low").max() < tokenizer.vocab_size


@pytest.mark.parametrize("vocabulary, merges, of_words", [
    (["a", "a</w>", "ba</w>"], [("b", "a</w>")], True),
    (["a", "there", "</w>x", "ba</w>"], [], False),                 # of bytes: a token may have any length, or these letters
    (["a", "<", "/", "a</w>"], [("a", "</w>")], False)])
def test_a_vocabulary_of_words_has_characters_at_their_ends_that_no_merge_makes(vocabulary, merges, of_words):
    assert is_of_words(vocabulary, merges) == of_words
