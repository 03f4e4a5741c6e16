"""Load a tokenizer of any kind from a folder."""
from pathlib import Path

from npgpt.errors import InputError
from npgpt.json_files import read_json
from npgpt.text.base_tokenizer import TOKENIZER_FILE, Tokenizer
from npgpt.text.byte_pair import BytePairTokenizer
from npgpt.text.byte_pair_files import (MERGES_FILE, VOCABULARY_FILE, Content, parse_tokenizer_json,
                                        read_vocabulary_and_merges)
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer, byte_vocabulary
from npgpt.text.word_bpe import WORD_END, WordBPETokenizer, is_of_words
from npgpt.text.word_piece import VOCABULARY_TEXT, WordPieceTokenizer, read_vocabulary_text

__all__ = ["Tokenizer", "holds_tokenizer", "load_tokenizer"]


def holds_tokenizer(folder: Path | str) -> bool:
    """Whether a folder has tokenizer.json, or vocab.json and merges.txt, or vocab.txt."""
    return kind_of_files(Path(folder)) is not None


def kind_of_files(folder: Path) -> str | None:
    """The first of the files that a tokenizer can be read from, alone or, for vocab.json, with merges.txt."""
    present = [name for name in (TOKENIZER_FILE, VOCABULARY_FILE, VOCABULARY_TEXT) if (folder / name).is_file()]
    if VOCABULARY_FILE in present and not (folder / MERGES_FILE).is_file():
        present.remove(VOCABULARY_FILE)
    return next(iter(present), None)


def load_tokenizer(folder: Path | str) -> Tokenizer:
    """Read tokenizer.json, or else vocab.json and merges.txt, or vocab.txt. Raises InputError if npgpt does not support
    the tokenizer.
    """
    folder = Path(folder)
    name = kind_of_files(folder)
    if name is None:
        raise InputError(f"{folder} holds no tokenizer: neither {TOKENIZER_FILE} nor {VOCABULARY_FILE} with {MERGES_FILE} "
                         f"nor {VOCABULARY_TEXT}")
    read, make = {TOKENIZER_FILE: (lambda folder: read_json(folder / TOKENIZER_FILE), tokenizer_of_json),
                  VOCABULARY_FILE: (read_vocabulary_and_merges, tokenizer_of_merges),
                  VOCABULARY_TEXT: (read_vocabulary_text, lambda content: WordPieceTokenizer(*content))}[name]
    content = read(folder)
    try:
        return make(content)
    except InputError as error:
        raise InputError(f"{folder if name == VOCABULARY_FILE else folder / name}: {error}") from None


def tokenizer_of_json(description: dict) -> Tokenizer:
    """The tokenizer that the content of tokenizer.json describes. Raises InputError."""
    model = description.get("model")
    if isinstance(model, dict):
        if model.get("type") == "WordLevel":
            return CharacterTokenizer.of_json(description)
        if model.get("type") == "WordPiece":
            return WordPieceTokenizer.of_json(description)
        if model.get("end_of_word_suffix") == WORD_END:
            return WordBPETokenizer.of_json(description)
        if (model.get("type"), model.get("vocab"), model.get("merges")) == ("BPE", byte_vocabulary(), []):
            return ByteTokenizer.of_json(description)
    return BytePairTokenizer(*parse_tokenizer_json(description))


def tokenizer_of_merges(content: Content) -> Tokenizer:
    """The tokenizer of vocab.json and merges.txt: GPT-1's or GPT-2's. Raises InputError."""
    vocabulary, merges, special_tokens, _ = content
    if is_of_words(vocabulary, merges):
        return WordBPETokenizer(vocabulary, merges, [token for token in special_tokens if not token.endswith(WORD_END)])
    return BytePairTokenizer(*content)
