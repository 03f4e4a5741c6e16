"""npgpt train: learn from text, and leave a model directory behind."""
import argparse
import contextlib
import itertools
import math
import sys
from pathlib import Path

import numpy as np

from npgpt.commands.arguments import count
from npgpt.commands.begin import DERIVED, KEPT, begin, finished, make_room, start_recorder, starting_state, training_settings
from npgpt.commands.materials import BPE_VOCABULARY, GPT2_VOCABULARY, OTHER_TOKENS, Materials, describe_data, gather
from npgpt.commands.progress import Progress, TrainingProgress, clock
from npgpt.commands.resume import take_up
from npgpt.errors import InputError
from npgpt.generation.generate import default_prompt, generate, stream_text
from npgpt.looking.terminal_curve import curve_of
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import parameter_count
from npgpt.model.presets import PRESETS, preset
from npgpt.training.checkpoint import FOLDER
from npgpt.training.evaluation import evaluate
from npgpt.training.footprint import footprint
from npgpt.training.interrupt import Interrupt
from npgpt.training.memory import keep_freed_memory
from npgpt.training.parallel import available_cores, parallel_gradients
from npgpt.training.recorder import MINUTES, resume_command
from npgpt.training.trainer import Diverged, Step, TrainingSettings, TrainingState, train

VALIDATION_TOKENS = 8192     # looked at while training; at the end it is the whole split
SAMPLE_TOKENS = 400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    small, settings = preset("small"), TrainingSettings()

    data = parser.add_argument_group("data")
    data.add_argument("--data", type=Path, nargs="+", metavar="FILE",
                      help="UTF-8 text files, or one folder with nanoGPT's train.bin and val.bin "
                           "(default: the documentation that comes with Python)")
    data.add_argument("--out", type=Path, metavar="DIR", help="where the model goes (default: out)")
    data.add_argument("--overwrite", action="store_true", help="replace the model that is in DIR")
    data.add_argument("--resume", type=Path, metavar="DIR",
                      help="go on with the run in DIR from its newest checkpoint, as if it had never stopped; settings "
                           "that are given change, all others stay as they were")
    data.add_argument("--tokenizer", choices=("char", "byte", "bpe"),
                      help="a token for every character that occurs (char, the default), for every byte, or for "
                           "frequent sequences of bytes, learned from the text as GPT-2's were (bpe)")
    data.add_argument("--vocab-size", type=count, metavar="N",
                      help=f"how many tokens bpe makes, {OTHER_TOKENS} or more (default: {BPE_VOCABULARY}); or how many "
                           f"train.bin has, where no tokenizer lies beside it (default: GPT-2's {GPT2_VOCABULARY})")

    model = parser.add_argument_group("model")
    model.add_argument("--preset", choices=tuple(PRESETS), help="a configuration by name (default: small)")
    model.add_argument("--n-layer", type=count, metavar="N", help=f"blocks (default: {small.n_layer})")
    model.add_argument("--n-head", type=count, metavar="N", help=f"attention heads in each (default: {small.n_head})")
    model.add_argument("--n-embd", type=count, metavar="N", help=f"channels (default: {small.n_embd})")
    model.add_argument("--n-positions", type=count, metavar="N",
                       help=f"context: how many tokens are seen at once (default: {small.n_positions})")
    model.add_argument("--dropout", type=float, metavar="P", help="share of activations dropped in training (default: the preset's)")
    model.add_argument("--init", type=Path, metavar="DIR", help="start from the model in DIR, with its tokenizer")
    model.add_argument("--dtype", choices=("float32", "float64"), help="(default: float32)")

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
                       ("skip_bad_steps", "steps that may be passed over because their loss or gradient is no finite number")):
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
                          help="how many share a batch; 1 runs inline, for the debugger "
                               f"(default: all cores, here {available_cores()})")
    training.add_argument("--dry-run", action="store_true", help="say what would be trained, and stop")


