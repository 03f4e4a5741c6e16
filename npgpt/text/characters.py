"""Character tokenizer: every distinct character of the text is a token."""
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.text.base_tokenizer import Tokenizer, write_tokenizer_json
from npgpt.text.vocabulary import add_special_tokens, quote, special_last, with_special_tokens

UNKNOWN = ("<unk>", "[UNK]")       # special tokens of these names stand for characters outside the vocabulary


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
    def of_json(cls, description: dict) -> "CharacterTokenizer":
        """The tokenizer that save described in tokenizer.json. Raises InputError."""
        vocabulary = description["model"].get("vocab")
        if not isinstance(vocabulary, dict):
            raise InputError("not a character tokenizer (model.type \"WordLevel\" with a vocab)")
        vocabulary = dict(vocabulary)
        added = add_special_tokens(vocabulary, description.get("added_tokens"))
        characters, special_tokens = special_last(vocabulary, added)
        longer = next((token for token in characters if len(token) != 1), None)
        if longer is not None:
            raise InputError(f"the token {quote(longer)} is neither a single character nor special")
        return with_special_tokens(cls(characters), special_tokens)

    @property
    def unknown(self) -> str | None:
        """The special token that stands for characters outside the vocabulary, if there is one: see UNKNOWN."""
        return next((token for token in UNKNOWN if token in self.special_tokens), None)

    def encode_plain(self, text: str) -> np.ndarray:
        """text  ->  ids (N,). Raises InputError for an unknown character, naming it and its position, if there is no
        special token for it.
        """
        foreign = set(text) - self._known
        if foreign and self.unknown is None:
            position = min(map(text.index, foreign))
            raise InputError(f"the character {text[position]!r} at position {position} is not in the vocabulary "
                             f"of {self.vocab_size} characters")
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        if not foreign:
            return self._ids[np.searchsorted(self._points, points)]
        indices = np.minimum(np.searchsorted(self._points, points), len(self._points) - 1)
        return np.where(self._points[indices] == points, self._ids[indices], self.special_tokens[self.unknown])

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, in which each character is a word."""
        split_characters = {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": False}
        ids = {token: i for i, token in enumerate(self.vocabulary)}
        write_tokenizer_json(folder, split_characters, {"type": "Fuse"},
                             {"type": "WordLevel", "vocab": ids, "unk_token": self.unknown or ""}, self.special_tokens)
