"""npgpt train, before its first step: settings that were left open, the folder, the state to start from."""
import argparse
import contextlib
import os
import tempfile
from pathlib import Path

from npgpt.commands.arguments import OUT
from npgpt.commands.materials import Materials
from npgpt.commands.progress import Progress
from npgpt.commands.resume import PACE, SETTINGS
from npgpt.errors import InputError
from npgpt.files import errors_named, remove_temporaries, sha256, temporaries
from npgpt.interop.huggingface import MODEL_FILES, WEIGHTS, holds_model
from npgpt.parallel.threads import available_cores
from npgpt.model.config import GPTConfig
from npgpt.runs.checkpoint import FOLDER, Checkpoint, checkpoint_folders, restored_state
from npgpt.runs.lock import only_run
from npgpt.runs.metrics import METRICS_FILE
from npgpt.runs.recorder import Recorder, publish, resume_command
from npgpt.training.trainer import TrainingSettings, TrainingState, initial_state

KEPT = 2                     # checkpoints
OTHER_WEIGHTS = ("model-*.safetensors", "pytorch_model*.bin")
RATE_TIMES_WIDTH = 0.64      # wide models want smaller steps (Yang et al. 2022, table 8); at 128 channels 5e-3 did best
TUNED = 0.1                  # of that, where a model that has learned already goes on with --init
DERIVED = {"learning_rate": f"{RATE_TIMES_WIDTH} / n_embd; with --init {RATE_TIMES_WIDTH * TUNED:g} / n_embd",
           "warmup": "a fifth of --steps"}


def begin(args: argparse.Namespace) -> None:
    """Fill in what a new run's arguments leave open. Raises InputError where the folder holds something already."""
    args.out = args.out or OUT
    args.dtype = args.dtype or "float32"
    defaults = TrainingSettings()
    for name in SETTINGS:
        if getattr(args, name) is None and name not in DERIVED:
            setattr(args, name, getattr(defaults, name))
    pace = {"threads": available_cores(), "eval_every": max(args.steps // 10, 1), "keep_checkpoints": KEPT}
    for name, value in pace.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if not args.dry_run:
        require_free(args.out, args.overwrite)


def training_settings(args: argparse.Namespace, config: GPTConfig) -> TrainingSettings:
    """Those of the arguments; what is derived where it was not given."""
    for name in PACE:
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} must be 1 or more, not {value}")
    given = {name: getattr(args, name) for name in SETTINGS}
    if args.learning_rate is None:
        given["learning_rate"] = RATE_TIMES_WIDTH * (TUNED if args.init else 1) / config.n_embd
    if args.warmup is None:
        given["warmup"] = max(args.steps, 0) // 5
    return TrainingSettings(**given)


def require_free(folder: Path, overwrite: bool) -> None:
    """Raise InputError where a folder holds what a run would write, unless it may."""
    there = occupants(folder)
    if not there or overwrite:
        return
    if checkpoint_folders(folder):
        raise InputError(f"{folder} already holds a run: go on with it with --resume {folder}, choose another folder "
                         "with --out, or replace it with --overwrite")
    what = "a model" if holds_model(folder) else ", ".join(there)
    raise InputError(f"{folder} already holds {what}: choose another folder with --out, or replace it with --overwrite")


def occupants(folder: Path) -> list[str]:
    """What a run writes and is there already."""
    there = [name for name in (*MODEL_FILES, METRICS_FILE, FOLDER) if (folder / name).exists()]
    return [name for name in there if not is_trace_of_a_killed_run(folder / name)]


def is_trace_of_a_killed_run(path: Path) -> bool:
    """Whether it holds nothing yet: an empty history, or checkpoints of which the first was not finished."""
    if path.name == METRICS_FILE:
        return path.is_file() and not path.stat().st_size
    return path.name == FOLDER and path.is_dir() and set(path.iterdir()) == set(temporaries(path))


def left_over(folder: Path) -> list[str]:
    """Weights of a model that a run does not write over: parts that an index listed, and pickles."""
    return sorted(path.name for pattern in OTHER_WEIGHTS for path in folder.glob(pattern))


def make_room(args: argparse.Namespace, progress: Progress, stack: contextlib.ExitStack) -> None:
    """Make the folder, and hold it until the stack is closed. What is in it stays until there is something better;
    of a run that is to be replaced, its history is put aside.

    Raises InputError where another run holds it, OSError where it cannot be written.
    """
    args.out.mkdir(parents=True, exist_ok=True)
    with errors_named(args.out), tempfile.TemporaryFile(dir=args.out):
        pass
    stack.enter_context(only_run(args.out))
    require_free(args.out, args.overwrite)                     # another run may have been here in the meantime
    remove_temporaries(args.out)
    remove_temporaries(args.out / FOLDER)
    if occupants(args.out):
        progress.line(f"replaces in {args.out}, with its first checkpoint: {', '.join(occupants(args.out))}")
        if left := left_over(args.out):
            progress.line(f"stays in {args.out}, though nothing will read it any more: {', '.join(left)}")
    if checkpoint_folders(args.out) and (args.out / METRICS_FILE).exists() and not (args.out / FOLDER / METRICS_FILE).exists():
        os.replace(args.out / METRICS_FILE, args.out / FOLDER / METRICS_FILE)


def starting_state(args: argparse.Namespace, materials: Materials, settings: TrainingSettings,
                   origin: Checkpoint | None) -> TrainingState:
    if origin:
        return restored_state(origin, settings, args.threads)
    return initial_state(materials.parameters(settings.seed, args.dtype), materials.config, settings, args.threads)


def start_recorder(args: argparse.Namespace, materials: Materials, settings: TrainingSettings, state: TrainingState,
                   origin: Checkpoint | None) -> Recorder:
    """A recorder that writes into each checkpoint how the run was started, as commands.resume reads it."""
    how = {"settings": vars(settings), **{name: getattr(args, name) for name in PACE},
           "data": [os.path.abspath(path) for path in args.data] if args.data else None, "sha256": materials.digest,
           "replaced": origin.record["run"]["replaced"] if origin else to_be_replaced(args.out)}
    tokens = settings.accumulate * settings.batch_size * materials.config.n_positions
    return Recorder(args.out, state, materials.config, materials.tokenizer, how, tokens, args.checkpoint_every,
                    args.keep_checkpoints, origin)


def to_be_replaced(folder: Path) -> dict[str, str]:
    """Name and digest of another model's files, but for its weights, over which the run's own are written."""
    return {name: sha256(folder / name) for name in MODEL_FILES if name != WEIGHTS and (folder / name).is_file()}


def finished(args: argparse.Namespace, origin: Checkpoint) -> str:
    """What there is to say where all steps are made. Raises InputError where fewer are asked for than were made."""
    if origin.step > args.steps:
        raise InputError(f"--steps {args.steps} is fewer than {args.out} has made: {origin.step}")
    publish(origin.folder, args.out, origin.record["run"]["replaced"])       # in case it was killed just before
    return (f"{args.out} is finished: all {origin.step:,} steps are made; for more: "
            f"{resume_command(args.out)} --steps {2 * origin.step}")
