"""The files of a BPE tokenizer: tokenizer.json, and GPT-2's vocab.json and merges.txt."""
import json

import pytest
from hypothesis import given, strategies as st

from helpers import damaged
from npgpt.errors import InputError
from npgpt.text.byte_pair_files import ADDED_FILE, MERGES_FILE, VERSION, VOCABULARY_FILE, read_merges
from npgpt.text.byte_pair_training import count_words, learn_merges, tokenizer_of_merges
from npgpt.text.base_tokenizer import TOKENIZER_FILE
from npgpt.text.tokenizer import load_tokenizer

TEXT = 'on the mat, on the hat, on the cat: "#1" "#1" \\n \\n é é\n<.>\n<.>'
TRAINED = tokenizer_of_merges(learn_merges(count_words(TEXT)))


def content(tokenizer):
    return tokenizer.vocabulary, tokenizer.merges, tokenizer.special_tokens, tokenizer.unknown


@pytest.fixture
def folder(tmp_path):
    TRAINED.save(tmp_path)
    return tmp_path


def change(folder, alter):
    """Rewrite tokenizer.json after `alter` has changed its content."""
    description = json.loads((folder / TOKENIZER_FILE).read_text("utf-8"))
    alter(description)
    (folder / TOKENIZER_FILE).write_text(json.dumps(description))


@given(st.text(max_size=60), st.booleans())
def test_a_saved_tokenizer_is_loaded_from_either_format(tmp_path_factory, text, gpt2s_files):
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = tokenizer_of_merges(learn_merges(count_words(text)))
    tokenizer.save(folder)
    assert sorted(file.name for file in folder.iterdir()) == [MERGES_FILE, TOKENIZER_FILE, VOCABULARY_FILE]
    for name in [TOKENIZER_FILE] if gpt2s_files else [VOCABULARY_FILE, MERGES_FILE]:
        (folder / name).unlink()
    assert content(load_tokenizer(folder)) == content(tokenizer)


def test_merges_txt_is_in_gpt2s_format(folder):
    lines = (folder / MERGES_FILE).read_text("utf-8").split("\n")
    assert lines[0] == "#version: 0.2" and lines[-1] == "" and len(lines) == len(TRAINED.merges) + 2
    assert "ĠÃ ©" in lines and lines[1:-1] == [f"{left} {right}" for left, right in TRAINED.merges]


def test_vocab_json_is_in_gpt2s_format(folder):
    ids = json.loads((folder / VOCABULARY_FILE).read_text("utf-8"))
    assert ids["Ġthe"] == TRAINED.encode(" the")[0] and ids["<|endoftext|>"] == len(ids) - 1


