"""One run at a time in a folder."""
import errno
import itertools
import os
import signal
import subprocess
import sys

import pytest

from npgpt.errors import InputError
from npgpt.runs import lock
from npgpt.runs.lock import LOCK_FILE, only_run

HOLDER = "import sys; from npgpt.runs.lock import only_run\nwith only_run(__import__('pathlib').Path(sys.argv[1])):\n    print(flush=True); input()"


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_a_second_run_is_refused_while_the_first_lives(tmp_path, holder):
    with pytest.raises(InputError, match=f"{tmp_path} is being trained by process {holder.pid}"):
        with only_run(tmp_path):
            pass


def test_the_lock_of_a_killed_process_does_not_count(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with only_run(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text() == str(os.getpid())


def test_the_lock_file_is_removed(tmp_path):
    with only_run(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text() == str(os.getpid())
    with pytest.raises(ZeroDivisionError), only_run(tmp_path):
        1 / 0
    assert not any(tmp_path.iterdir())


def test_a_second_run_is_refused_in_the_same_process_too(tmp_path):
    with only_run(tmp_path):
        with pytest.raises(InputError, match=f"by process {os.getpid()}"), only_run(tmp_path):
            pass
        with pytest.raises(InputError), only_run(tmp_path):    # the refusal took nothing away
            pass


def test_a_lock_file_without_a_process_id_is_a_lock(tmp_path):
    with only_run(tmp_path):
        (tmp_path / LOCK_FILE).write_bytes(b"")
        with pytest.raises(InputError, match="by another process"), only_run(tmp_path):
            pass


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError), only_run(tmp_path / "nowhere"):
        pass


def test_where_open_files_cannot_be_removed_an_open_file_is_the_lock(tmp_path, monkeypatch):
    """As on Windows: a file that is left there can be removed, one that is open cannot."""
    monkeypatch.setattr(lock, "fcntl", None)
    (tmp_path / LOCK_FILE).write_text("12345")
    with only_run(tmp_path):
        unlink = os.unlink

        def refuse(path, *, dir_fd=None):
            raise PermissionError(13, "open elsewhere", str(path))
        monkeypatch.setattr(os, "unlink", refuse)
        with pytest.raises(InputError, match=f"by process {os.getpid()}"), only_run(tmp_path):
            pass
        monkeypatch.setattr(os, "unlink", unlink)
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(lock.fcntl is None, reason="needs flock")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, capsys, number):
    def refuse(file, operation):
        raise OSError(number, os.strerror(number))
    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with only_run(tmp_path):
        assert capsys.readouterr().err == (f"npgpt: the file system of {tmp_path} has no locks: take care that no other process "
                                           "trains there\n")
    assert not any(tmp_path.iterdir())


@pytest.mark.skipif(lock.fcntl is None, reason="needs flock")
def test_another_failure_of_the_lock_is_an_error_that_names_the_folder(tmp_path, monkeypatch):
    def fail(file, operation):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    monkeypatch.setattr(lock.fcntl, "flock", fail)
    with pytest.raises(OSError) as error, only_run(tmp_path):
        pass
    assert (error.value.errno, error.value.filename) == (errno.EIO, str(tmp_path))


@pytest.mark.skipif(lock.fcntl is None, reason="needs flock")
def test_a_lock_file_that_its_holder_removed_meanwhile_is_not_the_lock(tmp_path, monkeypatch):
    """Between its opening and its locking: whoever comes next finds no file, and would make and lock another one."""
    flock, removals = lock.fcntl.flock, iter(range(2))

    def remove_first(file, operation):
        for _ in itertools.islice(removals, 1):
            os.unlink(tmp_path / LOCK_FILE)
        flock(file, operation)
    monkeypatch.setattr(lock.fcntl, "flock", remove_first)
    with only_run(tmp_path):
        with pytest.raises(InputError), only_run(tmp_path):
            pass


def test_where_an_open_file_is_the_lock_two_that_come_at_once_do_not_both_get_it(tmp_path, monkeypatch):
    """The other makes its file after this one has looked."""
    monkeypatch.setattr(lock, "fcntl", None)
    monkeypatch.setattr(os, "unlink", lambda path, **settings: (tmp_path / LOCK_FILE).write_text("12345"))
    with pytest.raises(FileExistsError), only_run(tmp_path):
        pass
