"""Offsets: which characters of a text each of its tokens stands for, so that parts of a text are found among its tokens."""
import functools
import re

import numpy as np

from npgpt.text.base_tokenizer import Tokenizer
from npgpt.text.bert_words import CHINESE
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.unicode_classes import character_class
from npgpt.text.word_tokenizer import WordTokenizer


def encode_with_offsets(text: str, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """text  ->  ids (N,), those of tokenizer.encode, and offsets (N, 2): token i is text[offsets[i, 0]:offsets[i, 1]]

    Parts of a word have the offsets of the whole word where the tokenizer is one of BERT's words, because these may differ
    from the text in case and accents. A token with a part of a character has the offsets of the whole character.
    """
    if isinstance(tokenizer, WordTokenizer):
        return encode_words(text, tokenizer)
    ids = np.asarray(tokenizer.encode(text), np.int64)
    if isinstance(tokenizer, CharacterTokenizer):
        return ids, np.arange(len(ids))[:, None] + [0, 1]
    special = set(tokenizer.special_tokens.values())               # among plain text, one stands for an unknown byte
    sizes = [1 if i in special else len(tokenizer.token_bytes[i]) for i in ids.tolist()]
    stops = np.cumsum(sizes, dtype=np.int64)                       # of the tokens, in bytes
    characters = np.cumsum([0, *(len(character.encode("utf-8", "surrogatepass")) for character in text)])
    first, last = (np.searchsorted(characters, places, side="right") - 1 for places in (stops - sizes, stops - 1))
    return ids, np.stack([first, last + 1], axis=1)


def encode_words(text: str, tokenizer: WordTokenizer) -> tuple[np.ndarray, np.ndarray]:
    ids, offsets = [], []
    for word in words().finditer(text):
        parts = tokenizer.encode(word[0]).tolist()
        ids += parts
        offsets += [word.span()] * len(parts)
    return np.array(ids, np.int64), np.array(offsets, np.int64).reshape(-1, 2)


@functools.cache
def words() -> re.Pattern:
    """BERT's words: punctuation marks and Chinese characters are words by themselves."""
    alone = character_class("punctuation") + CHINESE
    return re.compile(f"[{alone}]|[^{alone}{character_class('spaces')}]+")


def tokens_of(offsets: np.ndarray, start: np.ndarray | int, stop: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last token that has a character of text[start:stop]. Where none has, first > last."""
    return np.searchsorted(offsets[:, 1], start, side="right"), np.searchsorted(offsets[:, 0], stop, side="left") - 1
