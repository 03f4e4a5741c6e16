"""Words as BERT splits them: the text is cleaned, lower-cased and divided at white space and punctuation. GPT-1 does too.

The rules are those of BertNormalizer and BertPreTokenizer of Hugging Face's tokenizers 0.23, which follow BasicTokenizer in
Google's code (Devlin et al. 2019). tokenizers takes its tables from several versions of Unicode: punctuation, marks and
controls from an old one, decompositions from Unicode 9, lower case from Unicode 17. bert_characters.txt holds them, so that
every version of Python gives the same words; every code point was compared.
"""
import functools
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from npgpt.text.pre_tokens import cut_before
from npgpt.text.unicode_classes import character_class

CHINESE = ("\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
           "\U00020000-\U0002a6df\U0002a700-\U0002b81f\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f")
SPACE = re.compile(r"[\t\n\r ]")
# Capitals later than Unicode 13, which Python 3.10 has: the first and last of a range, and what the first becomes.
LATER_CAPITALS = [
    (0x1C89, 0x1C89, 0x1C8A), (0x2C2F, 0x2C2F, 0x2C5F), (0xA7C0, 0xA7C0, 0xA7C1), (0xA7CB, 0xA7CB, 0x0264),
    (0xA7CC, 0xA7CC, 0xA7CD), (0xA7CE, 0xA7CE, 0xA7CF), (0xA7D0, 0xA7D0, 0xA7D1), (0xA7D2, 0xA7D2, 0xA7D3),
    (0xA7D4, 0xA7D4, 0xA7D5), (0xA7D6, 0xA7D6, 0xA7D7), (0xA7D8, 0xA7D8, 0xA7D9), (0xA7DA, 0xA7DA, 0xA7DB),
    (0xA7DC, 0xA7DC, 0x019B), (0x10570, 0x1057A, 0x10597), (0x1057C, 0x1058A, 0x105A3), (0x1058C, 0x10592, 0x105B3),
    (0x10594, 0x10595, 0x105BB), (0x10D50, 0x10D65, 0x10D70), (0x16EA0, 0x16EB8, 0x16EBB)]

SMALL_LETTERS = {first + i: small + i for first, last, small in LATER_CAPITALS for i in range(last - first + 1)}
SMALL_LETTERS[ord("Σ")] = ord("σ")             # also at the end of a word, where str.lower() makes ς of it


class BertNormalizer(NamedTuple):
    """The settings, with the names that they have in tokenizer.json."""
    clean_text: bool = True                    # drop control characters
    handle_chinese_chars: bool = True          # make a word of each Chinese character
    strip_accents: bool | None = None          # None: if lowercase
    lowercase: bool = True

    def normalize(self, text: str) -> str:
        """The text as it is before it is split; each character of white space becomes a space if clean_text."""
        text = self.fold(self.separate(text))
        return pattern("[{}]", "spaces").sub(" ", text) if self.clean_text else text

    def words(self, text: str) -> Iterator[str]:
        """The words of a text, in order. Each punctuation mark is a word."""
        for word in self.raw_words(text):
            yield from self.split(word)

    def raw_words(self, text: str) -> list[str]:
        """The parts of a text between white space; split divides them into words."""
        return pattern("[^{}]+", "spaces").findall(self.separate(text))

    def separate(self, text: str) -> str:
        if self.clean_text:
            text = pattern("[{}]+", "controls").sub("", text)
        return re.sub(f"[{CHINESE}]", r" \g<0> ", text) if self.handle_chinese_chars else text

    def split(self, raw_word: str) -> list[str]:
        return pattern("[{0}]|[^{0}]+", "punctuation").findall(self.fold(raw_word))

    def fold(self, word: str) -> str:
        """The word without accents and in lower case."""
        if not word.isascii():
            if self.lowercase if self.strip_accents is None else self.strip_accents:
                word = pattern("[{}]+", "marks").sub("", decomposed(word))
            if self.lowercase:
                word = word.translate(SMALL_LETTERS)
        return word.lower() if self.lowercase else word


def decomposed(text: str) -> str:
    """Unicode's canonical decomposition (NFD), as of Unicode 9. Marks that are later do not move past others."""
    parts = pattern("([{}]+)", "starters").split(text)
    return "".join(part if i % 2 else unicodedata.normalize("NFD", part) for i, part in enumerate(parts))


@functools.cache
def pattern(form: str, kind: str) -> re.Pattern:
    """A regular expression with the characters of a kind."""
    return re.compile(form.format(character_class(kind)))


def pieces(text: str, size: int) -> Iterator[str]:
    """The text in pieces of `size` characters or a few more. Together, their words are those of the text."""
    return cut_before(SPACE, text, size)
