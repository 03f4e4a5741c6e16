"""Which tokenizer a folder holds. Every tokenizer has vocab_size, encode, decode, decode_bytes, save, load."""
from pathlib import Path
from typing import Protocol

import numpy as np

from npgpt.errors import InputError
from npgpt.files import read_json
from npgpt.text.characters import FILE, CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer


class Tokenizer(Protocol):
    vocab_size: int

    def encode(self, text: str) -> np.ndarray: ...
    def decode(self, ids) -> str: ...
    def decode_bytes(self, ids) -> bytes: ...
    def save(self, folder: Path) -> None: ...


def holds_tokenizer(folder: Path) -> bool:
    return (Path(folder) / FILE).is_file()


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer saved in a folder. Raises InputError where there is none that npgpt knows."""
    path = Path(folder) / FILE
    if not holds_tokenizer(folder):
        raise InputError(f"{folder} holds no tokenizer: there is no {FILE} in it")
    description = read_json(path)
    model = description.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if kind == "WordLevel":
        return CharacterTokenizer.of_json(description, str(path))
    return ByteTokenizer.of_json(description, str(path))
