"""Tokens as they are shown to people: in printable characters, with spaces that can be seen."""
from npgpt.terminal import escape
from npgpt.text.base_tokenizer import Tokenizer

SPACE = "␣"


def printable(token: int, tokenizer: Tokenizer | None) -> str:
    """A token as it can be printed: its text, or its number if the tokenizer has no such token."""
    return visible(tokenizer.decode_bytes([token])) if tokenizer and token < tokenizer.vocab_size else f"#{token}"


def visible(token: bytes) -> str:
    """␣ for a space, \\n and so on for what cannot be printed, \\xf0 for a byte of an incomplete character, \\\\ for \\."""
    text = token.replace(b"\\", rb"\\").decode("utf-8", "backslashreplace")
    return "".join(SPACE if c == " " else c if c.isprintable() else escape(c) for c in text)
