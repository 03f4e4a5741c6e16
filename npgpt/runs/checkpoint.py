"""Checkpoints: all that a run needs to go on bit for bit, each a model directory of its own, whole or not there.

RUN/checkpoints/step-00000500/ holds the model's files; training.safetensors, AdamW's two moments as flat vectors in
the layout of the parameters; training.json, the rest of the state, and how the run was started; and SHA256SUMS, the
digest of each file, in the form that `sha256sum -c` reads.
"""
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.errors import InputError
from npgpt.files import errors_named, read_json, sha256, write_json, write_whole, write_whole_folder
from npgpt.interop.huggingface import CONFIG, WEIGHTS, load_model, write_model
from npgpt.interop.safetensors import read_safetensors, write_safetensors
from npgpt.model.config import GPTConfig, is_integer, is_number
from npgpt.text.tokenizer import Tokenizer, holds_tokenizer, load_tokenizer
from npgpt.training.trainer import TrainingSettings, TrainingState, initial_state

FOLDER = "checkpoints"
MOMENTS, RECORD, SUMS = "training.safetensors", "training.json", "SHA256SUMS"
NAME = re.compile(r"step-\d{8,}")
SUM = re.compile(r"([0-9a-f]{64})  ([^/\\\0]+)")
SUMS_LIMIT = 2**16           # bytes
SECONDS_LIMIT = 2**31        # of training: far more, and a step's own time would be lost in the rounding


class Best(NamedTuple):
    """The step after which the validation loss was smallest."""
    step: int
    validation_loss: float


class Checkpoint(NamedTuple):
    """What stands in one, every part of it checked."""
    folder: Path
    parameters: np.ndarray
    config: GPTConfig
    tokenizer: Tokenizer | None
    mean: np.ndarray
    square: np.ndarray
    record: dict             # training.json

    @property
    def step(self) -> int:
        return self.record["step"]

    @property
    def best(self) -> Best | None:
        return self.record["best"] and Best(**self.record["best"])


def checkpoint_folders(run: Path) -> list[Path]:
    """The checkpoints in a run's folder, the oldest first, whole or damaged."""
    folder = Path(run) / FOLDER
    found = [path for path in folder.iterdir() if NAME.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=step_of)


