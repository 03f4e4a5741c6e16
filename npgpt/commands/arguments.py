"""Arguments: types and defaults of those that several commands have, and how they are printed for a shell."""
import argparse
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from npgpt.errors import InputError
from npgpt.files import destination
from npgpt.interop.huggingface import require_folder
from npgpt.text.corpus import decode_text
from npgpt.training.settings import LARGEST_COUNT

OUT = Path("out")    # the default folder in which npgpt train writes a model and the other commands look for one


def path(text: str) -> Path:
    """The name of a file or folder. It must not be empty, as it is when a shell variable is not set."""
    if not text:
        raise argparse.ArgumentTypeError("the name of a file or folder must not be empty")
    return Path(text)


def for_shell(name: Path) -> str:
    """A path as it is typed in a shell after an option. With ./ in front, -name is not an option itself."""
    return shlex.quote(f"./{name}" if str(name).startswith("-") else str(name))


def model_directory(text: str) -> Path:
    """The name of a folder that exists."""
    folder = path(text)
    try:
        require_folder(folder)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return folder


def output_file(text: str) -> Path:
    """The name of a file to write, which is new or a file already."""
    try:
        return destination(path(text))
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def require_model(folder: Path) -> None:
    """Raise InputError, saying how to make one, if the model's folder is OUT and does not exist."""
    if folder == OUT and not OUT.exists():
        raise InputError(f"there is no model in {OUT} yet: npgpt train makes one there, or --model names another")


def text_of(name: Path) -> str:
    """The text of a UTF-8 file, or with the name - of standard input. Raises InputError for one that is not text."""
    if str(name) == "-":
        return decode_text(sys.stdin.buffer.read(), "standard input")
    return decode_text(name.read_bytes(), str(name))


def count(text: str) -> int:
    """A whole number of at most LARGEST_COUNT. Its smallest value is checked where it is used."""
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or value > LARGEST_COUNT:
        raise argparse.ArgumentTypeError(f"a whole number of at most {LARGEST_COUNT:,} was expected, not {text}")
    return value


def given(args: argparse.Namespace, names: Iterable[str]) -> dict[str, object]:
    """Those of the named arguments that the command line sets, or that have a default."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}
