"""The files of labelled examples that `npgpt finetune` reads."""
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.text.example_files import read_examples
from npgpt.text.examples import Example

HELD_OUT = 10                                   # one example in so many is for validation, if no file is given
NAME = re.compile(r"[\w-]+")                    # of a task, which names tensors and folders


class DataSet(NamedTuple):
    """A file's examples for training and validation."""
    path: Path
    training: list[Example]
    validation: list[Example]
    held_out: Path                              # the file that the validation examples are from

    @property
    def labelled(self) -> list[Example]:
        """All examples of the training file."""
        return self.training + self.validation * (self.held_out == self.path)


def texts(data: Sequence[DataSet]) -> Iterator[str]:
    """All texts of the training examples."""
    for one in data:
        for example in one.training:
            for field in example:
                if isinstance(field, (str, tuple)):
                    yield "".join(field)


def task_names(paths: Sequence[Path]) -> list[str]:
    """The names of the tasks, where there are several: those of the files up to their first point."""
    if len(paths) == 1:
        return [""]
    names = [path.name.partition(".")[0] for path in paths]
    for path, name in zip(paths, names):
        if not NAME.fullmatch(name) or names.count(name) > 1:
            raise InputError(f"{path}: each task is named after its file, up to the first point: give the files different "
                             "names of letters, digits, _ and -")
    return names


def read_data(paths: Sequence[Path], validation: Sequence[Path] | None, seed: int) -> list[DataSet]:
    """The examples of each file. Without files for validation, a tenth of them, drawn from the seed, is held out."""
    if validation and len(validation) != len(paths):
        raise InputError(f"--validation names {len(validation)} files, and --data {len(paths)}: one for each is needed")
    found = []
    for i, path in enumerate(paths):
        examples = read_examples(path)
        if validation:
            found.append(DataSet(path, examples, read_examples(validation[i]), validation[i]))
            continue
        if len(examples) < 2:
            raise InputError(f"{path}: has a single example: one to train on and one to validate on are needed")
        order = np.random.default_rng([seed, 3]).permutation(len(examples))
        held_out = set(order[:max(len(examples) // HELD_OUT, 1)].tolist())
        found.append(DataSet(path, [one for j, one in enumerate(examples) if j not in held_out],
                             [one for j, one in enumerate(examples) if j in held_out], path))
    return found


def digest(paths: Iterable[Path], validation: Iterable[Path] | None) -> str:
    """The digest of all files together."""
    parts = [hashlib.sha256(Path(path).read_bytes()).digest() for path in (*paths, *(validation or ()))]
    return hashlib.sha256(b"".join(parts)).hexdigest()
