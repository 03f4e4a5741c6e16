"""What all tokenizers share: the base class Tokenizer, and tokenizer.json, the format of Hugging Face's tokenizers."""
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.json_files import write_json

TOKENIZER_FILE = "tokenizer.json"
PIECE = 2**20            # characters of a long text that are encoded at once
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


class Tokenizer(ABC):
    """Converts text to token ids and back. A subclass sets token_bytes, and defines encode and save."""

    token_bytes: Sequence[bytes]    # the bytes of each token, in the order of the ids

    @property
    def vocab_size(self) -> int:
        return len(self.token_bytes)

    @abstractmethod
    def encode(self, text: str) -> np.ndarray:
        """text  ->  ids (N,)"""

    def pieces(self, text: str) -> Iterator[str]:
        """A long text in pieces that can be encoded one after the other: together, their ids are those of the text."""
        return (text[start:start + PIECE] for start in range(0, len(text), PIECE))

    def decode(self, ids: Iterable[int]) -> str:
        """ids  ->  text; bytes that are not UTF-8 become U+FFFD. Raises InputError for an id outside the vocabulary."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """ids  ->  the bytes of their tokens, joined. Raises InputError for an id outside the vocabulary."""
        ids = list(ids)
        wrong = next((i for i in ids if not 0 <= i < self.vocab_size), None)
        if wrong is not None:
            raise InputError(f"the token id {wrong} is outside the vocabulary of {self.vocab_size}")
        return b"".join([self.token_bytes[i] for i in ids])

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the files that load_tokenizer reads."""


def write_tokenizer_json(folder: Path, pre_tokenizer: dict, decoder: dict, model: dict,
                         added_tokens: Sequence[dict] = ()) -> None:
    """Write tokenizer.json: pre_tokenizer splits a text into words, model turns words into tokens, and decoder joins
    tokens to a text. The format's other steps are null.
    """
    write_json(Path(folder) / TOKENIZER_FILE, {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added_tokens), "normalizer": None,
        "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": decoder, "model": model})
