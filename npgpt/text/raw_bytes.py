"""Byte tokenizer: the 256 bytes of UTF-8 are the tokens. It knows every text there is."""
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.files import read_json
from npgpt.text.tokenizer_json import BYTE_LEVEL, TOKENIZER_FILE, write_tokenizer_json


class ByteTokenizer:
    """The id of a token is the value of its byte."""
    vocab_size = 256

    def encode(self, text: str) -> np.ndarray:
        """text  ->  ids (N,), the bytes of its UTF-8"""
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """ids  ->  text; bytes that are not UTF-8 become U+FFFD. Raises InputError for an id that is no byte."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        ids = list(ids)
        wrong = next((i for i in ids if not 0 <= i < 256), None)
        if wrong is not None:
            raise InputError(f"the token id {wrong} is no byte (0 to 255)")
        return bytes(ids)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json, in the format of Hugging Face's tokenizers: byte-level BPE without merges."""
        uncut = {**BYTE_LEVEL, "use_regex": False}
        write_tokenizer_json(folder, uncut, uncut, {"type": "BPE", "vocab": byte_vocabulary(), "merges": []})

    @classmethod
    def load(cls, folder: Path) -> "ByteTokenizer":
        """Read what save wrote. Raises InputError where it is not that."""
        return cls.of_json(read_json(Path(folder) / TOKENIZER_FILE), f"{Path(folder) / TOKENIZER_FILE}")

    @classmethod
    def of_json(cls, description: dict, where: str) -> "ByteTokenizer":
        model = description.get("model")
        if not (isinstance(model, dict) and model.get("type") == "BPE" and model.get("merges") == []
                and model.get("vocab") == byte_vocabulary()):
            raise InputError(f"{where}: not a byte tokenizer (model.type \"BPE\", 256 bytes, no merges)")
        return cls()


def byte_characters() -> list[str]:
    """The printable character that GPT-2's files write for each byte (OpenAI's bytes_to_unicode).

    Bytes that Latin-1 prints stand for themselves; the others get U+0100, U+0101, ... in their order.
    """
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    spare = iter(range(256, 512))
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]


def byte_vocabulary() -> dict[str, int]:
    return {character: byte for byte, character in enumerate(byte_characters())}
