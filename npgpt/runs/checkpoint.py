"""Checkpoints: everything that a run needs to be resumed bit for bit.

Each is a model directory, RUN/checkpoints/step-00000500/, which also holds training.safetensors, AdamW's moments m and
v as flat vectors in the layout of the parameters; training.json, the rest of the state and the run's settings; and
SHA256SUMS, the digest of each file, as `sha256sum -c` reads it. It is complete, or it does not exist.
"""
import errno
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.files import errors_named, remove_folder, sha256, write_whole, write_whole_folder
from npgpt.interop.huggingface import CONFIG, WEIGHTS, load, write_model
from npgpt.interop.safetensors import read_safetensors, write_safetensors
from npgpt.json_files import write_json
from npgpt.model.model import Model
from npgpt.runs.record import RECORD, Best, read_record, record_of, restore
from npgpt.runs.settings import RunSettings
from npgpt.tasks.task import Task
from npgpt.training.settings import TrainingSettings
from npgpt.training.trainer import TrainingState, initial_state

CHECKPOINTS = "checkpoints"
MOMENTS, SUMS = "training.safetensors", "SHA256SUMS"
NAME = re.compile(r"step-\d{8,}")
SUM = re.compile(r"([0-9a-f]{64})  ([^/\\\0]+)")
SUMS_LIMIT = 2**16           # bytes


class Damaged(InputError):
    """A checkpoint differs from what was written."""


class Checkpoint(NamedTuple):
    """The content of a checkpoint, all of it checked."""
    folder: Path
    model: Model
    m: np.ndarray
    v: np.ndarray
    record: dict             # training.json
    settings: RunSettings

    @property
    def step(self) -> int:
        return self.record["step"]

    @property
    def best(self) -> Best | None:
        return self.record["best"] and Best(**self.record["best"])


def checkpoint_folder(run: Path, step: int) -> Path:
    return Path(run) / CHECKPOINTS / f"step-{step:08}"


def checkpoint_folders(run: Path) -> list[Path]:
    """The checkpoints in a run's folder, the oldest first, complete or damaged."""
    folder = Path(run) / CHECKPOINTS
    return sorted(filter(is_checkpoint, folder.iterdir()), key=step_of) if folder.is_dir() else []


def is_checkpoint(path: Path) -> bool:
    """Whether this is a checkpoint, and so may be removed in time: not a file, a link or another folder with such a name."""
    return bool(NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
                and any((path / name).exists() for name in (RECORD, SUMS)))


def step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def write_checkpoint(run: Path, state: TrainingState, model: Model, settings: RunSettings, best: Best | None = None,
                     replaced: Mapping[str, str] = {}, before: Callable = lambda: None) -> Path:
    """Write a checkpoint, and call `before` when only its name is still temporary  ->  its folder. Raises OSError."""
    folder = checkpoint_folder(run, state.step)
    with errors_named(folder.parent):
        folder.parent.mkdir(exist_ok=True)
    if os.path.lexists(folder) and not is_checkpoint(folder):
        raise FileExistsError(errno.EEXIST, "something else than a checkpoint has this name: move it", str(folder))
    with write_whole_folder(folder) as staging:
        write_model(staging, model)
        write_safetensors(staging / MOMENTS, {"m": state.optimiser.m, "v": state.optimiser.v}, {})
        write_json(staging / RECORD, record_of(state, settings, best, replaced))
        sums = [f"{sha256(path)}  {path.name}\n" for path in sorted(staging.iterdir())]
        write_whole(staging / SUMS, ["".join(sums).encode()])
        before()
    return folder


def remove_old_checkpoints(run: Path, newest: int, keep: int, best: Best | None) -> None:
    """Of the checkpoints up to step `newest`, keep only the last few and the one with the best validation."""
    for old in [folder for folder in checkpoint_folders(run) if step_of(folder) <= newest][:-keep]:
        if not (best and step_of(old) == best.step):
            remove_folder(old)


def newest_checkpoint(run: Path) -> tuple[Checkpoint, list[str]]:
    """The newest checkpoint that is not damaged, and what is wrong with later ones. Raises InputError if there is none."""
    run, damaged = Path(run), []
    if (run / RECORD).is_file():
        raise InputError(f"{run} is one checkpoint of a run: name the run's own folder")
    for folder in reversed(checkpoint_folders(run)):
        try:
            return read_checkpoint(folder), damaged
        except (Damaged, OSError) as error:
            damaged.append(str(error))
    if damaged:
        raise InputError(f"{run} has no undamaged checkpoint: {'; '.join(damaged)}")
    why = "there are no checkpoints in it" if run.exists() else "it does not exist"
    raise InputError(f"{run} holds no run to resume: {why}")


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint. Raises Damaged if its digests do not match, InputError if they match but its content is wrong."""
    require_sums(folder)
    record, settings = read_record(folder)
    model, (moments, _) = load(folder), read_safetensors(folder / MOMENTS)
    shape, dtype = model.parameters.shape, model.parameters.dtype
    for name in ("m", "v"):
        if name not in moments or moments[name].shape != shape or moments[name].dtype != dtype:
            raise InputError(f"{folder / MOMENTS} must hold {name!r}, {shape[0]:,} numbers of {dtype}")
    return Checkpoint(folder, model, moments["m"], moments["v"], record, settings)


def recorded_settings(folder: Path) -> RunSettings | None:
    """The settings of the run in a folder, or of the one that a checkpoint is from; None if the folder holds neither."""
    records = [place for place in (*checkpoint_folders(folder), folder) if (place / RECORD).is_file()]
    return read_record(records[-1])[1] if records else None


def require_sums(folder: Path) -> None:
    """Raise Damaged unless every file of a checkpoint is there, with the content that was written."""
    path = folder / SUMS
    listed = path.is_file() and path.stat().st_size <= SUMS_LIMIT
    lines = [SUM.fullmatch(line) for line in path.read_text("utf-8", "replace").splitlines()] if listed else [None]
    if not all(lines):
        raise Damaged(f"{path} is missing, or not a list of digests")
    digests = {line[2]: line[1] for line in lines}
    wrong = [name for name in sorted({CONFIG, WEIGHTS, MOMENTS, RECORD, *digests})
             if not (folder / name).is_file() or sha256(folder / name) != digests.get(name)]
    if wrong:
        raise Damaged(f"{folder} is damaged: {', '.join(wrong)} is missing, or not what was written (see {SUMS})")


def restored_state(checkpoint: Checkpoint, task: Task, settings: TrainingSettings, threads: int = 1) -> TrainingState:
    """The state as it was when the checkpoint was written."""
    state = initial_state(checkpoint.model.parameters, task, settings, threads)
    state.optimiser.m[...], state.optimiser.v[...] = checkpoint.m, checkpoint.v
    restore(state, checkpoint.record)
    return state
