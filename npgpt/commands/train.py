"""npgpt train: train a model on text, and write it to a model directory."""
import argparse
import contextlib
import math
from collections.abc import Callable
from pathlib import Path

from npgpt.commands.arguments import OUT, for_shell
from npgpt.commands.objective import Objective
from npgpt.commands.progress import Progress, TrainingProgress, clock
from npgpt.commands.session import Session
from npgpt.commands.train_arguments import add_arguments, changes, gather, resolve
from npgpt.errors import InputError
from npgpt.interop.huggingface import holds_model
from npgpt.model.parameters import parameter_count
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.parallel.memory import keep_freed_memory
from npgpt.runs.checkpoint import Checkpoint, checkpoint_folders, restored_state
from npgpt.runs.folder import left_over, occupants, prepare_new_run, prepare_resumed_run, strange_entries
from npgpt.runs.interrupt import Interrupt
from npgpt.runs.lock import only_run
from npgpt.runs.recorder import Recorder
from npgpt.runs.settings import RunSettings
from npgpt.training.footprint import Footprint, footprint, machine_memory
from npgpt.training.trainer import Diverged, initial_state, train

MOST = 0.75                  # of the machine's memory
NAMED = 3                    # entries of a folder, in an error


def run(args: argparse.Namespace, gather: Callable = gather, resolve: Callable = resolve, out: Path = OUT) -> int:
    """Train. gather: what the run needs, an Objective; resolve: its settings; out: its folder if none is given.

    The training loop is here, so that a debugger shows few calls between the command and a layer.
    """
    session = None
    with contextlib.ExitStack() as stack, Interrupt() as interrupt:
        try:
            session = prepare(args, stack, gather, resolve, out)
            if session is None:
                return 0
            session.start()
            state, task, settings = session.state, session.task, session.settings
            with parallel_gradients(task, settings.threads) as loss_and_gradients:
                interrupt.deferring = True
                for step in train(state, task, settings, loss_and_gradients):
                    if session.after_step(step, interrupt):
                        break
                interrupt.deferring = False
            if interrupt.received:
                session.progress.line(f"interrupted at step {step.number} of {settings.steps}: {session.saved()}")
                return interrupt.status
            session.finish()
            return 0
        except KeyboardInterrupt:
            progress = session.progress if session else Progress()
            progress.line(f"stopped at once: {session.saved() if session else 'before the first step'}")
            return interrupt.status
        except Diverged as error:
            raise InputError(f"{error}; {session.saved()}") from None
        except OSError as error:
            if session is None or error.filename is None:      # it is not about a file of the run
                raise
            raise InputError(f"{error.filename}: {error.strerror}; {session.saved()}") from None


def prepare(args: argparse.Namespace, stack: contextlib.ExitStack, gather: Callable, resolve: Callable,
            out: Path) -> Session | None:
    """Everything before the first step; None if there is nothing to train. The folder is locked until stack is closed."""
    folder, say = args.resume or args.out or out, Progress().line
    origin = resumed(args, stack, say) if args.resume else None
    if not (origin or args.dry_run):
        require_free(folder, args.overwrite)
    objective = gather(args, origin)
    settings = resolve(args, objective, origin)
    task = objective.task
    need = footprint(task, settings.batch_size, settings.threads, objective.dtype, settings.accumulate)
    need = need._replace(text=objective.bytes_in_memory)
    if not (args.dry_run or args.any_memory):
        require_memory(need)
    if origin:
        say(f"resume {origin.folder}, after step {origin.step:,}{changes(origin, objective, settings)}")
    elif not args.dry_run:
        occupy(folder, args.overwrite, stack, say)
    say(describe(objective, settings, need))
    if args.dry_run:
        say(time_to_expect(objective, settings, origin.step if origin else 0))
        return None
    if origin and origin.step > settings.steps:
        raise InputError(f"--{objective.length} {getattr(settings, objective.length)} is fewer than {folder} has made: "
                         f"{getattr(origin.settings, objective.length)}")
    if origin and origin.step == settings.steps:
        say(f"{folder} is finished: all {origin.step:,} steps are made; for more: {objective.resume_command(folder)} "
            f"--{objective.length} {2 * getattr(settings, objective.length)}")
        return None
    keep_freed_memory()
    model = objective.model(settings.seed)
    state = (restored_state(origin, task, settings, settings.threads) if origin else
             initial_state(model.parameters, task, settings, settings.threads))
    stack.callback(state.optimiser.close)
    bits = objective.bits_per_nat()
    recorder = Recorder(folder, state, model, settings, task, origin, bits)
    stack.callback(recorder.metrics.close)
    progress = stack.enter_context(TrainingProgress(settings, task.units_per_example, task.unit, bits))
    return Session(objective, settings, state, recorder, progress)


