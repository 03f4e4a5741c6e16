"""Character tokenizer: every distinct character of the text is a token."""
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.files import read_json
from npgpt.text.tokenizer_json import TOKENIZER_FILE, write_tokenizer_json


class CharacterTokenizer:
    """Ids 0 .. V - 1 stand for the characters of `vocabulary`, in their order.

    Raises InputError where a character stands twice, is half of a surrogate pair, or there is none.
    """

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self.vocabulary = list(vocabulary)
        points = np.array([ord(character) for character in self.vocabulary], np.uint32)
        self._ids = np.argsort(points)                         # ids in the order of their code points,
        self._points = points[self._ids]                       # so that searchsorted finds them
        if not self.vocabulary or (np.diff(self._points) == 0).any():
            raise InputError("a character vocabulary needs at least one character, and each only once")
        if ((points >= 0xD800) & (points <= 0xDFFF)).any():
            raise InputError("a character vocabulary cannot have halves of surrogate pairs: no file can hold them")

    @classmethod
    def of_text(cls, text: str) -> "CharacterTokenizer":
        """The tokenizer of the characters that occur in a text, sorted."""
        return cls(sorted(set(text)))

    @property
    def vocab_size(self) -> int:
        return len(self.vocabulary)

    def encode(self, text: str) -> np.ndarray:
        """text  ->  ids (N,). Raises InputError for an unknown character, naming it and its position."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        places = np.minimum(np.searchsorted(self._points, points), len(self._points) - 1)
        unknown = np.flatnonzero(self._points[places] != points)
        if len(unknown):
            position = int(unknown[0])
            raise InputError(f"the character {text[position]!r} at position {position} is not in the vocabulary "
                             f"of {self.vocab_size} characters")
        return self._ids[places]

    def decode(self, ids: Iterable[int]) -> str:
        """ids  ->  text. Raises InputError for an id outside the vocabulary."""
        ids = list(ids)
        wrong = next((i for i in ids if not 0 <= i < self.vocab_size), None)
        if wrong is not None:
            raise InputError(f"the token id {wrong} is outside the vocabulary of {self.vocab_size}")
        return "".join(self.vocabulary[i] for i in ids)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """ids  ->  UTF-8"""
        return self.decode(ids).encode("utf-8", "surrogatepass")

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, in the format of Hugging Face's tokenizers: a word for each character."""
        each_by_itself = {"type": "Split", "pattern": {"Regex": r"[\s\S]"}, "behavior": "Isolated", "invert": False}
        ids = {character: i for i, character in enumerate(self.vocabulary)}
        write_tokenizer_json(folder, each_by_itself, {"type": "Fuse"},
                             {"type": "WordLevel", "vocab": ids, "unk_token": ""})

    @classmethod
    def load(cls, folder: Path) -> "CharacterTokenizer":
        """Read what save wrote. Raises InputError where it is not that."""
        return cls.of_json(read_json(Path(folder) / TOKENIZER_FILE), f"{Path(folder) / TOKENIZER_FILE}")

    @classmethod
    def of_json(cls, description: dict, where: str) -> "CharacterTokenizer":
        model = description.get("model")
        vocabulary = model.get("vocab") if isinstance(model, dict) and model.get("type") == "WordLevel" else None
        if not isinstance(vocabulary, dict):
            raise InputError(f"{where}: not a character tokenizer (model.type \"WordLevel\" with a vocab)")
        by_id = {i: character for character, i in vocabulary.items() if type(i) is int and len(character) == 1}
        if sorted(by_id) != list(range(len(vocabulary))):
            raise InputError(f"{where}: the vocabulary must give the ids 0 to {len(vocabulary) - 1} to single characters")
        return cls(by_id[i] for i in range(len(by_id)))
