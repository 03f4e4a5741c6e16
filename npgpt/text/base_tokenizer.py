"""What all tokenizers share: the base class Tokenizer, and tokenizer.json, the format of Hugging Face's tokenizers."""
import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from npgpt.errors import InputError
from npgpt.json_files import write_json

TOKENIZER_FILE = "tokenizer.json"
PIECE = 2**20            # characters of a long text that are encoded at once
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


class Tokenizer(ABC):
    """Converts text to token ids and back. A subclass sets vocabulary and token_bytes, and defines encode_plain and save."""

    vocabulary: Sequence[str]       # the tokens as tokenizer.json writes them, in the order of the ids
    token_bytes: Sequence[bytes]    # the bytes of each token, in the same order
    special_tokens: Mapping[str, int] = MappingProxyType({})           # part of the vocabulary

    @property
    def vocab_size(self) -> int:
        return len(self.token_bytes)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vocabulary size {self.vocab_size:,})"

    @abstractmethod
    def encode_plain(self, text: str) -> np.ndarray:
        """text  ->  ids (N,), none of them of a special token, except for one that stands for what is unknown"""

    def encode(self, text: str, allowed_special: Collection[str] = ()) -> np.ndarray:
        """text  ->  ids (N,). Special tokens are recognised in the text only if they are in allowed_special.

        Raises InputError if allowed_special contains a text that is not a special token, and for a text that the
        vocabulary cannot represent.
        """
        if not allowed_special:
            return self.encode_plain(text)
        ids = {token: self.id_of(token) for token in sorted(allowed_special, key=len, reverse=True)}       # longest first
        parts = re.split(f"({'|'.join(map(re.escape, ids))})", text)                   # plain, special, plain, ...
        return np.concatenate([[ids[part]] if i % 2 else self.encode_plain(part) for i, part in enumerate(parts)])

    def id_of(self, special_token: str) -> int:
        """The id of a special token. Raises InputError if there is none with this name."""
        if special_token not in self.special_tokens:
            raise InputError(f"{special_token!r} is not a special token; this tokenizer has "
                             f"{', '.join(self.special_tokens) or 'none'}")
        return self.special_tokens[special_token]

    def bytes_of_special(self, token: str) -> bytes:
        """How decode_bytes writes a special token."""
        return token.encode()

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


def write_tokenizer_json(folder: Path, pre_tokenizer: dict, decoder: dict, model: dict, special_tokens: Mapping[str, int],
                         normalizer: dict | None = None) -> None:
    """Write tokenizer.json: normalizer changes a text, pre_tokenizer splits it into words, model turns words into tokens,
    and decoder joins tokens to a text. The format's other steps are null.
    """
    added = [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": True} for token, i in sorted(special_tokens.items(), key=lambda item: item[1])]
    write_json(Path(folder) / TOKENIZER_FILE, {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": decoder, "model": model})
