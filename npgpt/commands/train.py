"""npgpt train: learn from text, and leave a model directory behind."""
import argparse
import contextlib

import numpy as np

from npgpt.commands.arguments import OUT, count, path
from npgpt.commands.begin import (DERIVED, KEPT, begin, finished, make_room, start_recorder, starting_state,
                                  training_settings)
from npgpt.commands.materials import BPE_VOCABULARY, GPT2_VOCABULARY, OTHER_TOKENS, Materials, describe_data, gather
from npgpt.commands.progress import Progress, TrainingProgress
from npgpt.commands.resume import take_up
from npgpt.commands.session import Session
from npgpt.errors import InputError
from npgpt.parallel.memory import keep_freed_memory
from npgpt.parallel.threads import available_cores
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import parameter_count
from npgpt.model.presets import PRESETS, preset
from npgpt.runs.checkpoint import FOLDER
from npgpt.training.footprint import footprint, machine_memory
from npgpt.runs.interrupt import Interrupt
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.runs.recorder import MINUTES, resume_command
from npgpt.training.trainer import Diverged, TrainingSettings, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_arguments(parser)
    add_model_arguments(parser)
    add_training_arguments(parser)


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument("--data", type=path, nargs="+", metavar="FILE",
                      help="UTF-8 text files, or one folder with nanoGPT's train.bin and val.bin "
                           "(default: the documentation that comes with Python)")
    data.add_argument("--out", type=path, metavar="DIR", help=f"where the model goes (default: {OUT})")
    data.add_argument("--overwrite", action="store_true", help="replace the model that is in DIR")
    data.add_argument("--resume", type=path, metavar="DIR",
                      help="go on with the run in DIR from its newest checkpoint, as if it had never stopped; settings "
                           "that are given change, all others stay as they were")
    data.add_argument("--tokenizer", choices=("char", "byte", "bpe"),
                      help="a token for every character that occurs (char, the default), for every byte, or for "
                           "frequent sequences of bytes, learned from the text as GPT-2's were (bpe)")
    data.add_argument("--vocab-size", type=count, metavar="N",
                      help=f"how many tokens bpe makes, {OTHER_TOKENS} or more (default: {BPE_VOCABULARY}); or how many "
                           f"train.bin has, where no tokenizer lies beside it (default: GPT-2's {GPT2_VOCABULARY})")


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    small = preset("small")
    model = parser.add_argument_group("model")
    model.add_argument("--preset", choices=tuple(PRESETS), help="a configuration by name (default: small)")
    model.add_argument("--n-layer", type=count, metavar="N", help=f"blocks (default: {small.n_layer})")
    model.add_argument("--n-head", type=count, metavar="N", help=f"attention heads in each (default: {small.n_head})")
    model.add_argument("--n-embd", type=count, metavar="N", help=f"channels (default: {small.n_embd})")
    model.add_argument("--n-positions", type=count, metavar="N",
                       help=f"context: how many tokens are seen at once (default: {small.n_positions})")
    model.add_argument("--dropout", type=float, metavar="P",
                       help="share of activations dropped in training (default: the preset's)")
    model.add_argument("--init", type=path, metavar="DIR", help="start from the model in DIR, with its tokenizer")
    model.add_argument("--dtype", choices=("float32", "float64"), help="(default: float32)")


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    settings = TrainingSettings()
    training = parser.add_argument_group("training")
    for name, text in (("steps", "updates"),
                       ("batch_size", "sequences in a batch"),
                       ("accumulate", "batches for one update"),
                       ("learning_rate", "its peak, after the warm-up"),
                       ("min_learning_rate", "where its cosine ends"),
                       ("warmup", "steps in which it rises"),
                       ("weight_decay", "pull of matrices and embeddings towards zero"),
                       ("beta1", "AdamW's memory of the gradient"),
                       ("beta2", "AdamW's memory of its square"),
                       ("clip", "largest norm of a gradient; 0 means no limit"),
                       ("seed", "the same seed gives the same model"),
                       ("skip_bad_steps", "steps without a finite loss and gradient that may be passed over")):
        value = getattr(settings, name)
        kind = count if isinstance(value, int) and name != "seed" else type(value)
        training.add_argument("--" + name.replace("_", "-"), type=kind,
                              metavar="N" if isinstance(value, int) else "X",
                              help=f"{text} (default: {DERIVED.get(name, value)})")
    training.add_argument("--eval-every", type=count, metavar="N",
                          help="steps between looks at the validation text (default: a tenth of --steps)")
    training.add_argument("--checkpoint-every", type=count, metavar="N",
                          help=f"steps between checkpoints (default: {MINUTES} minutes); one more is written whenever the "
                               "validation loss is the smallest yet, at Ctrl-C, and at the end")
    training.add_argument("--keep-checkpoints", type=count, metavar="K",
                          help=f"how many of the newest stay in DIR/{FOLDER} (default: {KEPT}), beside the one with the "
                               "smallest validation loss")
    training.add_argument("--threads", type=count, metavar="N",
                          help="how many share a batch, or each layer; more than there are cores only slow each other; "
                               f"1 runs inline, for the debugger (default: all cores, here {available_cores()})")
    training.add_argument("--dry-run", action="store_true", help="say what would be trained, and stop")


