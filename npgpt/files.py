"""Files: written whole or not at all, and read with suspicion."""
import contextlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from npgpt.errors import InputError

JSON_LIMIT = 256 * 2**20    # bytes; the largest tokenizer.json in common use has a tenth of that


def write_whole(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file under a temporary name beside it, flush it to the disk, and rename it into place.

    Whoever reads `path` finds the old content or the new, never half of either, even after a crash.
    Raises OSError, naming the file, where the disk is full or the folder read-only; the temporary file
    is then removed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    flush_folder(path.parent)


@contextlib.contextmanager
def files_together(folder: Path) -> Iterator[Path]:
    """A temporary folder in `folder`, whose files move there when the context ends well, and else are removed.

    So files that belong together take the place of older ones only when all of them are on the disk.
    Raises OSError, naming the folder.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".", suffix=".tmp", dir=folder, ignore_cleanup_errors=True) as staging:
            yield Path(staging)
            for file in sorted(Path(staging).iterdir()):
                os.replace(file, folder / file.name)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from None
    flush_folder(folder)


def flush_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power cut. A no-op where folders cannot be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: dict) -> None:
    write_whole(path, [(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()])


def read_json(path: Path) -> dict:
    """The object in a JSON file. Raises InputError where the file is too large or holds anything else."""
    size = path.stat().st_size
    if size > JSON_LIMIT:
        raise InputError(f"{path}: {size:,} bytes are too many for a JSON file (at most {JSON_LIMIT:,})")
    return parse_json(path.read_bytes(), str(path))


def parse_json(data: bytes, where: str) -> dict:
    """The object that UTF-8 JSON stands for. Raises InputError, naming `where`, for everything else:
    duplicate keys, NaN and Infinity, endless nesting, and JSON that is no object.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=distinct_keys, parse_constant=refuse_constant)
    except RecursionError:
        raise InputError(f"{where}: JSON nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{where}: a JSON object was expected, found {type(value).__name__}")
    return value


def distinct_keys(pairs: list[tuple[str, object]]) -> dict:
    value = dict(pairs)
    if len(value) < len(pairs):
        (key, _), = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key!r} stands twice")
    return value


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
