"""Files: written completely, or not at all."""
import errno
import hashlib
import os
import stat
from pathlib import Path

import pytest

from npgpt.errors import InputError
from npgpt.files import (destination, link_or_copy, move_together, open_own, remove_temporaries, sha256, temporary_name,
                         write_whole, write_whole_folder)


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


def test_content_is_flushed_before_it_replaces_the_old(tmp_path, monkeypatch):
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


@pytest.mark.parametrize("place", ["/", "."])
def test_a_path_without_a_name_is_refused(place):
    with pytest.raises(IsADirectoryError) as error:
        write_whole(Path(place), [b"new"])
    assert error.value.filename == place


def test_a_folder_gets_its_name_when_it_is_complete(tmp_path):
    with write_whole_folder(tmp_path / "folder") as staging:
        write_whole(staging / "a", [b"new"])
        assert not (tmp_path / "folder").exists()
    assert contents(tmp_path / "folder") == {"a": b"new"} and [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_complete_folder_replaces_an_older_one(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_bytes(b"old")
    with write_whole_folder(tmp_path / "folder") as staging:
        write_whole(staging / "a", [b"new"])
    assert contents(tmp_path / "folder") == {"a": b"new"} and [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_fails_half_way_leaves_nothing(tmp_path):
    with pytest.raises(Broken), write_whole_folder(tmp_path / "folder") as staging:
        write_whole(staging / "a", half_a_file())
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"no folder")
    with pytest.raises(NotADirectoryError) as error, write_whole_folder(tmp_path / "file" / "below"):
        pass
    assert error.value.filename == str(tmp_path / "file" / "below")


@pytest.fixture
def old_and_new(tmp_path):
    """Two folders with files that belong together."""
    for name, files in (("old", {"key": b"1", "same": b"0", "other": b"1", "stale": b"1", "mine": b"1"}),
                        ("new", {"key": b"2", "same": b"0", "other": b"2", "more": b"2"})):
        (tmp_path / name).mkdir()
        for file, content in files.items():
            (tmp_path / name / file).write_bytes(content)
    return tmp_path / "old", tmp_path / "new"


MOVED = {"key": b"2", "same": b"0", "other": b"2", "more": b"2", "mine": b"1"}


def test_files_that_belong_together_move_together(old_and_new):
    old, new = old_and_new
    move_together(new, old, "key", stale=["stale", "key", "absent", "other"])
    assert contents(old) == MOVED


@pytest.mark.parametrize("moment", range(9))
def test_a_crash_while_they_move_leaves_no_key_beside_files_of_another(old_and_new, monkeypatch, moment):
    """A crash at every rename, removal and flush, in turn."""
    old, new = old_and_new
    before, countdown = contents(old), iter([None] * moment)

    def or_crash(function):
        def wrapped(*arguments, **settings):
            if next(countdown, Broken) is Broken:
                raise Broken
            return function(*arguments, **settings)
        return wrapped
    for name in ("replace", "unlink", "fsync"):
        monkeypatch.setattr(os, name, or_crash(getattr(os, name)))
    try:
        move_together(new, old, "key", stale=["stale"])
        assert moment == 8
    except Broken:
        pass
    after = contents(old)
    assert after in (before, MOVED) or "key" not in after


def test_where_only_the_key_differs_it_is_never_missing(old_and_new, monkeypatch):
    old, new = old_and_new
    move_together(new, old, "key")
    (new.parent / "newer").mkdir()
    for file, content in (MOVED | {"key": b"3"}).items():
        (new.parent / "newer" / file).write_bytes(content)
    monkeypatch.setattr(os, "unlink", None)
    move_together(new.parent / "newer", old, "key")
    assert (old / "key").read_bytes() == b"3"


@pytest.fixture
def on_disk(monkeypatch):
    """What changes the names in folders, and when these names are flushed to the disk, in order: (what, path)."""
    events = []

    def watch(name):
        def wrapped(*paths, original=getattr(os, name), **settings):
            events.append((name, Path(paths[-1])))
            return original(*paths, **settings)
        monkeypatch.setattr(os, name, wrapped)
    for name in ("replace", "rename", "unlink"):
        watch(name)
    opened = {}

    def remember(path, flags, *mode, original=os.open, **settings):
        file = original(path, flags, *mode, **settings)
        opened[file] = Path(path)
        return file

    def flush(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            events.append(("flush", opened[file]))
    monkeypatch.setattr(os, "open", remember)
    monkeypatch.setattr(os, "fsync", flush)
    return events


@pytest.mark.skipif(os.name != "posix", reason="folders cannot be flushed")
def test_a_file_or_folder_survives_a_power_cut_once_it_is_written(tmp_path, on_disk):
    """The name of a file is in its folder, which has to be flushed as well."""
    write_whole(tmp_path / "file", [b"new"])
    assert on_disk == [("replace", tmp_path / "file"), ("flush", tmp_path)]
    on_disk.clear()
    with write_whole_folder(tmp_path / "folder") as staging:
        pass
    assert on_disk == [("flush", staging), ("rename", tmp_path / "folder"), ("flush", tmp_path)]


@pytest.mark.skipif(os.name != "posix", reason="folders cannot be flushed")
def test_a_power_cut_while_files_move_leaves_no_key_beside_files_of_another(old_and_new, on_disk):
    """Without a flush between them, the disk may have a later rename, but not an earlier removal."""
    old, new = old_and_new
    move_together(new, old, "key", stale=["stale"])
    assert on_disk == [("unlink", old / "key"), ("unlink", old / "stale"), ("flush", old), ("replace", old / "more"),
                       ("replace", old / "other"), ("flush", old), ("replace", old / "key"), ("flush", old)]


def test_two_processes_that_write_the_same_file_have_a_temporary_file_each(tmp_path, monkeypatch):
    def write_as_another():
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 12345)
            write_whole(tmp_path / "file", [b"theirs"])
        yield b"ours"
    write_whole(tmp_path / "file", write_as_another())
    assert contents(tmp_path) == {"file": b"ours"}


@pytest.mark.parametrize("links", [True, False])
def test_a_file_gets_a_second_name_or_a_copy(tmp_path, monkeypatch, links):
    def no_links(source, target):
        raise OSError(errno.EPERM, "no links here")
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    (tmp_path / "a").write_bytes(bytes(range(256)) * 10_000)
    link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    assert (tmp_path / "b").samefile(tmp_path / "a") == links


def test_links_and_pipes_are_not_opened(tmp_path):
    (tmp_path / "users").write_text("precious")
    (tmp_path / "link").symlink_to("users")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "dangling", "pipe"):
        with pytest.raises(OSError, match=name):
            open_own(tmp_path / name, "ab")
    with open_own(tmp_path / "own", "ab") as file:
        file.write(b"more")
    assert (tmp_path / "own").read_bytes() == b"more" and (tmp_path / "users").read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_that_the_user_names_is_written_at_the_end_of_symbolic_links(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("folder/file")
    (tmp_path / "second").symlink_to("link")
    (tmp_path / "dangling").symlink_to("folder/new")
    assert destination(tmp_path / "plain") == tmp_path / "plain"
    assert destination(tmp_path / "folder" / "file") == tmp_path / "folder" / "file"
    for name in ("second", "dangling"):
        write_whole(destination(tmp_path / name), [b"written"])
        assert (tmp_path / name).is_symlink() and (tmp_path / name).read_bytes() == b"written"
    assert contents(tmp_path / "folder") == {"file": b"written", "new": b"written"}


def test_only_a_file_may_be_at_the_place_that_the_user_names(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for link, target in (("loop", "loop"), ("to-pipe", "pipe"), ("to-folder", "folder"), ("to-device", os.devnull)):
        (tmp_path / link).symlink_to(target)
    for place in (*tmp_path.iterdir(), Path(os.devnull), Path("."), Path("/")):
        with pytest.raises(InputError, match=f"^{place} is not a file"):
            destination(place)


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    (tmp_path / ".mine.tmp").write_bytes(b"mine")
    temporary_name(tmp_path / "file").write_bytes(b"half")
    temporary_name(tmp_path / "folder").mkdir()
    (temporary_name(tmp_path / "folder") / "file").write_bytes(b"half")
    remove_temporaries(tmp_path)
    assert contents(tmp_path) == {".mine.tmp": b"mine"}


def test_of_a_temporary_link_the_link_alone_is_removed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"mine")
    temporary_name(tmp_path / "link").symlink_to("precious")
    remove_temporaries(tmp_path)
    assert os.listdir(tmp_path) == ["precious"] and contents(tmp_path / "precious") == {"file": b"mine"}


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1])
def test_the_digest_of_a_file(tmp_path, size):
    (tmp_path / "file").write_bytes(bytes(size))
    assert sha256(tmp_path / "file") == hashlib.sha256(bytes(size)).hexdigest()
