"""JSON files: checked before they are believed."""
import json
import os

import pytest
from hypothesis import given, strategies as st

from helpers import damaged
from npgpt.errors import InputError
from npgpt.json_files import JSON_LIMIT, NESTING, parse_json, read_json, write_json

texts = st.text(st.characters(codec="utf-8"))
values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
                      lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=15)
objects = st.dictionaries(texts, values, max_size=4)


@given(objects)
def test_json_comes_back_as_it_was_written(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "file.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)      # slow on some disks
        write_json(path, value)
    assert read_json(path) == value


def test_a_byte_order_mark_is_not_part_of_json(tmp_path):
    (tmp_path / "file").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "file") == {"a": 1}


def test_json_is_written_as_text_that_people_read(tmp_path):
    write_json(tmp_path / "file", {"é": [1]})
    assert (tmp_path / "file").read_text("utf-8") == '{\n  "é": [\n    1\n  ]\n}\n'


@pytest.mark.parametrize("name", [b"\xff", b"a\\\xe9.txt", b"\\\\\xff\\udcff", "\u00e9\u6a21".encode() + b"\x80"])
def test_a_path_that_is_not_utf_8_comes_back(tmp_path, name):
    write_json(tmp_path / "file", {"data": [os.fsdecode(name)]})
    assert (tmp_path / "file").read_text("utf-8")
    assert os.fsencode(read_json(tmp_path / "file")["data"][0]) == name


def test_json_never_holds_nan(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "file", {"loss": float("nan")})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("data, complaint", [
    (b"", "not valid JSON"),
    (b'{"a": 1', "not valid JSON"),
    (b'{"a": 1} {}', "not valid JSON"),
    (b'{"a": \xff}', "not valid JSON"),
    (b'{"a": "\x00"}', "not valid JSON"),
    (b'\xef\xbb\xbf{}', "not valid JSON"),
    (b'{"a": 1, "b": 2, "a": 3}', "'a'"),
    (b'{"a": {"b": 1, "b": 1}}', "'b'"),
    (b'{"a": NaN}', "NaN"),
    (b'{"a": -Infinity}', "-Infinity"),
    (b'{"a": ' + b"9" * 10_000 + b"}", "not valid JSON"),
    (b"[" * 200_000, "nested too deeply"),
    (b'{"a":' * 200_000, "nested too deeply"),
    (b"[1]", "a JSON object was expected, found list"),
    (b"null", "a JSON object was expected, found NoneType"),
])
def test_everything_but_a_json_object_is_refused(data, complaint):
    with pytest.raises(InputError, match=f"^the place: .*{complaint}"):
        parse_json(data, "the place")


def test_containers_may_be_nested_but_not_so_deep_that_a_message_could_not_quote_them():
    def nested(depth):
        return b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    assert parse_json(nested(NESTING - 1), "here")
    for depth in (NESTING, *range(850, 1000, 7)):
        with pytest.raises(InputError, match="here: JSON nested too deeply"):
            parse_json(nested(depth), "here")


def test_json_with_too_many_items_is_refused_before_it_is_parsed():
    assert len(parse_json(b'{"a":[0' + b",0" * 97 + b"]}", "here", 100)["a"]) == 98
    with pytest.raises(InputError, match="here: JSON with more than 100 items"):
        parse_json(b'{"a":[0' + b",0" * 99 + b"]}", "here", 100)


def test_a_duplicate_among_many_keys_is_found_quickly():
    """Counting each key in turn would take hours."""
    keys = [*range(100_000), 99_999]
    with pytest.raises(InputError, match="'99999'"):
        parse_json(("{" + ",".join(f'"{key}":0' for key in keys) + "}").encode(), "here")


@given(objects, st.data())
def test_damaged_json_is_an_object_or_an_input_error(value, data):
    text = damaged(json.dumps(value).encode(), data)
    try:
        assert isinstance(parse_json(text, "here"), dict)
    except InputError as error:
        assert str(error).startswith("here: ")


def test_a_file_too_large_for_json_is_not_read(tmp_path):
    with open(tmp_path / "file", "wb") as file:
        file.truncate(JSON_LIMIT + 1)                      # a hole: it takes no room
    with pytest.raises(InputError, match="too many for a JSON file"):
        read_json(tmp_path / "file")