def test_tokenizer_json_describes_splitting_merging_and_joining(folder):
    description = json.loads((folder / TOKENIZER_FILE).read_text("utf-8"))
    for part in ("pre_tokenizer", "decoder"):
        assert description[part] == {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    assert description["normalizer"] is None and description["post_processor"] is None
    assert description["model"]["type"] == "BPE" and len(description["model"]["vocab"]) == TRAINED.vocab_size
    (special,) = description["added_tokens"]
    assert (special["content"], special["id"], special["special"]) == ("<|endoftext|>", TRAINED.vocab_size - 1, True)


@pytest.mark.parametrize("alter", [
    lambda description: description["model"].update(merges=[merge.split(" ") for merge in description["model"]["merges"]]),
    lambda description: description["model"].pop("type"),
    lambda description: description["model"].update(unk_token="not in it", fuse_unk=True,
                                                    continuing_subword_prefix="", dropout=0.0),
    lambda description: description["model"]["vocab"].pop("<|endoftext|>"),
    lambda description: description["pre_tokenizer"].pop("use_regex"),
    lambda description: description["pre_tokenizer"].update(trim_offsets=False),
    lambda description: description.update(post_processor={"type": "ByteLevel"}, padding={"length": 9}, truncation={}),
])
def test_equivalent_tokenizer_jsons_are_read(folder, alter):
    change(folder, alter)
    assert content(load_tokenizer(folder)) == content(TRAINED)


@pytest.mark.parametrize("alter, complaint", [
    (lambda d: d.update(model=[]), "not a byte-level BPE tokenizer"),
    (lambda d: d["model"].update(type="Unigram"), "not a byte-level BPE tokenizer"),
    (lambda d: d["model"].update(vocab=[]), "not a byte-level BPE tokenizer"),
    (lambda d: d["model"].pop("merges"), "not a byte-level BPE tokenizer"),
    (lambda d: d["model"].update(dropout=0.1), "model.dropout"),
    (lambda d: d["model"].update(ignore_merges=True), "model.ignore_merges"),
    (lambda d: d["model"].update(end_of_word_suffix="</e>"), "model.end_of_word_suffix, which is '</e>'"),
    (lambda d: d["model"].update(byte_fallback={"a": [1]}), "model.byte_fallback, which is a dict of 1"),
    (lambda d: d.update(normalizer={"type": "NFC"}), "normalizer"),
    (lambda d: d.update(pre_tokenizer=None), "ByteLevel"),
    (lambda d: d.update(pre_tokenizer={"type": "Whitespace"}), "ByteLevel"),
    (lambda d: d["pre_tokenizer"].update(add_prefix_space=True), "add_prefix_space false"),
    (lambda d: d["pre_tokenizer"].pop("add_prefix_space"), "add_prefix_space false"),
    (lambda d: d["pre_tokenizer"].update(use_regex=False), "add_prefix_space false"),
    (lambda d: d.update(decoder={"type": "WordPiece"}), "decoder"),
    (lambda d: d.update(added_tokens={"a": 1}), "not a dict"),
    (lambda d: d.update(added_tokens=[7]), "not 7"),
    (lambda d: d["added_tokens"][0].pop("id"), "content and id"),
    (lambda d: d["added_tokens"][0].update(content=7), "content and id"),
    (lambda d: d["added_tokens"][0].update(special=False), "'<|endoftext|>': it must be special"),
    (lambda d: d["added_tokens"][0].update(lstrip=True), "lstrip"),
    (lambda d: d["added_tokens"][0].update(id=0), "has the id 0"),
    (lambda d: d["added_tokens"].append({"content": "<x>", "id": 5, "special": True}), "each once"),
    (lambda d: d["added_tokens"].append({"content": "<x>", "id": [5], "special": True}), "not an integer: a list"),
    (lambda d: d["added_tokens"].clear(), "'<|endoftext|>' is neither a byte nor special"),
    (lambda d: d["model"]["merges"].append("a"), "not 'a'"),
    (lambda d: d["model"]["merges"].append("a b c"), "not 'a b c'"),
    (lambda d: d["model"]["merges"].append(["a", 1]), "not a list of 2"),
    (lambda d: d["model"]["merges"].append({"a": 1, "b": 2}), "not a dict of 2"),
    (lambda d: d["model"]["merges"].append("Ā Ā"), "'ĀĀ' is not in the vocabulary"),
    (lambda d: d["model"]["merges"].pop(), "no merge makes it"),
    (lambda d: d["model"]["vocab"].pop("A"), "the id"),
])
def test_a_wrong_or_unsupported_tokenizer_json_is_refused(folder, alter, complaint):
    change(folder, alter)
    with pytest.raises(InputError) as error:
        load_tokenizer(folder)
    assert str(error.value).startswith(f"{folder / TOKENIZER_FILE}: ") and complaint in str(error.value)


@pytest.mark.parametrize("alter", [
    lambda text: text.removeprefix("#version: 0.2\n"),
    lambda text: text.rstrip("\n"),
    lambda text: text + "\n\n",
    lambda text: text.replace("\n", "\r\n"),
    lambda text: "\ufeff" + text,
])
def test_equivalent_merges_files_are_read(folder, alter):
    (folder / TOKENIZER_FILE).unlink()
    (folder / MERGES_FILE).write_bytes(alter((folder / MERGES_FILE).read_text("utf-8")).encode())
    assert content(load_tokenizer(folder)) == content(TRAINED)


@pytest.mark.parametrize("name, alter, complaint", [
    (MERGES_FILE, lambda data: b"", "no merge makes it"),
    (MERGES_FILE, lambda data: data[:len(data) // 2].rpartition(b"\n")[0], "no merge makes it"),
    (MERGES_FILE, lambda data: data.replace(b"\n", b"\n\n", 1), "merges.txt: line 2: "),
    (MERGES_FILE, lambda data: data.partition(b"\n")[2].replace(b"\n", b"\n\n", 1), "merges.txt: line 2: "),
    (MERGES_FILE, lambda data: data + b"a b c\n", "not 'a b c'"),
    (MERGES_FILE, lambda data: data + b"a\tb\n", r"not 'a\tb'"),
    (MERGES_FILE, lambda data: data + b"a \n", "not 'a'"),
    (MERGES_FILE, lambda data: data + b"\xff", "merges.txt: not UTF-8"),
    (MERGES_FILE, lambda data: data + "Ā Ā".encode(), "'ĀĀ' is not in the vocabulary"),
    (VOCABULARY_FILE, lambda data: b"", "vocab.json: not valid JSON"),
    (VOCABULARY_FILE, lambda data: b"[]", "vocab.json: a JSON object was expected"),
    (VOCABULARY_FILE, lambda data: b"[" * 10**6, "vocab.json: JSON nested too deeply"),
    (VOCABULARY_FILE, lambda data: data.replace(b": 65", b": 66"), "has the id 66"),
    (VOCABULARY_FILE, lambda data: data.replace(b": 65", b": {}"), "'A' is not an integer"),
    (VOCABULARY_FILE, lambda data: data.replace(b"endoftext|>", b"endoftext"), "'<|endoftext'"),
])
def test_wrong_files_in_gpt2s_format_are_refused(folder, name, alter, complaint):
    (folder / TOKENIZER_FILE).unlink()
    (folder / name).write_bytes(alter((folder / name).read_bytes()))
    with pytest.raises(InputError) as error:
        load_tokenizer(folder)
    assert str(error.value).startswith(str(folder)) and complaint in str(error.value)


def test_a_merges_file_that_is_too_large_is_not_read(folder, monkeypatch):
    (folder / TOKENIZER_FILE).unlink()
    monkeypatch.setattr("npgpt.text.byte_pair_files.JSON_LIMIT", 10)
    with pytest.raises(InputError, match=r"merges.txt: [\d,]+ bytes are too many"):
        load_tokenizer(folder)


def test_a_merged_token_is_not_special_even_if_it_looks_so(folder):
    (folder / TOKENIZER_FILE).unlink()
    tokenizer = load_tokenizer(folder)
    assert "<.>" in tokenizer.vocabulary and list(tokenizer.special_tokens) == ["<|endoftext|>"]


@given(st.data())
def test_damaged_files_are_loaded_or_raise_input_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("tokenizer")
    TRAINED.save(folder)
    name = data.draw(st.sampled_from([TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE]))
    if name != TOKENIZER_FILE:
        (folder / TOKENIZER_FILE).unlink()
    (folder / name).write_bytes(damaged((folder / name).read_bytes(), data))
    try:
        tokenizer = load_tokenizer(folder)
    except InputError:
        return
    assert tokenizer.decode(tokenizer.encode(TEXT)) == TEXT


def test_a_merges_file_with_too_many_lines_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr("npgpt.text.byte_pair_files.LIMIT", 5)
    (tmp_path / MERGES_FILE).write_text(VERSION + "\n" + "a b\n" * 4)
    assert read_merges(tmp_path / MERGES_FILE) == [("a", "b")] * 4
    (tmp_path / MERGES_FILE).write_text(VERSION + "\n" + "a b\n" * 5)
    with pytest.raises(InputError, match="merges.txt: more than 5 lines are too many"):
        read_merges(tmp_path / MERGES_FILE)


def test_a_merges_file_without_a_version_line_may_begin_with_any_token(tmp_path):
    (tmp_path / MERGES_FILE).write_text("# #\n#v e\n", "utf-8")
    assert read_merges(tmp_path / MERGES_FILE) == [("#", "#"), ("#v", "e")]


@pytest.mark.parametrize("fields, unknown", [({}, "<unk>"), ({"unk_token": "<pad>"}, "<pad>"), ({"unk_token": "é"}, None),
                                             ({"unk_token": ["<unk>"]}, None), ({"fuse_unk": True}, None)])
def test_a_vocabulary_without_some_bytes_is_read_with_its_unknown_token(folder, fields, unknown):
    """It is the one that the file names or else <unk>; the tokens of fused ones would represent several bytes."""
    def alter(description):
        special = {"<unk>": 3, "<pad>": 4}
        description["model"].update(vocab={"a": 0, "b": 1, "ab": 2, **special}, merges=["a b"], **fields)
        description["added_tokens"] = [{"content": token, "id": i, "special": True} for token, i in special.items()]

    change(folder, alter)
    tokenizer = load_tokenizer(folder)
    assert tokenizer.unknown == unknown and tokenizer.encode("abb").tolist() == [2, 1]
    if unknown:
        tokenizer.save(folder)
        assert content(load_tokenizer(folder)) == content(tokenizer)


def test_gpt2s_files_may_lack_bytes_too(tmp_path):
    (tmp_path / VOCABULARY_FILE).write_text('{"a": 0, "<unk>": 1}')
    (tmp_path / MERGES_FILE).write_text(VERSION + "\n")
    assert load_tokenizer(tmp_path).encode("aba").tolist() == [0, 1, 0]


def test_added_tokens_json_adds_special_tokens(folder):
    (folder / TOKENIZER_FILE).unlink()
    (folder / ADDED_FILE).write_text(json.dumps({"<pad>": TRAINED.vocab_size, "<|endoftext|>": TRAINED.vocab_size - 1}))
    tokenizer = load_tokenizer(folder)
    assert tokenizer.vocab_size == TRAINED.vocab_size + 1
    assert tokenizer.special_tokens == {**TRAINED.special_tokens, "<pad>": TRAINED.vocab_size}
    assert tokenizer.encode("on the<pad>", ["<pad>"])[-1] == TRAINED.vocab_size


@pytest.mark.parametrize("added, named", [({"mat": TRAINED.vocab_size}, "'mat'"), ({"<pad>": 0}, "'<pad>'"),
                                          ({"<pad>": "x"}, "'<pad>'"), ({"<pad>": TRAINED.vocab_size + 1}, "'<pad>'")])
def test_added_tokens_that_cannot_be_used_are_refused(folder, added, named):
    """Among them words: transformers finds them in every text, before it is split."""
    (folder / TOKENIZER_FILE).unlink()
    (folder / ADDED_FILE).write_text(json.dumps(added))
    with pytest.raises(InputError, match=named):
        load_tokenizer(folder)


@pytest.mark.parametrize("field", ["vocab", "merges"])
@pytest.mark.parametrize("gpt2s_files", [False, True])
def test_too_many_tokens_or_merges_are_refused(folder, monkeypatch, field, gpt2s_files):
    monkeypatch.setattr("npgpt.text.byte_pair_files.LIMIT", 256 + len(TRAINED.merges))
    if field == "merges":
        change(folder, lambda description: description["model"].update(merges=["a b"] * 1000))
        (folder / MERGES_FILE).write_text("a b\n" * 1000)
    if gpt2s_files:
        (folder / TOKENIZER_FILE).unlink()
    with pytest.raises(InputError, match="too many"):
        load_tokenizer(folder)
