"""Pre-tokens: GPT-2 cuts a text into words before it merges bytes, and no token reaches across a cut."""
import functools
import re
from collections.abc import Iterator
from itertools import chain

from npgpt.text.unicode_classes import LAST, LAST_OF_BMP, LETTERS, NUMBERS, SPACES, character_class

CHUNK = 2**16    # characters cut at once, so that a long text is never in memory as a list of all its words


def pre_tokens(text: str) -> Iterator[str]:
    """The words of a text, in order; joined, they are the text.

    GPT-2's rule (Radford et al. 2019; encoder.py of openai/gpt-2): the endings 's 't 're 've 'm 'll 'd; letters,
    numbers, or other characters, with a space that stands before them; spaces, less the last before a word.
    """
    return chain.from_iterable(map(words_of_chunk, chunks(text)))


def words_of_chunk(text: str) -> list[str]:
    """`re` looks up the first 65,536 characters in a table, and goes through all ranges beyond them one by one,
    which takes six times as long: they are left out where a text has none."""
    return rule(LAST if max(text) > chr(LAST_OF_BMP) else LAST_OF_BMP).findall(text)


@functools.cache
def rule(last: int) -> re.Pattern:
    r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+    for characters up to `last`"""
    letter, number, space = (character_class(table, last) for table in (LETTERS, NUMBERS, SPACES))
    return re.compile(f"'s|'t|'re|'ve|'m|'ll|'d| ?[{letter}]+| ?[{number}]+| ?[^{space}{letter}{number}]+"
                      f"|[{space}]+(?![^{space}])|[{space}]+")


def chunks(text: str, size: int = CHUNK) -> Iterator[str]:
    """The text in pieces of `size` characters or some more, each but the first beginning with a space after a word.

    There the rule always cuts, whatever stands around it, so that the words of the pieces are those of the text.
    """
    space = character_class(SPACES)
    boundary = re.compile(f"(?<=[^{space}])[{space}]")
    start = 0
    while start < len(text):
        found = boundary.search(text, start + size)
        stop = found.start() if found else len(text)
        yield text[start:stop]
        start = stop
