"""Read the tensors of a model directory, from one file or from several files listed in an index."""
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from npgpt.errors import InputError, listed
from npgpt.interop.safetensors import read_safetensors
from npgpt.json_files import read_json

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
MOST_FILES = 10_000          # far beyond any model
PICKLED = "pytorch_model.bin"


def weights_file(folder: Path) -> Path | None:
    """The file to open first: model.safetensors, otherwise the index of several files, otherwise None."""
    return next((Path(folder) / name for name in (WEIGHTS, INDEX) if (Path(folder) / name).is_file()), None)


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """All tensors by name, memory-mapped. Raises InputError if there are no weights, or a file is damaged."""
    path = weights_file(folder)
    if path is None:
        pickled = (f" ({PICKLED} holds Python code, which npgpt does not run: save the model with a newer transformers)"
                   if (Path(folder) / PICKLED).is_file() else "")
        raise InputError(f"{folder} is not a model directory: there is no {WEIGHTS} in it{pickled}")
    return read_safetensors(path)[0] if path.name == WEIGHTS else read_shards(path)


def read_shards(index: Path) -> dict[str, np.ndarray]:
    """The tensors in the files that an index lists. Raises InputError, naming all differences between them."""
    file_of = checked_weight_map(read_json(index).get("weight_map"), index)
    names = sorted(set(file_of.values()))
    if len(names) > MOST_FILES:
        raise InputError(f"{index} lists {len(names):,} files: too many (at most {MOST_FILES:,})")
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise InputError(f"{index} lists missing files: {', '.join(missing)}")
    tensors, problems = {}, []
    for name in names:
        found, _ = read_safetensors(index.parent / name)
        problems += [f"{tensor} is not in {name}"
                     for tensor, file in file_of.items() if file == name and tensor not in found]
        problems += [f"{tensor} is in {name}, but listed in {file_of.get(tensor, 'none')}"
                     for tensor in found if file_of.get(tensor) != name]
        tensors |= found
    if problems:
        raise InputError(f"{index} does not match its files: {listed(problems)}")
    return tensors


def checked_weight_map(file_of: object, index: Path) -> Mapping[str, str]:
    """The weight_map of an index, {tensor: file}. Raises InputError unless all are safetensors files in its own folder."""
    if not isinstance(file_of, dict) or not file_of:
        raise InputError(f"{index}: weight_map must map the name of every tensor to the name of a file")
    for tensor, name in file_of.items():
        if (not isinstance(name, str) or not name.endswith(".safetensors") or Path(name).name != name
                or set(name) & {"\0", "\\"}):
            raise InputError(f"{index}: the file of tensor {tensor!r} is {name!r}, not a safetensors file in this folder")
    return file_of
