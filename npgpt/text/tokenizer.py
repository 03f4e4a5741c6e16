"""Load a tokenizer of any kind from a folder."""
from pathlib import Path

from npgpt.errors import InputError
from npgpt.json_files import read_json
from npgpt.text.base_tokenizer import TOKENIZER_FILE, Tokenizer
from npgpt.text.byte_pair import BytePairTokenizer
from npgpt.text.byte_pair_files import MERGES_FILE, VOCABULARY_FILE, parse_tokenizer_json, read_vocabulary_and_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer, byte_vocabulary

__all__ = ["Tokenizer", "holds_tokenizer", "load_tokenizer"]


def holds_tokenizer(folder: Path) -> bool:
    """Whether a folder has tokenizer.json, or vocab.json and merges.txt."""
    files = [(Path(folder) / name).is_file() for name in (TOKENIZER_FILE, VOCABULARY_FILE, MERGES_FILE)]
    return files[0] or all(files[1:])


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read tokenizer.json or else vocab.json and merges.txt. Raises InputError if npgpt does not support the tokenizer."""
    folder = Path(folder)
    if not holds_tokenizer(folder):
        raise InputError(f"{folder} holds no tokenizer: neither {TOKENIZER_FILE} nor {VOCABULARY_FILE} with {MERGES_FILE}")
    is_json = (folder / TOKENIZER_FILE).is_file()
    content = read_json(folder / TOKENIZER_FILE) if is_json else read_vocabulary_and_merges(folder)
    try:
        return tokenizer_of_json(content) if is_json else BytePairTokenizer(*content)
    except InputError as error:
        raise InputError(f"{folder / TOKENIZER_FILE if is_json else folder}: {error}") from None


def tokenizer_of_json(description: dict) -> Tokenizer:
    """The tokenizer that the content of tokenizer.json describes. Raises InputError."""
    model = description.get("model")
    if isinstance(model, dict):
        if model.get("type") == "WordLevel":
            return CharacterTokenizer.of_json(model)
        if (model.get("type"), model.get("vocab"), model.get("merges")) == ("BPE", byte_vocabulary(), []):
            return ByteTokenizer()
    return BytePairTokenizer(*parse_tokenizer_json(description))
