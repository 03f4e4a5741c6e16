"""Files: whole or not at all, and JSON that is checked before it is believed."""
import json
import os

import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.files import JSON_LIMIT, files_together, parse_json, read_json, write_json, write_whole

texts = st.text(st.characters(codec="utf-8"))
values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
                      lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=15)
objects = st.dictionaries(texts, values, max_size=4)


class Broken(Exception):
    """What goes wrong half-way."""


def half_a_file():
    yield b"half"
    raise Broken


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_chunks_are_written_one_after_the_other(tmp_path):
    write_whole(tmp_path / "file", [b"one ", memoryview(b"two")])
    assert contents(tmp_path) == {"file": b"one two"}


def test_a_failure_half_way_leaves_the_old_content_and_nothing_else(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(Broken):
        write_whole(tmp_path / "file", half_a_file())
    assert contents(tmp_path) == {"file": b"old"}


def test_a_failure_half_way_leaves_no_new_file(tmp_path):
    with pytest.raises(Broken):
        write_whole(tmp_path / "file", half_a_file())
    assert contents(tmp_path) == {}


def test_content_is_on_the_disk_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(os, "fsync", lambda file: steps.append(("flush", os.fstat(file).st_size)))
    monkeypatch.setattr(os, "replace", lambda *paths: steps.append("rename"))
    write_whole(tmp_path / "file", [b"new"])
    assert steps[:2] == [("flush", 3), "rename"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"no folder")
    with pytest.raises(NotADirectoryError) as error:
        write_whole(tmp_path / "file" / "below", [b"new"])
    assert error.value.filename == str(tmp_path / "file" / "below")
    assert contents(tmp_path) == {"file": b"no folder"}


def test_files_move_into_place_together(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "c").write_bytes(b"stays")
    with files_together(tmp_path) as new:
        write_whole(new / "a", [b"new"])
        write_whole(new / "b", [b"new"])
        assert (tmp_path / "a").read_bytes() == b"old" and not (tmp_path / "b").exists()
    assert contents(tmp_path) == {"a": b"new", "b": b"new", "c": b"stays"}


def test_a_failure_leaves_all_files_as_they_were(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(Broken), files_together(tmp_path) as new:
        write_whole(new / "a", [b"new"])
        write_whole(new / "b", half_a_file())
    assert contents(tmp_path) == {"a": b"old"}


def test_a_folder_that_cannot_take_files_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"no folder")
    with pytest.raises(NotADirectoryError) as error, files_together(tmp_path / "file"):
        pass
    assert error.value.filename == str(tmp_path / "file")


@given(objects)
def test_json_comes_back_as_it_was_written(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "file.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)      # slow on some disks
        write_json(path, value)
    assert read_json(path) == value


def test_json_is_written_as_text_that_people_read(tmp_path):
    write_json(tmp_path / "file", {"é": [1]})
    assert (tmp_path / "file").read_text("utf-8") == '{\n  "é": [\n    1\n  ]\n}\n'


def test_json_never_holds_nan(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "file", {"loss": float("nan")})
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("data, complaint", [
    (b"", "not valid JSON"),
    (b'{"a": 1', "not valid JSON"),
    (b'{"a": 1} {}', "not valid JSON"),
    (b'{"a": \xff}', "not valid JSON"),
    (b'{"a": "\x00"}', "not valid JSON"),
    (b'\xef\xbb\xbf{}', "not valid JSON"),
    (b'{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice"),
    (b'{"a": {"b": 1, "b": 1}}', "the key 'b' stands twice"),
    (b'{"a": NaN}', "NaN is no JSON number"),
    (b'{"a": -Infinity}', "-Infinity is no JSON number"),
    (b'{"a": ' + b"9" * 10_000 + b"}", "not valid JSON"),
    (b"[" * 200_000, "nested too deeply"),
    (b'{"a":' * 200_000, "nested too deeply"),
    (b"[1]", "a JSON object was expected, found list"),
    (b"null", "a JSON object was expected, found NoneType"),
])
def test_what_is_no_json_object_is_refused(data, complaint):
    with pytest.raises(InputError, match=f"^the place: .*{complaint}"):
        parse_json(data, "the place")


def test_many_keys_with_one_twice_are_refused_at_once():
    """Counting each key in turn would take hours."""
    keys = [*range(100_000), 99_999]
    with pytest.raises(InputError, match="'99999' stands twice"):
        parse_json(("{" + ",".join(f'"{key}":0' for key in keys) + "}").encode(), "here")


@given(objects, st.data())
def test_damaged_json_is_an_object_or_an_input_error(value, data):
    text = bytearray(json.dumps(value).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(parse_json(bytes(text), "here"), dict)
    except InputError as error:
        assert str(error).startswith("here: ")


def test_a_file_too_large_for_json_is_not_read(tmp_path):
    with open(tmp_path / "file", "wb") as file:
        file.truncate(JSON_LIMIT + 1)                      # a hole: it takes no room
    with pytest.raises(InputError, match="too many for a JSON file"):
        read_json(tmp_path / "file")
