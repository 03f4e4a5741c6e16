"""Arguments: types and defaults of those that several commands have, and how they are printed for a shell."""
import argparse
import shlex
from collections.abc import Iterable
from pathlib import Path

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
    if not folder.exists():
        raise argparse.ArgumentTypeError(f"the folder {folder} does not exist; a model from huggingface.co is downloaded "
                                         "first: 'hf download openai-community/gpt2 --local-dir gpt2'")
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{folder} is not a folder")
    return folder


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
