"""Byte tokenizer: the tokens are the 256 bytes, so that every text can be encoded, as its UTF-8."""
from pathlib import Path

import numpy as np

from npgpt.text.base_tokenizer import BYTE_LEVEL, Tokenizer, write_tokenizer_json
from npgpt.text.vocabulary import add_special_tokens, special_last, with_special_tokens


def byte_characters() -> list[str]:
    """The printable character that GPT-2's files write for each byte (OpenAI's bytes_to_unicode).

    A byte that is a printable character of Latin-1 is written as this character; the others are written as
    U+0100, U+0101, ..., in ascending order.
    """
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


def byte_vocabulary() -> dict[str, int]:
    """The id of each byte, by the character that it is written as."""
    return {character: byte for byte, character in enumerate(byte_characters())}


class ByteTokenizer(Tokenizer):
    """The id of a token is the value of its byte."""

    vocabulary = byte_characters()
    token_bytes = [bytes([byte]) for byte in range(256)]

    @classmethod
    def of_json(cls, description: dict) -> "ByteTokenizer":
        """The tokenizer that save described in tokenizer.json. Raises InputError."""
        vocabulary = byte_vocabulary()
        _, special_tokens = special_last(vocabulary, add_special_tokens(vocabulary, description.get("added_tokens")))
        return with_special_tokens(cls(), special_tokens)

    def encode_plain(self, text: str) -> np.ndarray:
        """text  ->  ids (N,), the bytes of its UTF-8"""
        return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64)

    def save(self, folder: Path) -> None:
        """Write tokenizer.json: byte-level BPE without merges."""
        without_splitting = {**BYTE_LEVEL, "use_regex": False}
        write_tokenizer_json(folder, without_splitting, without_splitting,
                             {"type": "BPE", "vocab": byte_vocabulary(), "merges": []}, self.special_tokens)