def run(args: argparse.Namespace) -> int:
    progress, recorder = Progress(), None
    with contextlib.ExitStack() as stack, Interrupt() as interrupt:
        try:
            origin = take_up(args, stack) if args.resume else begin(args)
            materials = gather(args, origin)
            settings = training_settings(args, materials.config)
            config, corpus = materials.config, materials.corpus
            progress = TrainingProgress(settings, config.n_positions)
            if not origin and not args.dry_run:
                make_room(args, progress, stack)
            progress.line(describe(args, materials, settings))
            if args.dry_run:
                return 0
            if origin and origin.step >= settings.steps:
                progress.line(finished(args, origin))
                return 0

            keep_freed_memory()
            state = starting_state(args, materials, settings, origin)
            recorder = start_recorder(args, materials, settings, state, origin)
            stack.callback(recorder.close)
            if recorder.fresh and sound(state.parameters, materials):
                recorder.save()                                # so that --resume works from the first step on
            progress.start_clock(state.step)
            with parallel_gradients(args.threads) as gradients_of:
                interrupt.patient = True
                for step in train(state, config, settings, corpus.train, gradients_of):
                    progress.count(step)
                    last, validation_loss = step.number == settings.steps, None
                    if step.number % args.eval_every == 0 or last:
                        validation_loss = sampled_loss(state.parameters, materials, settings)
                    if recorder.note(step, validation_loss) or last or interrupt.came:
                        if not sound(state.parameters, materials):
                            raise Diverged(f"after step {step.number} the validation loss is no finite number: "
                                           "a lower learning rate may help")
                        recorder.save()
                    if validation_loss is not None and not last:
                        progress.report(step, validation_loss)
                    if interrupt.came:
                        progress.line(f"interrupted at step {step.number} of {settings.steps}: {recorder.how_to_go_on()}")
                        return interrupt.status
                interrupt.patient = False
            conclude(args, materials, settings, state, step, progress, recorder.saved)
            return 0
        except KeyboardInterrupt:
            progress.line(f"stopped at once: {recorder.how_to_go_on() if recorder else nothing_done(args)}")
            return interrupt.status
        except Diverged as error:
            raise InputError(f"{error}; {recorder.how_to_go_on()}") from None
        except OSError as error:
            if recorder is None or error.filename is None:     # not of the run's own files
                raise
            raise InputError(f"{error.filename}: {error.strerror}; {recorder.how_to_go_on()}") from None


def nothing_done(args: argparse.Namespace) -> str:
    return "before the first step" + (f"; go on with: {resume_command(args.resume)}" if args.resume else "")


def describe(args: argparse.Namespace, materials: Materials, settings: TrainingSettings) -> str:
    corpus, config = materials.corpus, materials.config
    return (f"text   {describe_data(args.data)}: {len(corpus.train):,} tokens to learn from, {len(corpus.validation):,} to validate on, "
            f"{config.vocab_size:,} different\n"
            f"model  {parameter_count(config):,} parameters in {args.dtype}: {config.n_layer} layers, {config.n_head} heads, "
            f"{config.n_embd} channels, context {config.n_positions}\n"
            f"steps  {settings.steps:,} of {settings.accumulate * settings.batch_size} sequences each, "
            f"on {args.threads} thread{'s' * (args.threads > 1)}; {memory(args, config, settings)}")


def memory(args: argparse.Namespace, config: GPTConfig, settings: TrainingSettings) -> str:
    need = footprint(config, settings.batch_size, args.threads, np.dtype(args.dtype))
    parts = ", ".join(f"{name} {size / 2**20:,.0f}" for name, size in need._asdict().items())
    return f"about {need.total / 2**20:,.0f} MB of memory ({parts})"


def sound(parameters: np.ndarray, materials: Materials) -> bool:
    """Whether the model gives a finite loss, in the first context of the validation text: one that does not must
    not take a good one's place.
    """
    window = materials.corpus.validation[:materials.config.n_positions + 1]
    return math.isfinite(evaluate(parameters, materials.config, window))


def sampled_loss(parameters: np.ndarray, materials: Materials, settings: TrainingSettings) -> float:
    """The validation loss over the beginning of the validation text."""
    return evaluate(parameters, materials.config, materials.corpus.validation[:VALIDATION_TOKENS + 1], settings.batch_size)


def conclude(args: argparse.Namespace, materials: Materials, settings: TrainingSettings, state: TrainingState, step: Step,
             progress: TrainingProgress, saved: str) -> None:
    """What a finished run shows: the loss over the whole validation text, how it went, what the model writes."""
    seconds, validation = progress.seconds(), materials.corpus.validation
    progress.report(step, evaluate(state.parameters, materials.config, validation, settings.batch_size))
    progress.line(f"trained in {clock(seconds)}; the validation loss is over all {len(validation):,} tokens of its split; {saved}")
    progress.line(curve_of(args.out, sys.stderr.encoding))
    if materials.tokenizer is not None:
        print_sample(state.parameters, materials, settings.seed)
    progress.line(f"next: npgpt generate --model {args.out}")


def print_sample(parameters: np.ndarray, materials: Materials, seed: int) -> None:
    prompt = default_prompt(materials.config, materials.tokenizer)
    tokens = generate(parameters, materials.config, prompt, np.random.default_rng(seed), temperature=0.8)
    print("\n" + "".join(stream_text(itertools.islice(tokens, SAMPLE_TOKENS), materials.tokenizer)).strip() + "\n", flush=True)
