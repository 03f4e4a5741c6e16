"""JSON files, checked when they are read."""
import codecs
import json
from pathlib import Path

from npgpt.errors import InputError
from npgpt.files import write_whole

JSON_LIMIT = 64 * 2**20     # bytes; the largest tokenizer.json in common use has half as many
ITEMS, NESTING = 2_500_000, 64                                 # in a JSON file; Python needs up to 300 bytes for an item


def write_json(path: Path, value: dict) -> None:
    """Write JSON in UTF-8. Bytes of a path that are not UTF-8, in Python lone surrogates, become JSON's escapes: \\udcff."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, [text.encode("utf-8", "backslashreplace")])


def read_json(path: Path) -> dict:
    """The object in a JSON file, which may begin with a byte order mark. Raises InputError if the file is too large or
    holds anything else.
    """
    size = path.stat().st_size
    if size > JSON_LIMIT:
        raise InputError(f"{path}: {size:,} bytes are too many for a JSON file (at most {JSON_LIMIT:,})")
    return parse_json(path.read_bytes().removeprefix(codecs.BOM_UTF8), str(path))


def parse_json(data: bytes, where: str, items: int = ITEMS) -> dict:
    """The object in UTF-8 JSON. Raises InputError for anything else, duplicate keys, NaN, too many items or levels."""
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > items:       # before an object is made for each
        raise InputError(f"{where}: JSON with more than {items:,} items")
    try:
        value = json.loads(data.decode(), object_pairs_hook=distinct_keys, parse_constant=refuse_constant)
    except RecursionError:
        raise InputError(f"{where}: JSON nested too deeply") from None
    except ValueError as error:
        raise InputError(f"{where}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{where}: a JSON object was expected, found {type(value).__name__}")
    require_flat(value, where)
    return value


def require_flat(container: dict | list, where: str, levels: int = NESTING) -> None:
    """Raise InputError if containers are nested in more levels: Python could not even print them."""
    if levels == 0:
        raise InputError(f"{where}: JSON nested too deeply")
    for child in container.values() if isinstance(container, dict) else container:
        if isinstance(child, (dict, list)):
            require_flat(child, where, levels - 1)


def distinct_keys(pairs: list[tuple[str, object]]) -> dict:
    value = dict(pairs)
    if len(value) < len(pairs):
        again = next(key for key, _ in pairs if value.pop(key, pairs) is pairs)
        raise ValueError(f"the key {again[:60]!r} occurs twice")
    return value


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
