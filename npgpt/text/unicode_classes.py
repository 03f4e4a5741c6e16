r"""Letters, numbers and spaces: the character classes \p{L}, \p{N} and White_Space, which `re` does not have.

Their tables are in unicode16.txt, as ranges of hexadecimal code points. They are those of Unicode 16, as in tiktoken 0.14
and tokenizers 0.23; every code point was compared with both. They are stored because `unicodedata` depends on the version
of Python (3.10 has Unicode 13), and the same text must give the same tokens everywhere. A character that only later
versions of Unicode assign is neither a letter nor a number here. In `re`, \s also includes U+001C to U+001F.
bert_characters.txt has the tables of BERT in the same form (bert_words.py).
"""
import functools
from pathlib import Path

FILES = [Path(__file__).with_name(name) for name in ("unicode16.txt", "bert_characters.txt")]
LAST_OF_BMP, LAST = 0xFFFF, 0x10FFFF


@functools.cache
def ranges(kind: str) -> list[tuple[int, int]]:
    """The first and last code point of each range of "letters", "numbers", "spaces", or another kind in the files."""
    tables = dict(table.split("\n", 1) for file in FILES for table in file.read_text("ascii").split("\n\n"))
    pairs = (entry.partition("-") for entry in tables[kind].split())
    return [(int(first, 16), int(last or first, 16)) for first, _, last in pairs]


@functools.cache
def character_class(kind: str, last: int = LAST) -> str:
    """The characters of a kind, up to the code point `last`, as ranges inside the brackets of a regular expression."""
    return "".join(f"\\U{start:08x}-\\U{min(stop, last):08x}" for start, stop in ranges(kind) if start <= last)
