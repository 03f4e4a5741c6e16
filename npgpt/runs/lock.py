"""Lock: at most one process trains in a folder. The lock of a killed process does not count."""
import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from npgpt.errors import InputError
from npgpt.files import errors_named, open_own

try:
    import fcntl
except ImportError:                                            # Windows
    fcntl = None

LOCK_FILE = ".npgpt-lock"
NO_LOCKS = errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL       # as file systems report it


@contextlib.contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """While the context lasts, no other process enters it for the same folder. Raises InputError, naming the one that has.

    A file system without locks cannot prevent it: then a message on standard error says so.
    """
    path = folder / LOCK_FILE
    with errors_named(folder):
        file = lock(path) if fcntl else create(path)
    try:
        with contextlib.suppress(OSError):                     # on a full disk, the lock works without the process id
            file.truncate(0)
            file.write(str(os.getpid()).encode())
            file.flush()
        yield
    finally:
        # Removed while it is locked, no other process locks it in between. Windows cannot remove an open file.
        for call in (path.unlink, file.close) if fcntl else (file.close, path.unlink):
            with contextlib.suppress(OSError):
                call()


def lock(path: Path) -> BinaryIO:
    """The lock file, open and locked."""
    while True:
        file = open_own(path, "ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except BlockingIOError:
            file.close()
            raise in_use(path) from None
        except FileNotFoundError:                              # its holder has removed it since it was opened
            pass
        except OSError as error:
            if error.errno in NO_LOCKS:
                print(f"npgpt: the file system of {path.parent} has no locks: take care that no other process trains there",
                      file=sys.stderr)
                return file
            file.close()
            raise
        file.close()


def create(path: Path) -> BinaryIO:
    """The lock file, newly created. On Windows, a file that another process has open cannot be removed."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        raise in_use(path) from None
    return open_own(path, "xb")


def in_use(path: Path) -> InputError:
    process = "another process"
    with contextlib.suppress(OSError, ValueError):
        process = f"process {int(path.read_text())}"
    return InputError(f"{path.parent} is being trained by {process}: wait for it, or choose another folder")
