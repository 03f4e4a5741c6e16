"""Pre-tokens: GPT-2 first splits a text into words, and then merges bytes only within a word."""
import functools
import re
from collections.abc import Iterator
from itertools import chain

from npgpt.text.unicode_classes import LAST, LAST_OF_BMP, character_class

CHUNK = 2**16    # characters split at once, so that the words of a long text are never in memory all together


def pre_tokens(text: str) -> Iterator[str]:
    """The words of a text, in order. Joined, they are the text.

    GPT-2's rule (Radford et al. 2019; encoder.py of openai/gpt-2): a word is one of the contractions 's 't 're 've 'm
    'll 'd; or letters, numbers or other characters, with one space before them if there is one; or whitespace, without
    its last character if a word follows: a space becomes part of that word, a line break or tab is a word by itself.
    """
    return chain.from_iterable(map(words_of_chunk, chunks(text)))


def words_of_chunk(text: str) -> list[str]:
    """A chunk without characters beyond U+FFFF is split by a rule without their ranges, which is six times as fast:
    `re` has a table for the first 65,536 characters, but compares the others with one range after the other.
    """
    return rule(LAST if max(text) > chr(LAST_OF_BMP) else LAST_OF_BMP).findall(text)


@functools.cache
def rule(last: int) -> re.Pattern:
    r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+    for characters up to `last`"""
    letter, number, space = (character_class(kind, last) for kind in ("letters", "numbers", "spaces"))
    return re.compile(f"'s|'t|'re|'ve|'m|'ll|'d| ?[{letter}]+| ?[{number}]+| ?[^{space}{letter}{number}]+"
                      f"|[{space}]+(?![^{space}])|[{space}]+")


def chunks(text: str, size: int = CHUNK) -> Iterator[str]:
    """The text in pieces of `size` characters or a few more. Every piece but the first begins with whitespace that
    follows another character.

    The rule always splits there, whatever the other characters are, so that the words of the pieces are those of the text.
    """
    space = character_class("spaces")
    return cut_before(re.compile(f"(?<=[^{space}])[{space}]"), text, size)


def cut_before(boundary: re.Pattern, text: str, size: int) -> Iterator[str]:
    """The text in pieces, each of at least `size` characters but the last, which end before the next boundary."""
    start = 0
    while start < len(text):
        found = boundary.search(text, start + size)
        stop = found.start() if found else len(text)
        yield text[start:stop]
        start = stop