def step_of(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def write_checkpoint(run: Path, state: TrainingState, config: GPTConfig, tokenizer: Tokenizer | None, best: Best | None,
                     how: dict, before: Callable = lambda: None) -> Path:
    """Write the state, and `how` the run was started  ->  the checkpoint's folder

    `before` is called when all is on the disk, before it takes its place. Raises OSError, naming the
    folder; nothing of a checkpoint that could not be finished is left.
    """
    folder = Path(run) / FOLDER / f"step-{state.step:08}"
    with errors_named(folder.parent):
        folder.parent.mkdir(exist_ok=True)
    with write_whole_folder(folder) as staging:
        write_model(staging, state.parameters, config, tokenizer)
        write_safetensors(staging / MOMENTS, {"mean": state.optimiser.mean, "square": state.optimiser.square}, {})
        write_json(staging / RECORD, {
            "format": 1, "step": state.step, "updates": state.optimiser.updates, "skipped": state.skipped,
            "seconds": state.seconds, "betas": [state.optimiser.beta1, state.optimiser.beta2],
            "norms": [norm if math.isfinite(norm) else None for norm in state.norms],
            "generators": {"batches": state.batch_rng.bit_generator.state, "dropout": state.dropout_rng.bit_generator.state},
            "best": best and best._asdict(), "run": how})
        sums = [f"{sha256(path)}  {path.name}\n" for path in sorted(staging.iterdir())]
        write_whole(staging / SUMS, ["".join(sums).encode()])
        before()
    return folder


def newest_checkpoint(run: Path) -> tuple[Checkpoint, list[str]]:
    """The newest checkpoint that is whole, and what is wrong with those after it.

    Raises InputError where there is none.
    """
    run, damaged = Path(run), []
    if (run / RECORD).is_file():
        raise InputError(f"{run} is one checkpoint of a run: name the run's own folder")
    for folder in reversed(checkpoint_folders(run)):
        try:
            return read_checkpoint(folder), damaged
        except (InputError, OSError) as error:
            damaged.append(str(error))
    if damaged:
        raise InputError(f"{run} has no checkpoint that is whole: {'; '.join(damaged)}")
    raise InputError(f"{run} holds no run to go on with: there are no checkpoints in it")


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read one, its digests first. Raises InputError where anything is missing, damaged or does not fit."""
    require_sums(folder)
    record = checked_record(read_json(folder / RECORD), folder / RECORD)
    parameters, config = load_model(folder)
    moments, _ = read_safetensors(folder / MOMENTS)
    for name in ("mean", "square"):
        if name not in moments or moments[name].shape != parameters.shape or moments[name].dtype != parameters.dtype:
            raise InputError(f"{folder / MOMENTS} must hold {name!r}, {len(parameters):,} numbers of {parameters.dtype}")
    tokenizer = load_tokenizer(folder) if holds_tokenizer(folder) else None
    return Checkpoint(folder, parameters, config, tokenizer, moments["mean"], moments["square"], record)


def require_sums(folder: Path) -> None:
    """Raise InputError unless every file of a checkpoint is there, with the content that was written."""
    path = folder / SUMS
    if not path.is_file() or path.stat().st_size > SUMS_LIMIT:
        raise InputError(f"{folder} is no whole checkpoint: {SUMS} is missing, or no list of digests")
    lines = [SUM.fullmatch(line) for line in path.read_bytes().decode("utf-8", "replace").splitlines()]
    if not all(lines):
        raise InputError(f"{path} is no list of digests")
    digests = {line[2]: line[1] for line in lines}
    absent = [name for name in sorted({CONFIG, WEIGHTS, MOMENTS, RECORD, *digests})
              if name not in digests or not (folder / name).is_file()]
    if absent:
        raise InputError(f"{folder} lacks {', '.join(absent)}, or {SUMS} does")
    damaged = [name for name, digest in digests.items() if sha256(folder / name) != digest]
    if damaged:
        raise InputError(f"{folder} is damaged: {', '.join(damaged)} is not what was written (see {SUMS})")


def checked_record(record: dict, path: Path) -> dict:
    """training.json, every field of which has the type and range that it was written with. Raises InputError."""
    best, norms, generators, betas = (record.get(name) for name in ("best", "norms", "generators", "betas"))
    sound = (record.get("format") == 1
             and all(is_integer(record.get(name)) and 0 <= record[name] < 2**53 for name in ("step", "updates", "skipped"))
             and record["updates"] + record["skipped"] == record["step"]
             and is_number(record.get("seconds")) and 0 <= record["seconds"] < SECONDS_LIMIT
             and isinstance(betas, list) and len(betas) == 2 and all(is_number(beta) and 0 <= beta < 1 for beta in betas)
             and isinstance(norms, list) and all(norm is None or is_number(norm) for norm in norms)
             and (best is None or isinstance(best, dict) and best.keys() == set(Best._fields)
                  and is_integer(best["step"]) and is_number(best["validation_loss"]))
             and isinstance(generators, dict) and all(is_generator(generators.get(name)) for name in ("batches", "dropout"))
             and isinstance(record.get("run"), dict))
    if not sound:
        raise InputError(f"{path} is no record of training, or one of another version of npgpt")
    return record


def is_generator(state: object) -> bool:
    """Whether a state is one that NumPy's default generator takes, as it is."""
    generator = np.random.default_rng(0).bit_generator
    try:
        generator.state = state
    except (TypeError, ValueError, KeyError, OverflowError, AttributeError):
        return False
    return generator.state == state


def restored_state(checkpoint: Checkpoint, settings: TrainingSettings, threads: int = 1) -> TrainingState:
    """The state as it was when the checkpoint was written, ready to go on."""
    record = checkpoint.record
    state = initial_state(checkpoint.parameters, checkpoint.config, settings, threads)
    beta1, beta2 = record["betas"]                             # AdamW leaves the factors 1 - beta out of its moments
    np.multiply(checkpoint.mean, (1 - beta1) / (1 - settings.beta1), out=state.optimiser.mean)
    np.multiply(checkpoint.square, (1 - beta2) / (1 - settings.beta2), out=state.optimiser.square)
    state.optimiser.updates = record["updates"]
    state.batch_rng.bit_generator.state = record["generators"]["batches"]
    state.dropout_rng.bit_generator.state = record["generators"]["dropout"]
    state.step, state.skipped, state.seconds = record["step"], record["skipped"], record["seconds"]
    state.norms = [math.nan if norm is None else norm for norm in record["norms"]]
    return state