def run(args: argparse.Namespace) -> int:
    """The loop stands here, so that few calls lie between the command and a layer."""
    session = None
    with contextlib.ExitStack() as stack, Interrupt() as interrupt:
        try:
            session = prepare(args, stack)
            if session is None:
                return 0
            session.start()
            with parallel_gradients(args.threads) as gradients_of:
                interrupt.patient = True
                for step in train(session.state, session.config, session.settings, session.corpus.train, gradients_of):
                    if session.take(step, interrupt):
                        break
                interrupt.patient = False
            if interrupt.came:
                session.progress.line(f"interrupted at step {step.number} of {session.settings.steps}: "
                                      f"{session.recorder.how_to_go_on()}")
                return interrupt.status
            session.conclude(step)
            return 0
        except KeyboardInterrupt:
            progress = session.progress if session else Progress()
            progress.line(f"stopped at once: {session.recorder.how_to_go_on() if session else nothing_done(args)}")
            return interrupt.status
        except Diverged as error:
            raise InputError(f"{error}; {session.recorder.how_to_go_on()}") from None
        except OSError as error:
            if session is None or error.filename is None:      # not of the run's own files
                raise
            raise InputError(f"{error.filename}: {error.strerror}; {session.recorder.how_to_go_on()}") from None


def prepare(args: argparse.Namespace, stack: contextlib.ExitStack) -> Session | None:
    """All that comes before the first step. None where there is nothing to train, and that was said.

    What is taken, the folder above all, is held until the stack is closed. Raises InputError or OSError.
    """
    origin = take_up(args, stack) if args.resume else begin(args)
    materials = gather(args, origin)
    settings = training_settings(args, materials.config)
    progress = stack.enter_context(TrainingProgress(settings, materials.config.n_positions))
    if not origin and not args.dry_run:
        make_room(args, progress, stack)
    progress.line(describe(args, materials, settings))
    if args.dry_run:
        return None
    if origin and origin.step >= settings.steps:
        progress.line(finished(args, origin))
        return None
    keep_freed_memory()
    state = starting_state(args, materials, settings, origin)
    recorder = start_recorder(args, materials, settings, state, origin)
    stack.callback(recorder.close)
    return Session(args, materials, settings, state, recorder, progress)


def nothing_done(args: argparse.Namespace) -> str:
    return "before the first step" + (f"; go on with: {resume_command(args.resume)}" if args.resume else "")


def describe(args: argparse.Namespace, materials: Materials, settings: TrainingSettings) -> str:
    corpus, config = materials.corpus, materials.config
    return (f"text   {describe_data(args.data)}: {len(corpus.train):,} tokens to learn from, {len(corpus.validation):,} to "
            f"validate on, {config.vocab_size:,} different\n"
            f"model  {parameter_count(config):,} parameters in {args.dtype}: {config.n_layer} layers, "
            f"{config.n_head} heads, {config.n_embd} channels, context {config.n_positions}\n"
            f"steps  {settings.steps:,} of {settings.accumulate * settings.batch_size} sequences each, "
            f"on {args.threads} thread{'s' * (args.threads > 1)}; {memory(args, config, settings)}")


def memory(args: argparse.Namespace, config: GPTConfig, settings: TrainingSettings) -> str:
    need = footprint(config, settings.batch_size, args.threads, np.dtype(args.dtype), settings.accumulate)
    parts = ", ".join(f"{name} {size / 2**20:,.0f}" for name, size in need._asdict().items())
    there = machine_memory()
    too_much = f", more than the {there / 2**20:,.0f} MB of this machine" if there and need.total > there else ""
    return f"about {need.total / 2**20:,.0f} MB of memory{too_much} ({parts})"
