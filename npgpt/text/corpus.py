"""Corpus: texts and token ids from files, and batches of them."""
import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.text.tokenizer import Tokenizer

TOKEN = np.dtype("<u2")                        # nanoGPT's token files: little-endian uint16, no header
TRAIN_SHARE = 0.9


class Corpus(NamedTuple):
    """Token ids for training, and others for validation."""
    train: np.ndarray
    validation: np.ndarray


def read_text(paths: Iterable[Path]) -> str:
    """The text of one or more UTF-8 files, concatenated. Raises InputError for a file that is empty or not text."""
    return "".join(map(read_text_file, paths))


def read_text_file(path: Path) -> str:
    data = Path(path).read_bytes()
    if not data:
        raise InputError(f"{path} is empty: a text file was expected")
    if b"\0" in data:
        raise InputError(f"{path} is not a text file: it has a zero byte at offset {data.index(0)}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start}") from None


def python_documentation() -> str:
    """The help topics that come with CPython (pydoc_data.topics): about 465,000 characters of English prose."""
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        raise InputError("this Python comes without its documentation (pydoc_data): give a text file instead") from None
    return "\n".join(topics[name] for name in sorted(topics))


def split_text(text: str) -> tuple[str, str]:
    """The first 90% for training and the last 10% for validation, as in nanoGPT."""
    boundary = int(len(text) * TRAIN_SHARE)
    return text[:boundary], text[boundary:]


def encode_corpus(text: str, tokenizer: Tokenizer) -> Corpus:
    """Split a text and encode it. Raises InputError for an unknown character, naming its position in the whole text."""
    train, validation = split_text(text)
    try:
        return Corpus(tokenizer.encode(train), tokenizer.encode(validation))
    except InputError:
        tokenizer.encode(text)                 # raises the error with the position in the whole text
        raise


def open_token_folder(folder: Path) -> Corpus:
    """train.bin and val.bin of a folder, as nanoGPT's prepare.py writes them."""
    return Corpus(open_tokens(Path(folder) / "train.bin"), open_tokens(Path(folder) / "val.bin"))


def open_tokens(path: Path) -> np.ndarray:
    """A token file, memory-mapped and read-only. Raises InputError for one that is not a sequence of uint16 numbers."""
    size = Path(path).stat().st_size
    if size == 0 or size % TOKEN.itemsize:
        raise InputError(f"{path} is not a token file: {size:,} bytes are not one or more uint16 numbers")
    return np.memmap(path, TOKEN, mode="r")


def require_length(tokens: np.ndarray, length: int, name: str) -> None:
    """Raise InputError if there are fewer than length + 1 tokens: one window, and the token after it."""
    if len(tokens) <= length:
        raise InputError(f"the {name} has {len(tokens):,} tokens, and a context of {length} needs {length + 1} or more: "
                         "give more text, or a smaller context")


def require_ids(ids: np.ndarray, vocab_size: int) -> None:
    """Raise InputError if a token id is outside the vocabulary."""
    if ids.max() >= vocab_size:
        raise InputError(f"the data has the token id {ids.max()}, but the model's vocabulary is 0 to {vocab_size - 1}")


def random_batch(tokens: np.ndarray, batch_size: int, length: int,
                 rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Windows at random positions  ->  ids (B, T), targets (B, T): each token, and the token that follows it"""
    return windows(tokens, rng.integers(len(tokens) - length, size=batch_size), length)


def windows(tokens: np.ndarray, starts: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.stack([tokens[start:start + length + 1] for start in starts]).astype(np.int64)
    return rows[:, :-1], rows[:, 1:]


def every_batch(tokens: np.ndarray, batch_size: int, length: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Consecutive windows: every token except the first is a target once  ->  ids (B, T), targets (B, T)

    If tokens remain after the last full window, they are a shorter batch of one window.
    """
    N = max(len(tokens) - 1, 0)                                # number of targets
    whole = N // length * length
    for start in range(0, whole, batch_size * length):
        stop = min(start + batch_size * length, whole)
        ids = np.asarray(tokens[start:stop], np.int64).reshape(-1, length)
        targets = np.asarray(tokens[start + 1:stop + 1], np.int64).reshape(-1, length)
        yield ids, targets
    if whole < N:
        yield np.asarray(tokens[whole:-1], np.int64)[None], np.asarray(tokens[whole + 1:], np.int64)[None]


def spread_batches(tokens: np.ndarray, batch_size: int, length: int,
                   most: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every batch, or, of a text with more than `most` targets, batches of at most so many (but at least one window):
    whole windows that are spread evenly from its beginning to its end, always the same.
    """
    if len(tokens) - 1 <= max(most, length):
        yield from every_batch(tokens, batch_size, length)
    else:
        starts = np.linspace(0, len(tokens) - 1 - length, max(int(most) // length, 1)).astype(int)
        for i in range(0, len(starts), batch_size):
            yield windows(tokens, starts[i:i + batch_size], length)
