"""Texts and token ids on the command line: read from what --data names, and encoded with progress."""
import argparse
import hashlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from npgpt.commands.progress import Progress
from npgpt.errors import InputError
from npgpt.runs.settings import RunSettings
from npgpt.text.base_tokenizer import PIECE, Tokenizer
from npgpt.text.corpus import (Corpus, encode_corpus, holds_token_files, open_token_folder, python_documentation,
                               read_text)


def described(paths: Iterable | None) -> str:
    return ", ".join(map(str, paths)) if paths else "the documentation that comes with Python"


def recorded_paths(settings: RunSettings) -> list[Path] | None:
    """Raises InputError for a device, a pipe or an empty file, as those of /proc are: a checkpoint from somebody else may
    name them, and reading them may never end.
    """
    paths = settings.data and [Path(path) for path in settings.data]
    for path in paths or ():
        if path.exists() and not (path.is_dir() or path.is_file() and path.stat().st_size):
            raise InputError(f"{path}, which the run was trained on, is not a file, or empty: name its data with --data")
    return paths


def read_data(paths: list[Path] | None) -> tuple[str | Corpus, str]:
    """The text of files and folders, or the token ids of one folder; and their digest."""
    if paths and len(paths) == 1 and holds_token_files(paths[0]):
        data = parts = open_token_folder(paths[0])
    else:
        data = read_text(paths) if paths else python_documentation()
        parts = (data[start:start + PIECE].encode() for start in range(0, len(data), PIECE))
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return data, digest.hexdigest()


def encode(text: str, tokenizer: Tokenizer, args: argparse.Namespace) -> Corpus:
    """Raises InputError for a character that the vocabulary of --init lacks."""
    try:
        with Progress() as progress:
            return encode_corpus(text, tokenizer, partial(show_encoded, progress, len(text)))
    except InputError as error:
        raise InputError(f"{described(args.data)}: {error} of {args.init}: remove such characters from the text, or train "
                         "a new model, without --init") from None


def show_encoded(progress: Progress, total: int, characters: int) -> None:
    progress.status(f"text: {characters:,} of {total:,} characters encoded")
