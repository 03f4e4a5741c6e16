"""Special tokens that are added to a tokenizer, of any kind."""
import json

import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.text.base_tokenizer import TOKENIZER_FILE
from npgpt.text.byte_pair_training import tokenizer_of_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.tokenizer import load_tokenizer
from npgpt.text.vocabulary import with_special_tokens
from npgpt.text.word_training import train_word_bpe, train_word_piece

TEXT = "the cat and the hat"
NAMES = ["_start_", "_delimiter_", "_classify_", "[PAD]"]
TOKENIZERS = {"characters": CharacterTokenizer.of_text(TEXT), "bytes": ByteTokenizer(), "byte pairs": tokenizer_of_merges([(116, 104)]),
              "word BPE": train_word_bpe(TEXT, 30), "word pieces": train_word_piece(TEXT, 30)}
texts = st.lists(st.sampled_from([*"thecandh ", *NAMES])).map("".join)


@pytest.fixture(params=TOKENIZERS.values(), ids=TOKENIZERS)
def plain(request):
    return request.param


def test_new_ids_follow_the_others_in_the_order_of_the_names(plain):
    tokenizer = with_special_tokens(plain, NAMES[:3])
    assert [tokenizer.id_of(name) for name in NAMES[:3]] == [plain.vocab_size + i for i in range(3)]
    assert tokenizer.vocab_size == plain.vocab_size + 3 and list(tokenizer.vocabulary) == [*plain.vocabulary, *NAMES[:3]]
    assert type(tokenizer) is type(plain)


def test_the_tokenizer_itself_is_not_changed(plain):
    before = plain.vocab_size, list(plain.vocabulary), dict(plain.special_tokens)
    with_special_tokens(plain, NAMES)
    assert (plain.vocab_size, list(plain.vocabulary), dict(plain.special_tokens)) == before


@given(texts)
def test_plain_text_is_encoded_as_before_whatever_it_says(text):
    for plain in list(TOKENIZERS.values())[1:]:                                # the characters lack some of the names'
        assert with_special_tokens(plain, NAMES).encode(text).tolist() == plain.encode(text).tolist()


@given(st.lists(st.sampled_from(["the", "hat ", *NAMES]), max_size=6))
def test_allowed_special_tokens_divide_the_text(parts):
    for plain in TOKENIZERS.values():
        tokenizer = with_special_tokens(plain, NAMES)
        expected = []
        plain_part = ""
        for part in [*parts, None]:
            if part in tokenizer.special_tokens or part is None:
                expected += [*plain.encode(plain_part)] + ([] if part is None else [tokenizer.id_of(part)])
                plain_part = ""
            else:
                plain_part += part
        assert tokenizer.encode("".join(parts), NAMES).tolist() == expected


def test_a_special_token_is_decoded_as_its_name(plain):
    tokenizer = with_special_tokens(plain, NAMES)
    assert tokenizer.decode([tokenizer.id_of("_start_")]) == "_start_"


def test_a_saved_tokenizer_is_loaded_with_its_special_tokens(plain, tmp_path):
    tokenizer = with_special_tokens(plain, NAMES)
    tokenizer.save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert type(loaded) is type(plain)
    for attribute in ("vocabulary", "special_tokens", "token_bytes"):
        assert getattr(loaded, attribute) == getattr(tokenizer, attribute)
    assert loaded.encode("the_start_cat", ["_start_"]).tolist() == tokenizer.encode("the_start_cat", ["_start_"]).tolist()


def test_tokenizer_json_says_that_they_are_special_as_transformers_expects(plain, tmp_path):
    tokenizer = with_special_tokens(plain, NAMES)
    tokenizer.save(tmp_path)
    added = json.loads((tmp_path / TOKENIZER_FILE).read_text("utf-8"))["added_tokens"]
    assert {token["content"]: token["id"] for token in added} == tokenizer.special_tokens
    assert [token["id"] for token in added] == sorted(token["id"] for token in added)
    assert all(token["special"] and not token["normalized"] for token in added)


def test_special_tokens_that_are_there_keep_their_ids():
    tokenizer = with_special_tokens(TOKENIZERS["word pieces"], ["[MASK]", "_start_", "_start_"])
    assert tokenizer.id_of("[MASK]") == 4 and tokenizer.id_of("_start_") == tokenizer.vocab_size - 1 == TOKENIZERS["word pieces"].vocab_size


@pytest.mark.parametrize("kind, name", [("characters", "t"), ("bytes", "A"), ("byte pairs", "th"), ("word BPE", "t</w>"),
                                        ("word pieces", "##h"), ("bytes", ""), ("bytes", "\ud800")])
def test_a_name_that_is_empty_or_another_token_is_refused(kind, name):
    with pytest.raises(InputError, match="the special token .* choose another name"):
        with_special_tokens(TOKENIZERS[kind], [name])


def test_a_special_token_that_is_not_there_is_named(plain):
    with pytest.raises(InputError, match=r"'\[START\]' is not a special token; this tokenizer has .*_start_"):
        with_special_tokens(plain, NAMES).id_of("[START]")
    with pytest.raises(InputError, match=r"'\[START\]' is not a special token"):
        plain.encode(TEXT, ["[START]"])


@pytest.mark.parametrize("alter, complaint", [
    (lambda added: added[0].update(id=999), "the id "),
    (lambda added: added[0].update(id="x"), "x"),
    (lambda added: added[0].update(special=False), "it must be special"),
    (lambda added: added.append({}), "an added token with content and id was expected"),
])
def test_wrong_added_tokens_are_refused(plain, tmp_path, alter, complaint):
    with_special_tokens(plain, NAMES).save(tmp_path)
    description = json.loads((tmp_path / TOKENIZER_FILE).read_text("utf-8"))
    alter(description["added_tokens"])
    (tmp_path / TOKENIZER_FILE).write_text(json.dumps(description))
    with pytest.raises(InputError) as error:
        load_tokenizer(tmp_path)
    assert str(error.value).startswith(f"{tmp_path / TOKENIZER_FILE}: ") and complaint in str(error.value)


def test_special_tokens_before_characters_are_refused(tmp_path):
    with_special_tokens(CharacterTokenizer("ab"), ["<s>"]).save(tmp_path)
    description = json.loads((tmp_path / TOKENIZER_FILE).read_text("utf-8"))
    description["model"]["vocab"] = {"<s>": 0, "a": 1, "b": 2}
    description["added_tokens"][0]["id"] = 0
    (tmp_path / TOKENIZER_FILE).write_text(json.dumps(description))
    with pytest.raises(InputError, match="'<s>' has the id 0, which must be greater than those of all other tokens"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("name", ["<unk>", "[UNK]"])
def test_a_character_tokenizer_may_have_a_token_for_unknown_characters(tmp_path, name):
    tokenizer = with_special_tokens(CharacterTokenizer("abd"), ["<pad>", name])
    assert tokenizer.encode("acbdé\U0001f600a\ud800").tolist() == [0, 4, 1, 2, 4, 4, 0, 4]
    assert tokenizer.encode("abd").tolist() == [0, 1, 2] and tokenizer.decode([0, 4]) == "a" + name
    tokenizer.save(tmp_path)
    model = json.loads((tmp_path / TOKENIZER_FILE).read_text("utf-8"))["model"]
    assert model["unk_token"] == name and model["vocab"] == {"a": 0, "b": 1, "d": 2, "<pad>": 3, name: 4}
    assert load_tokenizer(tmp_path).encode("axb").tolist() == [0, 4, 1]
