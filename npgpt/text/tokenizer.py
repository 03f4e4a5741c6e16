"""Which tokenizer a folder holds. Every tokenizer has vocab_size, encode, decode, decode_bytes, save, load."""
from pathlib import Path
from typing import Protocol

import numpy as np

from npgpt.errors import InputError
from npgpt.files import read_json
from npgpt.text.byte_pair import BytePairTokenizer
from npgpt.text.byte_pair_files import MERGES_FILE, VOCABULARY_FILE, holds_byte_pairs
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer, byte_vocabulary
from npgpt.text.tokenizer_json import TOKENIZER_FILE


class Tokenizer(Protocol):
    vocab_size: int

    def encode(self, text: str) -> np.ndarray: ...
    def decode(self, ids) -> str: ...
    def decode_bytes(self, ids) -> bytes: ...
    def save(self, folder: Path) -> None: ...


def holds_tokenizer(folder: Path) -> bool:
    return (Path(folder) / TOKENIZER_FILE).is_file() or holds_byte_pairs(Path(folder))


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer saved in a folder. Raises InputError where there is none that npgpt knows."""
    path = Path(folder) / TOKENIZER_FILE
    if not holds_tokenizer(folder):
        raise InputError(f"{folder} holds no tokenizer: there is no {TOKENIZER_FILE} in it, nor {VOCABULARY_FILE} with {MERGES_FILE}")
    if not path.is_file():
        return BytePairTokenizer.load(folder)
    description = read_json(path)
    model = description.get("model")
    model = model if isinstance(model, dict) else {}
    if model.get("type") == "WordLevel":
        return CharacterTokenizer.of_json(description, str(path))
    if model.get("vocab") == byte_vocabulary() and not model.get("merges"):
        return ByteTokenizer.of_json(description, str(path))
    return BytePairTokenizer.of_json(description, str(path))
