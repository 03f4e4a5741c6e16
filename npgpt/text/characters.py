"""Character tokenizer: every distinct character of the text is a token."""
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.text.base_tokenizer import Tokenizer, write_tokenizer_json


class CharacterTokenizer(Tokenizer):
    """The tokens 0 .. V - 1 are the characters of `vocabulary`, in its order. Raises InputError for an invalid one."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self.vocabulary = list(vocabulary)
        self._known = set(self.vocabulary)
        points = np.array([ord(character) for character in self.vocabulary], np.uint32)
        self._ids = np.argsort(points)                         # ids in the order of their code points,
        self._points = points[self._ids]                       # so that searchsorted finds them
        if not self.vocabulary or (np.diff(self._points) == 0).any():
            raise InputError("a character vocabulary needs at least one character, and each only once")
        if ((points >= 0xD800) & (points <= 0xDFFF)).any():
            raise InputError("a character vocabulary cannot contain surrogates, U+D800 to U+DFFF: UTF-8 cannot encode them")
        self.token_bytes = [character.encode() for character in self.vocabulary]

    @classmethod
    def of_text(cls, text: str) -> "CharacterTokenizer":
        """The tokenizer of the characters that occur in a text, sorted."""
        return cls(sorted(set(text)))

    @classmethod
    def of_json(cls, model: dict) -> "CharacterTokenizer":
        """The tokenizer that save wrote as the "model" of tokenizer.json. Raises InputError."""
        vocabulary = model.get("vocab")
        if not isinstance(vocabulary, dict):
            raise InputError("not a character tokenizer (model.type \"WordLevel\" with a vocab)")
        by_id = {i: character for character, i in vocabulary.items() if type(i) is int and len(character) == 1}
        if sorted(by_id) != list(range(len(vocabulary))):
            raise InputError(f"the vocabulary must give the ids 0 to {len(vocabulary) - 1} to single characters")
        return cls(by_id[i] for i in range(len(by_id)))

    def encode(self, text: str) -> np.ndarray:
        """text  ->  ids (N,). Raises InputError for an unknown character, naming it and its position."""
        unknown = set(text) - self._known
        if unknown:
            position = min(map(text.index, unknown))
            raise InputError(f"the character {text[position]!r} at position {position} is not in the vocabulary "
                             f"of {self.vocab_size} characters")
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        return self._ids[np.searchsorted(self._points, points)]

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, in which each character is a word."""
        split_characters = {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": False}
        ids = {character: i for i, character in enumerate(self.vocabulary)}
        write_tokenizer_json(folder, split_characters, {"type": "Fuse"},
                             {"type": "WordLevel", "vocab": ids, "unk_token": ""})