def resumed(args: argparse.Namespace, stack: contextlib.ExitStack, say: Callable) -> Checkpoint:
    """The checkpoint from which the run in --resume is resumed."""
    folder = args.resume
    for flag, given in (("--out", args.out not in (None, folder)), ("--init", args.init), ("--overwrite", args.overwrite)):
        if given:
            raise InputError(f"{flag} starts a new run, and --resume continues the one in {folder}: choose one of them")
    locked = not args.dry_run and bool(checkpoint_folders(folder))
    if locked:
        stack.enter_context(only_run(folder))
    origin, damaged = prepare_resumed_run(folder, read_only=not locked)
    for complaint in damaged:
        say(f"skipped: {complaint}")
    return origin


def require_free(folder: Path, overwrite: bool) -> None:
    """Raise InputError if a run would replace files in a folder, or be put among other files, unless overwrite is true."""
    if overwrite:
        return
    if names := occupants(folder):
        is_run = bool(checkpoint_folders(folder))
        what = "a run" if is_run else "a model" if holds_model(folder) else ", ".join(names)
        raise InputError(f"{folder} already holds {what}: {f'resume it with --resume {for_shell(folder)}, ' * is_run}choose "
                         "another folder with --out, or replace it with --overwrite")
    if names := strange_entries(folder):
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        raise InputError(f"{folder} is neither empty nor a model directory, but holds {', '.join(names[:NAMED])}{more}: "
                         "choose another folder with --out, or write beside them with --overwrite")


def occupy(folder: Path, overwrite: bool, stack: contextlib.ExitStack, say: Callable) -> None:
    """Make a new run's folder, and lock it."""
    folder.mkdir(parents=True, exist_ok=True)
    stack.enter_context(only_run(folder))
    require_free(folder, overwrite)                            # another run may have written into it in the meantime
    if names := occupants(folder):
        say(f"the first checkpoint will replace in {folder}: {', '.join(names)}")
        if left := left_over(folder):
            say(f"no longer used in {folder}, but not removed: {', '.join(left)}")
    prepare_new_run(folder)


def require_memory(need: Footprint) -> None:
    """Raise InputError if training needs more memory than there is: the system may then kill any process."""
    if not fits(need):
        raise InputError(f"training needs about {need.total / 2**20:,.0f} MB of memory, and this machine has "
                         f"{machine_memory() / 2**20:,.0f} MB: choose a smaller --batch-size, with --accumulate, or a "
                         "smaller model, or go on anyway with --any-memory")


def fits(need: Footprint) -> bool:
    return need.total <= (machine_memory() or math.inf)


def time_to_expect(objective: Objective, settings: RunSettings, done: int) -> str:
    """How long the steps will take, and the validations, in which an example takes a third of the time."""
    keep_freed_memory()
    task, steps = objective.task, settings.steps - done
    seconds = objective.step_seconds(settings)
    units = settings.accumulate * settings.batch_size * task.units_per_example
    validated = math.ceil(steps / settings.eval_every) * sum(map(task.count, task.validation_batches()))
    expected = clock(seconds * (steps + validated / units / 3))
    return f"time   about {expected}, {seconds * 1000:,.0f} ms a step, as measured just now"


def describe(objective: Objective, settings: RunSettings, need: Footprint) -> str:
    config, there = objective.task.config, machine_memory()
    parts = ", ".join(f"{name} {size / 2**20:,.0f}" for name, size in need._asdict().items())
    share = need.total / there if there else 0
    much = "more than" if share > 1 else "most of" if share > MOST else ""
    too_much = f", {much} the {there / 2**20:,.0f} MB of this machine" if much else ""
    return (f"{objective.data_line()}\n"
            f"model  {parameter_count(objective.task.table):,} parameters in {objective.dtype}: {config.n_layer} layers, "
            f"{config.n_head} heads, {config.n_embd} channels, context {config.n_positions}\n"
            f"steps  {settings.steps:,} of {settings.accumulate * settings.batch_size} {objective.examples} each, "
            f"on {settings.threads} thread{'s' * (settings.threads > 1)}; "
            f"about {need.total / 2**20:,.0f} MB of memory{too_much} ({parts})")
