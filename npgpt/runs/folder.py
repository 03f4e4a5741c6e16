"""A run's folder: the model's files, metrics.jsonl and checkpoints/. Old files are replaced only by complete new ones."""
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from npgpt.errors import InputError
from npgpt.files import (errors_named, link_or_copy, move_together, remove_temporaries, same_content, sha256,
                         temporaries, temporary_folder)
from npgpt.interop.huggingface import MODEL_FILES, WEIGHTS
from npgpt.runs.checkpoint import (CHECKPOINTS, Checkpoint, Damaged, checkpoint_folder, checkpoint_folders,
                                   newest_checkpoint, remove_old_checkpoints, require_sums)
from npgpt.runs.lock import LOCK_FILE
from npgpt.runs.metrics import METRICS_FILE
from npgpt.runs.record import Best
from npgpt.runs.settings import RunSettings

TASK_FOLDERS = "tasks"                          # of a model with several heads: a model directory for each
OTHER_WEIGHTS = ("model-*.safetensors", "pytorch_model*.bin")


def occupants(folder: Path) -> list[str]:
    """The files that a new run would replace, without those of a run that was killed before its first checkpoint."""
    metrics, checkpoints = folder / METRICS_FILE, folder / CHECKPOINTS
    empty = {METRICS_FILE: metrics.is_file() and not metrics.stat().st_size,
             CHECKPOINTS: checkpoints.is_dir() and set(checkpoints.iterdir()) == set(temporaries(checkpoints))}
    return [name for name in (*MODEL_FILES, *empty) if (folder / name).exists() and not empty.get(name)]


def strange_entries(folder: Path) -> list[str]:
    """What a folder holds that is neither a run's nor a model's."""
    own = {*MODEL_FILES, METRICS_FILE, CHECKPOINTS, LOCK_FILE, TASK_FOLDERS, *(path.name for path in temporaries(folder))}
    return sorted(set(os.listdir(folder)) - own) if folder.is_dir() else []


def left_over(folder: Path) -> list[str]:
    """Weights of another model that a run does not replace: the parts of an indexed model, and pickles."""
    return sorted(path.name for pattern in OTHER_WEIGHTS for path in folder.glob(pattern))


def prepare_new_run(folder: Path) -> None:
    """Prepare a folder for a new run. If it replaces another run, the history of that one is moved to checkpoints/."""
    remove_temporaries(folder, folder / CHECKPOINTS)
    history, aside = folder / METRICS_FILE, folder / CHECKPOINTS / METRICS_FILE
    if checkpoint_folders(folder) and history.exists() and not aside.exists():
        os.replace(history, aside)


def prepare_resumed_run(folder: Path, read_only: bool = False) -> tuple[Checkpoint, list[str]]:
    """Prepare a folder for a run that is resumed  ->  its newest checkpoint, and what is wrong with damaged later ones

    Unless read_only, the folder must be locked, and what a killed process has left undone is done: the model of the
    checkpoint becomes the folder's, a history in checkpoints/ is moved back, and checkpoints that are no longer kept are
    removed. Raises InputError if there is nothing to resume, and where somebody has changed the configuration or the
    tokenizer.
    """
    if not read_only:
        remove_temporaries(folder, folder / CHECKPOINTS)
        with contextlib.suppress(FileNotFoundError):
            os.replace(folder / CHECKPOINTS / METRICS_FILE, folder / METRICS_FILE)
    checkpoint, damaged = newest_checkpoint(folder)
    holds_weights = (folder / WEIGHTS).is_file()
    if holds_weights:
        require_untouched(folder, checkpoint)
    if not read_only and not (holds_weights and damaged):
        publish(published(folder, checkpoint.folder, checkpoint.settings, checkpoint.best), folder,
                checkpoint.record["replaced"])
    if not read_only:
        remove_old_checkpoints(folder, checkpoint.step, checkpoint.settings.keep_checkpoints, checkpoint.best)
    return checkpoint, damaged


def require_untouched(folder: Path, checkpoint: Checkpoint) -> None:
    """Raise InputError if the configuration or tokenizer beside the model is neither the run's nor one that it replaces."""
    for name in MODEL_FILES:
        path, own = folder / name, checkpoint.folder / name
        if name != WEIGHTS and own.is_file() and path.is_file() and not same_content(own, path):
            if sha256(path) != checkpoint.record["replaced"].get(name):
                raise InputError(f"{path} is not the run's: put back that of {checkpoint.folder}, or use another folder")


def holds_all(checkpoint: Path) -> bool:
    """Whether a checkpoint is undamaged."""
    try:
        require_sums(checkpoint)
    except (Damaged, OSError):
        return False
    return True


def to_be_replaced(folder: Path) -> dict[str, str]:
    """Names and digests of the files, except weights, of another model that a run replaces."""
    return {name: sha256(folder / name) for name in MODEL_FILES if name != WEIGHTS and (folder / name).is_file()}


def published(run: Path, newest: Path, settings: RunSettings, best: Best | None) -> Path:
    """The checkpoint whose model is that of the run's folder: the newest, or the best one where the settings say so."""
    if settings.publishes_best and best and holds_all(checkpoint_folder(run, best.step)):
        return checkpoint_folder(run, best.step)
    return newest


def publish(checkpoint: Path, folder: Path, replaced: Mapping[str, str]) -> None:
    """Make a checkpoint's model that of the run's folder. `replaced`: names and digests of old files to be removed."""
    with errors_named(folder), temporary_folder(folder / "model") as staging:
        for name in MODEL_FILES:
            if (checkpoint / name).is_file():
                link_or_copy(checkpoint / name, staging / name)
        stale = [name for name, digest in replaced.items()
                 if name in MODEL_FILES and (folder / name).is_file() and sha256(folder / name) == digest]
        move_together(staging, folder, WEIGHTS, stale)
