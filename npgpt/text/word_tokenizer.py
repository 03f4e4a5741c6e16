"""What the tokenizers of BERT's words share: GPT-1's (word_bpe.py) and BERT's own (word_piece.py)."""
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.text.base_tokenizer import PIECE, Tokenizer, write_tokenizer_json
from npgpt.text.bert_words import BertNormalizer, pieces
from npgpt.text.merging import WordCache
from npgpt.text.vocabulary import SURROGATE, add_special_tokens, quote, sorted_by_id

NORMALIZER, PRE_TOKENIZER = {"type": "BertNormalizer"}, {"type": "BertPreTokenizer"}


class WordTokenizer(Tokenizer):
    """A vocabulary {token: id} of parts of words, and the special token `unknown` for what has no part in it. A subclass
    sets decoder and defines encode_word and model_json. Raises InputError for an inconsistent vocabulary.

    White space is lost, and so are capitals and accents unless the normalizer says otherwise.
    """

    decoder: dict                              # as tokenizer.json describes it

    def __init__(self, vocabulary: Mapping[str, int], special_tokens: Iterable[str], unknown: str,
                 normalizer: BertNormalizer) -> None:
        self.vocabulary, self.unknown, self.normalizer = sorted_by_id(vocabulary), unknown, normalizer
        special_tokens = {unknown, *special_tokens}
        absent = next((token for token in special_tokens if not token or token not in vocabulary), None)
        if absent is not None:
            raise InputError(f"the special token {quote(absent)} is empty or not in the vocabulary")
        odd = next(filter(SURROGATE.search, vocabulary), None)
        if odd is not None:
            raise InputError(f"the token {quote(odd)} contains a surrogate, U+D800 to U+DFFF, which UTF-8 cannot encode")
        self.special_tokens = {token: i for i, token in enumerate(self.vocabulary) if token in special_tokens}
        self.ids = {token: i for token, i in vocabulary.items() if token not in special_tokens}    # those of plain text
        self._words = WordCache(self._encode_raw_word)

    def encode_plain(self, text: str) -> np.ndarray:
        """text  ->  ids (N,), by words"""
        words = chain.from_iterable(map(self.normalizer.raw_words, self.pieces(text)))
        return np.fromiter(chain.from_iterable(map(self._words.__getitem__, words)), np.int64)

    def _encode_raw_word(self, raw_word: str) -> list[int]:
        return [i for word in self.normalizer.split(raw_word) for i in self.encode_word(word)]

    @abstractmethod
    def encode_word(self, word: str) -> list[int]:
        """The ids of one of BERT's words."""

    def pieces(self, text: str) -> Iterator[str]:
        return pieces(text, PIECE)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, which transformers and tokenizers can load."""
        vocabulary = {token: i for i, token in enumerate(self.vocabulary)}
        write_tokenizer_json(folder, PRE_TOKENIZER, self.decoder, {**self.model_json(), "vocab": vocabulary},
                             self.special_tokens, {**NORMALIZER, **self.normalizer._asdict()})

    @abstractmethod
    def model_json(self) -> dict:
        """The model in tokenizer.json, without its vocabulary."""


class Content(NamedTuple):
    """What tokenizer.json says about the vocabulary and the words."""
    vocabulary: dict[str, int]
    special_tokens: list[str]
    unknown: str
    normalizer: BertNormalizer


def parse_word_tokenizer(description: dict, model: Mapping[str, object], decoder: Mapping[str, object]) -> Content:
    """The content of tokenizer.json. A post-processor, padding and truncation are ignored. Raises InputError unless it
    has the decoder and, in its model, the values that are given here.
    """
    found = description["model"]
    for name, value in model.items():
        if (found.get(name, value) or None) != (value or None):                 # "", 0, false and null are the same here
            raise InputError(f"npgpt does not support model.{name} {quote(found[name])}: it must be {value!r}")
    if not isinstance(found.get("vocab"), dict) or not isinstance(found.get("unk_token"), str):
        raise InputError("model.vocab and model.unk_token are missing or not an object and a text")
    for part, value in (("pre_tokenizer", PRE_TOKENIZER), ("decoder", decoder)):
        if description.get(part) != value:
            raise InputError(f"npgpt supports only the {part} {value['type']}, with its defaults, for words of this kind, "
                             f"not {quote(description.get(part))}")
    vocabulary = dict(found["vocab"])
    special_tokens = add_special_tokens(vocabulary, description.get("added_tokens"))
    return Content(vocabulary, special_tokens, found["unk_token"], parse_normalizer(description.get("normalizer")))


def parse_normalizer(normalizer: object) -> BertNormalizer:
    """Raises InputError for another normalizer than BertNormalizer."""
    if isinstance(normalizer, dict) and normalizer.get("type") == NORMALIZER["type"]:
        fields = {name: value for name, value in normalizer.items() if name != "type"}
        if fields.keys() <= set(BertNormalizer._fields) and all(
                isinstance(value, bool) or value is None and name == "strip_accents" for name, value in fields.items()):
            return BertNormalizer(**fields)
    raise InputError(f"npgpt supports only the normalizer BertNormalizer for words of this kind, not {quote(normalizer)}")
