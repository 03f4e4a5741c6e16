"""Load a tokenizer of any kind from a folder."""
import contextlib
from collections.abc import Iterator
from pathlib import Path

from npgpt.errors import InputError
from npgpt.files import read_json
from npgpt.text.base_tokenizer import Tokenizer
from npgpt.text.byte_pair import BytePairTokenizer
from npgpt.text.byte_pair_files import MERGES_FILE, VOCABULARY_FILE, parse_tokenizer_json, read_vocabulary_and_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer, byte_vocabulary
from npgpt.text.tokenizer_json import TOKENIZER_FILE

__all__ = ["Tokenizer", "holds_tokenizer", "load_tokenizer"]


def holds_tokenizer(folder: Path) -> bool:
    """Whether a folder has tokenizer.json, or vocab.json and merges.txt."""
    files = [(Path(folder) / name).is_file() for name in (TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE)]
    return files[0] or all(files[1:])


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read tokenizer.json, or vocab.json and merges.txt if there is no tokenizer.json.

    Raises InputError if the folder has none of them, or if npgpt does not support the tokenizer.
    """
    folder = Path(folder)
    if not holds_tokenizer(folder):
        raise InputError(f"{folder} holds no tokenizer: there is no {TOKENIZER_FILE} in it, "
                         f"nor {VOCABULARY_FILE} with {MERGES_FILE}")
    path = folder / TOKENIZER_FILE
    if path.is_file():
        description = read_json(path)
        with input_errors_named(path):
            return tokenizer_of_json(description)
    content = read_vocabulary_and_merges(folder)
    with input_errors_named(folder):
        return BytePairTokenizer(*content)


@contextlib.contextmanager
def input_errors_named(path: Path) -> Iterator[None]:
    """While the context lasts, the message of every InputError begins with `path`."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def tokenizer_of_json(description: dict) -> Tokenizer:
    """The tokenizer that the content of tokenizer.json describes. Raises InputError."""
    model = description.get("model")
    if isinstance(model, dict):
        if model.get("type") == "WordLevel":
            return CharacterTokenizer.of_json(model)
        if (model.get("type"), model.get("vocab"), model.get("merges")) == ("BPE", byte_vocabulary(), []):
            return ByteTokenizer()
    return BytePairTokenizer(*parse_tokenizer_json(description))
