"""The tensors of a model directory: in one file, or in several that an index lists."""
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.files import read_json
from npgpt.interop.safetensors import read_safetensors

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = "pytorch_model.bin"


def weights_file(folder: Path) -> Path | None:
    """What a folder's weights begin with: the one file, else the index of several, else nothing."""
    return next((Path(folder) / name for name in (WEIGHTS, INDEX) if (Path(folder) / name).is_file()), None)


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """All tensors by name, mapped from the disk. Raises InputError where there are none, or a file is damaged."""
    path = weights_file(folder)
    if path is None:
        pickled = (Path(folder) / PICKLED).is_file()
        raise InputError(f"{folder} is no model directory: there is no {WEIGHTS} in it"
                         f"{f' ({PICKLED} holds Python code, which npgpt does not run: save the model with a newer transformers)' * pickled}")
    return read_safetensors(path)[0] if path.name == WEIGHTS else read_shards(path)


def read_shards(index: Path) -> dict[str, np.ndarray]:
    """The tensors that an index lists, each from the file that it names.

    Raises InputError where a file is missing or outside the folder, and where the index and the files
    differ about where a tensor is: all such tensors are named.
    """
    places = checked_places(read_json(index).get("weight_map"), index)
    names = sorted(set(places.values()))
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        raise InputError(f"{index} lists files that are not there: {', '.join(missing)}")
    tensors, problems = {}, []
    for name in names:
        found, _ = read_safetensors(index.parent / name)
        problems += [f"{tensor} is not in {name}" for tensor, place in places.items()
                     if place == name and tensor not in found]
        problems += [f"{tensor} is in {name}, and listed in {places.get(tensor, 'none')}" for tensor in found
                     if places.get(tensor) != name]
        tensors |= found
    if problems:
        raise InputError(f"{index} does not fit its files: {'; '.join(problems)}")
    return tensors


def checked_places(places: object, index: Path) -> Mapping[str, str]:
    """An index's weight_map: {tensor: file}. A file is a name in the index's own folder, and no way out of it."""
    if not isinstance(places, dict) or not places:
        raise InputError(f"{index}: weight_map must map the name of every tensor to that of a file")
    for tensor, name in places.items():
        if not isinstance(name, str) or not name.endswith(".safetensors") or Path(name).name != name or set(name) & {"\0", "\\"}:
            raise InputError(f"{index}: the tensor {tensor!r} is placed in {name!r}, which is no safetensors file of this folder")
    return places
