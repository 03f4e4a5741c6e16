"""Corpus: texts and token ids from files, and batches of them."""
import codecs
import importlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.text.tokenizer import Tokenizer

TOKEN = np.dtype("<u2")                        # nanoGPT's token files: little-endian uint16, no header
TOKEN_FILES = ("train.bin", "val.bin")
TEXT_FILES = ".txt"                            # the text files of a folder
TRAIN_SHARE = 0.9


class Corpus(NamedTuple):
    """Token ids for training, and others for validation."""
    train: np.ndarray
    validation: np.ndarray

    @property
    def bytes_in_memory(self) -> int:
        """0 for memory-mapped files, of which the system keeps as much in memory as there is room for."""
        return sum(part.nbytes for part in self if not isinstance(part, np.memmap))


def read_text(paths: Iterable[Path]) -> str:
    """The text of one or more UTF-8 files, concatenated; of a folder, that of the .txt files in it, in the order of their
    names. Raises InputError for a file that is empty or not text.
    """
    return "".join(read_text_file(file) for path in paths for file in text_files(Path(path)))


def text_files(path: Path) -> list[Path]:
    """The .txt files in a folder that are not hidden, sorted; the path itself if it is not a folder."""
    if not path.is_dir():
        return [path]
    if holds_token_files(path):
        raise InputError(f"{path} holds token ids, not text: it cannot be combined with other data")
    files = sorted(file for file in path.iterdir()
                   if file.suffix.lower() == TEXT_FILES and not file.name.startswith(".") and file.is_file())
    if not files:
        raise InputError(f"the folder {path} holds no text files that end in {TEXT_FILES}, and no token ids in "
                         f"{' and '.join(TOKEN_FILES)}: name the files themselves")
    return files


def read_text_file(path: Path) -> str:
    text = decode_text(path.read_bytes(), str(path))
    if not text:
        raise InputError(f"{path} is empty: a text file was expected")
    return text


def decode_text(data: bytes, name: str) -> str:
    """The text of a file, without a byte order mark. Raises InputError, with the file's name, for one that is not UTF-8."""
    if b"\0" in data and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{name} is not a text file: it has a zero byte at offset {data.index(0)}")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text: byte 0x{data[error.start]:02x} at offset {error.start}; "
                         "save the file as UTF-8") from None


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


def encode_corpus(text: str, tokenizer: Tokenizer, report: Callable[[int], object] = lambda characters: None) -> Corpus:
    """Split a text and encode it; report is as in encode_text. Raises InputError for an unknown character, naming its
    position in the whole text.
    """
    train, validation = split_text(text)
    try:
        return Corpus(encode_text(train, tokenizer, report),
                      encode_text(validation, tokenizer, lambda characters: report(len(train) + characters)))
    except InputError:
        tokenizer.encode(text)                 # raises the error with the position in the whole text
        raise


def encode_text(text: str, tokenizer: Tokenizer, report: Callable[[int], object] = lambda characters: None) -> np.ndarray:
    """A long text  ->  ids (N,), in the smallest unsigned integers that hold them. It is encoded piece by piece, so that
    little more memory is needed than for the result; after each piece, report gets the number of characters encoded.
    """
    dtype = np.min_scalar_type(tokenizer.vocab_size - 1)
    ids, characters = bytearray(), 0
    for piece in tokenizer.pieces(text):
        ids += tokenizer.encode(piece).astype(dtype).tobytes()
        characters += len(piece)
        report(characters)
    return np.frombuffer(ids, dtype)


def holds_token_files(folder: Path) -> bool:
    """Whether a folder has train.bin or val.bin."""
    return any((folder / name).exists() for name in TOKEN_FILES)


def open_token_folder(folder: Path) -> Corpus:
    """train.bin and val.bin of a folder, as nanoGPT's prepare.py writes them."""
    return Corpus(*(open_tokens(Path(folder) / name) for name in TOKEN_FILES))


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
