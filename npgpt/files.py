"""Files that are written completely or not at all."""
import contextlib
import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from npgpt.errors import InputError


@contextlib.contextmanager
def errors_named(path: Path) -> Iterator[None]:
    """While the context lasts, every OSError names `path`, which the user knows, instead of a temporary file."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def write_whole(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file under a temporary name beside it, flush it to the disk, and rename it: a reader of `path` finds the
    old content or the new, even after a crash. Raises OSError, naming the file.
    """
    temporary = temporary_name(path)
    with errors_named(path):
        try:
            with open(temporary, "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        flush_folder(path.parent)


def destination(path: Path) -> Path:
    """Where to write a file that the user names: at the end of a symbolic link. Raises InputError if something is there
    that is not a file, such as a folder, a device or a pipe: a rename would replace it.
    """
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    if not path.is_file() and (path.exists() or place.is_symlink()):       # after realpath, only a loop is still a link
        raise InputError(f"{path} is not a file: folders, devices and pipes are not replaced")
    return place


@contextlib.contextmanager
def write_whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder, for files that the caller flushes. It replaces `folder` if the context ends without an error."""
    with temporary_folder(folder) as staging:
        yield staging
        flush_folder(staging)
        remove_folder(folder)
        os.rename(staging, folder)
        flush_folder(folder.parent)


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` that exists while the context lasts. Raises OSError, naming `path`."""
    staging = temporary_name(path)
    try:
        with errors_named(path):
            staging.mkdir()
            yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder if it exists. It is renamed first, so that no reader finds half of it."""
    if folder.exists():
        renamed = temporary_name(folder.with_name(folder.name + ".removed"))
        os.rename(folder, renamed)
        shutil.rmtree(renamed)


def move_together(staging: Path, folder: Path, key: str, stale: Iterable[str] = ()) -> None:
    """Move the files of `staging` to `folder`, `key` last, and remove those named in `stale` that `staging` lacks.

    If `key` alone has changed, one rename replaces it. Otherwise the old one is removed first: after a crash at any
    moment, the folder holds the old files, or the new ones, or no `key`, but never one key beside the other's files.
    """
    new = [file.name for file in sorted(staging.iterdir()) if file.name != key]
    changed = [name for name in new if not same_content(staging / name, folder / name)]
    removed = [name for name in stale if name != key and name not in new and (folder / name).exists()]
    if changed or removed:
        for name in [key, *removed]:
            (folder / name).unlink(missing_ok=True)
        flush_folder(folder)
        for name in changed:
            os.replace(staging / name, folder / name)
        flush_folder(folder)
    os.replace(staging / key, folder / key)
    flush_folder(folder)


def open_own(path: Path, mode: str) -> BinaryIO:
    """Open a file. Raises OSError for a symbolic link, which may lead to any file of the user's, and for a pipe."""
    refuse = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return open(path, mode, opener=lambda name, flags: os.open(name, flags | refuse, 0o666))


def same_content(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; if the file system has no hard links, copy it."""
    try:
        os.link(source, target)
    except OSError:
        write_whole(target, chunks_of(source))


def sha256(path: Path) -> str:
    """The digest of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    for chunk in chunks_of(path):
        digest.update(chunk)
    return digest.hexdigest()


def chunks_of(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(2**18):
            yield chunk


def temporary_name(path: Path) -> Path:
    """The name of a file or folder until it is complete. Raises IsADirectoryError for a path such as /."""
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return path.with_name(f".npgpt-{os.getpid()}-{path.name}.tmp")


def temporaries(folder: Path) -> list[Path]:
    """The incomplete files and folders in a folder, of processes that were killed or are still writing."""
    return list(folder.glob(".npgpt-*.tmp"))


def remove_temporaries(*folders: Path) -> None:
    """Remove the temporary files of killed processes. The caller must be the only process that uses the folders."""
    for path in itertools.chain.from_iterable(map(temporaries, folders)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power cut. Does nothing if folders cannot be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
