"""The files of labelled examples that `npgpt finetune` reads."""
import hashlib
import re
from collections import defaultdict
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
        held_out = to_hold_out(examples, np.random.default_rng([seed, 3]))
        found.append(DataSet(path, [one for one in examples if one.line not in held_out],
                             [one for one in examples if one.line in held_out], path))
    return found


def to_hold_out(examples: Sequence[Example], rng: np.random.Generator) -> set[int]:
    """The lines of about a tenth of the examples. Those that begin with the same text stay together, unless they are more:
    if each sentence has a pair of either label, a model that knows one of them by heart would be wrong about the other.
    """
    wanted, lines, held_out = max(len(examples) // HELD_OUT, 1), defaultdict(list), set()
    for example in examples:
        lines[example[0]].append(example.line)
    groups = list(lines.values())
    if max(map(len, groups)) > wanted:
        groups = [[example.line] for example in examples]
    for i in rng.permutation(len(groups)):
        if len(held_out) < wanted:
            held_out.update(groups[i])
    return held_out


def digest(paths: Iterable[Path], validation: Iterable[Path] | None) -> str:
    """The digest of all files together."""
    parts = [hashlib.sha256(Path(path).read_bytes()).digest() for path in (*paths, *(validation or ()))]
    return hashlib.sha256(b"".join(parts)).hexdigest()
