"""Lock: one run at a time in a folder."""
import contextlib
import os
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


@contextlib.contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """While the context lasts, no other process gets in here for the same folder.

    The system drops the lock with the process that holds it, however it ends: what a killed run left is
    no obstacle. Raises InputError, naming the process, where another holds it, and OSError, naming the
    folder, where it cannot be written.
    """
    path = folder / LOCK_FILE
    with errors_named(folder):
        file = take(path)
    try:
        with contextlib.suppress(OSError):                     # on a full disk it does without the name
            file.truncate(0)
            file.write(str(os.getpid()).encode())
            file.flush()
        yield
    finally:
        if fcntl:
            with contextlib.suppress(OSError):
                path.unlink()                                  # while it is held, so that nobody has it in between
        with contextlib.suppress(OSError):
            file.close()
        if not fcntl:
            with contextlib.suppress(OSError):
                path.unlink()


def take(path: Path) -> BinaryIO:
    """The lock file, open and held."""
    while True:
        if not fcntl:                                          # Windows lets nobody remove a file that is open
            with contextlib.suppress(FileNotFoundError):
                try:
                    path.unlink()
                except PermissionError:
                    raise held(path) from None
        file = open_own(path, "ab" if fcntl else "xb")
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except BlockingIOError:
            file.close()
            raise held(path) from None
        except FileNotFoundError:                              # its holder removed it, and it is another's by now
            pass
        file.close()


def held(path: Path) -> InputError:
    with contextlib.suppress(OSError, ValueError):
        return InputError(f"{path.parent} is being trained by process {int(path.read_text())}: "
                          "wait for it, or choose another folder with --out")
    return InputError(f"{path.parent} is being trained by another process: "
                      "wait for it, or choose another folder with --out")
