"""The learner's file: it is run, and what goes wrong in it is described by its own lines."""
import re
import traceback
from bdb import BdbQuit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np

from npgpt.errors import InputError
from npgpt.text.corpus import decode_text

FIRST_LINE = re.compile(r'"""Exercise ([\w-]+):')


class Unfinished(Exception):
    """The learner's file cannot be checked: something is missing in it, or fails. The message is for the learner."""


def exercise_in(path: Path) -> str:
    """The name of the exercise, from the first line of its file. Raises InputError if there is none."""
    found = FIRST_LINE.match(source_of(path))
    if not found:
        raise InputError(f'{path} is not the file of an exercise: its first line is not """Exercise NAME: ... '
                         "(npgpt exercise NAME writes one)")
    return found[1]


def source_of(path: Path) -> str:
    return decode_text(path.read_bytes(), str(path)).replace("\r\n", "\n")


def definitions(path: Path) -> dict[str, object]:
    """Run the file  ->  the names that it defines. Raises Unfinished if it cannot be run."""
    namespace: dict[str, object] = {"__name__": "exercise", "__file__": str(path)}
    with errors_in(path):
        exec(compile(source_of(path), str(path), "exec"), namespace)
    return namespace


def function_in(names: dict[str, object], name: str) -> Callable:
    function = names.get(name)
    if not callable(function):
        raise Unfinished(f"the file does not define the function {name}")
    return function


@contextmanager
def errors_in(path: Path) -> Iterator[None]:
    """Errors that the file's code raises become Unfinished, with the last of its lines that was running."""
    try:
        yield
    except SyntaxError as error:
        if error.filename != str(path):
            raise
        raise Unfinished(f"{path}, line {error.lineno}: {error.msg}\n    {(error.text or '').strip()}") from None
    except (Exception, SystemExit) as error:
        places = [place for place in traceback.walk_tb(error.__traceback__) if place[0].f_code.co_filename == str(path)]
        if isinstance(error, (Unfinished, BdbQuit)):                       # q in a debugger
            raise
        if not places:                                                     # such as a function with too few arguments
            raise Unfinished(f"{path}: {type(error).__name__}: {error}") from None
        frame, number = places[-1]
        function = frame.f_code.co_name
        if isinstance(error, NotImplementedError):
            raise Unfinished(f"{path}, line {number}: {function} is still to be written") from None
        line = source_of(path).splitlines()[number - 1].strip()
        raise Unfinished(f"{path}, line {number}, in {function}:\n    {line}\n{type(error).__name__}: {error}"
                         f"{shapes_in(line, frame)}") from None


def shapes_in(line: str, frame: FrameType) -> str:
    """A line with the shapes of the arrays that a line of source uses; empty if it uses none."""
    values = {name: frame.f_locals.get(name) for name in re.findall(r"\w+", line)}
    shapes = [f"{name} {value.shape}" for name, value in values.items() if isinstance(value, np.ndarray)]
    return "\nthe shapes there: " + ", ".join(shapes) if shapes else ""
