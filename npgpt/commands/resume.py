"""npgpt train --resume: a run goes on as it was begun, but for what is asked for otherwise."""
import argparse
import contextlib
import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from npgpt.commands.arguments import LIMIT
from npgpt.commands.progress import Progress
from npgpt.errors import InputError
from npgpt.files import remove_temporaries, same_content, sha256
from npgpt.interop.huggingface import MODEL_FILES, WEIGHTS
from npgpt.model.config import is_integer
from npgpt.model.presets import preset
from npgpt.text.byte_pair import BytePairTokenizer
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.runs.checkpoint import FOLDER, Checkpoint, checkpoint_folders, newest_checkpoint
from npgpt.runs.lock import only_run
from npgpt.runs.metrics import METRICS_FILE
from npgpt.runs.recorder import publish
from npgpt.training.trainer import TrainingSettings

SIZES = ("n_layer", "n_head", "n_embd", "n_positions")
SETTINGS = tuple(field.name for field in dataclasses.fields(TrainingSettings))
PACE = ("threads", "eval_every", "checkpoint_every", "keep_checkpoints")
KINDS = {CharacterTokenizer: "char", ByteTokenizer: "byte", BytePairTokenizer: "bpe"}


def take_up(args: argparse.Namespace, stack: contextlib.ExitStack) -> Checkpoint:
    """The newest checkpoint of the run in args.resume that is whole. What args leave open is filled in as the run had it.

    The folder is held until the stack is closed. Says which checkpoint it is, what is wrong with newer ones,
    and which settings are changed. Raises InputError where another run holds the folder, and where args ask
    for another model, tokenizer or start than the run's.
    """
    if args.out not in (None, args.resume):
        raise InputError(f"--resume goes on in the folder of its run, {args.resume}: leave out --out")
    args.out = args.resume
    if checkpoint_folders(args.out) and not args.dry_run:
        stack.enter_context(only_run(args.out))
        tidy(args.out)
    checkpoint, damaged = newest_checkpoint(args.out)
    how = checked_how(checkpoint)
    require_same_model(args, checkpoint)
    if (args.out / WEIGHTS).is_file():
        require_untouched(args.out, checkpoint)
    elif not args.dry_run:
        publish(checkpoint.folder, args.out, how["replaced"])              # it was killed just before it did so itself
    changes = fill_in(args, checkpoint)

    progress = Progress()
    for complaint in damaged:
        progress.line(f"passed over: {complaint}")
    progress.line(f"resume {checkpoint.folder}, after step {checkpoint.step:,}"
                  f"{'; changed: ' * bool(changes)}{', '.join(changes)}")
    return checkpoint


def fill_in(args: argparse.Namespace, checkpoint: Checkpoint) -> list[str]:
    """Set what args leave open to what the run had  ->  what they change, in words"""
    how, dropout = checkpoint.record["run"], checkpoint.config.resid_pdrop
    recorded = {**how["settings"], **{name: how[name] for name in PACE}}
    changes = []
    for name, value in recorded.items():
        given = getattr(args, name)
        if given is None or name == "seed":                    # a seed that is given is the run's own: require_same_model
            setattr(args, name, value)
        elif given != value:
            changes.append(f"{name} {value} -> {given}")
    if args.dropout is not None and args.dropout != dropout:
        changes.append(f"dropout {dropout} -> {args.dropout}")
    if args.data is None and how["data"] is not None:
        args.data = [Path(path) for path in how["data"]]
        require_ordinary(args.data)
    args.dtype = str(checkpoint.parameters.dtype)
    return changes


def tidy(run: Path) -> None:
    """Remove what killed processes left half-written, and put the history back in its place where a run that was to
    replace this one never came to a checkpoint.
    """
    remove_temporaries(run)
    remove_temporaries(run / FOLDER)
    with contextlib.suppress(FileNotFoundError):
        os.replace(run / FOLDER / METRICS_FILE, run / METRICS_FILE)


def checked_how(checkpoint: Checkpoint) -> dict:
    """How the run was started, as commands.train wrote it down. Raises InputError where it is not that."""
    how = checkpoint.record["run"]
    where = f"{checkpoint.folder} does not say how its run was started"
    settings, data, replaced = how.get("settings"), how.get("data"), how.get("replaced")
    if not (isinstance(settings, dict) and settings.keys() == set(SETTINGS)
            and all(is_integer(how.get(name)) and 1 <= how[name] <= LIMIT or name == "checkpoint_every" and how.get(name, 0) is None
                    for name in PACE)
            and (data is None or isinstance(data, list) and data and all(is_path(path) for path in data))
            and isinstance(how.get("sha256"), str)
            and isinstance(replaced, dict) and all(isinstance(digest, str) for digest in replaced.values())):
        raise InputError(where)
    try:
        TrainingSettings(**settings)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return how


def is_path(value: object) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def require_ordinary(paths: Iterable[Path]) -> None:
    """Raise InputError where data that only a checkpoint names is a device or a pipe, which may have no end."""
    for path in paths:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InputError(f"{path}, which the run was trained on, is no file: name its data with --data")


def require_same_model(args: argparse.Namespace, checkpoint: Checkpoint) -> None:
    """Raise InputError where a flag asks for something that a run cannot change, naming it."""
    config, how = checkpoint.config, checkpoint.record["run"]
    for flag, given in (("--init", args.init), ("--overwrite", args.overwrite)):
        if given:
            raise InputError(f"{flag} starts a run, and --resume goes on with one: choose one of them")
    sizes = {name: getattr(config, name) for name in SIZES}
    known = {**sizes, "dtype": str(checkpoint.parameters.dtype), "seed": how["settings"]["seed"],
             "tokenizer": KINDS.get(type(checkpoint.tokenizer), "none"), "vocab_size": config.vocab_size}
    for name, value in known.items():
        given = getattr(args, name)
        if given is not None and given != value:
            raise InputError(f"--{name.replace('_', '-')} {given} is not the run's: {checkpoint.folder} has {value}; "
                             "another model or seed is another run, with another --out")
    named = args.preset and preset(args.preset)
    if named and any(getattr(named, name) != value for name, value in sizes.items()):
        raise InputError(f"--preset {args.preset} is not the run's: {checkpoint.folder} has "
                         + ", ".join(f"{name} {value}" for name, value in sizes.items()))


def require_untouched(run: Path, checkpoint: Checkpoint) -> None:
    """Raise InputError where the configuration or tokenizer beside the run's model is no longer the run's.

    What stood there when the run began, and was to be replaced, is no obstacle.
    """
    replaced = checkpoint.record["run"]["replaced"]
    for name in MODEL_FILES:
        path, own = run / name, checkpoint.folder / name
        if name != WEIGHTS and own.is_file() and path.is_file() and not same_content(own, path):
            if sha256(path) != replaced.get(name):
                raise InputError(f"{path} is not the run's, which is in {checkpoint.folder}: put it back, "
                                 "or begin another run with another --out")
