"""npgpt train: learn from text, and leave a model directory behind."""
import argparse
import dataclasses
import itertools
import math
import tempfile
from pathlib import Path

import numpy as np

from npgpt.commands.arguments import count
from npgpt.commands.materials import BPE_VOCABULARY, GPT2_VOCABULARY, OTHER_TOKENS, Materials, gather
from npgpt.commands.progress import TrainingProgress, clock
from npgpt.errors import InputError
from npgpt.generation.generate import default_prompt, generate, stream_text
from npgpt.interop.huggingface import holds_model, save_model
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import parameter_count
from npgpt.model.presets import PRESETS, preset
from npgpt.training.evaluation import evaluate
from npgpt.training.footprint import footprint
from npgpt.training.interrupt import FirstInterrupt
from npgpt.training.memory import keep_freed_memory
from npgpt.training.parallel import available_cores, parallel_gradients
from npgpt.training.trainer import Diverged, TrainingSettings, train

VALIDATION_BATCHES = 4       # looked at while training; at the end it is the whole split
SAMPLE_TOKENS = 400
RATE_TIMES_WIDTH = 0.64      # wide models want smaller steps (Yang et al. 2022, table 8); at 128 channels 5e-3 did best
DERIVED = {"learning_rate": f"{RATE_TIMES_WIDTH} / n_embd", "warmup": "a fifth of --steps"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    small, settings = preset("small"), TrainingSettings()

    data = parser.add_argument_group("data")
    data.add_argument("--data", type=Path, nargs="+", metavar="FILE",
                      help="UTF-8 text files, or one folder with nanoGPT's train.bin and val.bin "
                           "(default: the documentation that comes with Python)")
    data.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="where the model goes (default: out)")
    data.add_argument("--overwrite", action="store_true", help="replace the model that is in DIR")
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
    model.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="(default: float32)")

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
                       ("seed", "the same seed gives the same model")):
        value = getattr(settings, name)
        kind = count if isinstance(value, int) and name != "seed" else type(value)
        training.add_argument("--" + name.replace("_", "-"), type=kind, default=None if name in DERIVED else value,
                              metavar="N" if isinstance(value, int) else "X",
                              help=f"{text} (default: {DERIVED.get(name, value)})")
    training.add_argument("--eval-every", type=count, metavar="N",
                          help="steps between looks at the validation text (default: a tenth of --steps)")
    training.add_argument("--checkpoint-every", type=count, metavar="N", help="steps between saves (default: --eval-every)")
    training.add_argument("--threads", type=count, default=available_cores(), metavar="N",
                          help="how many share a batch; 1 runs inline, for the debugger (default: all cores, here %(default)s)")
    training.add_argument("--dry-run", action="store_true", help="say what would be trained, and stop")


def run(args: argparse.Namespace) -> int:
    materials = gather(args)
    settings = training_settings(args, materials.config)
    eval_every = interval("--eval-every", args.eval_every, max(settings.steps // 10, 1))
    checkpoint_every = interval("--checkpoint-every", args.checkpoint_every, eval_every)
    if not args.dry_run:
        require_free(args.out, args.overwrite)
    tokenizer, config, corpus = materials.tokenizer, materials.config, materials.corpus
    progress = TrainingProgress(settings, config.n_positions)
    progress.line(describe(args, materials, settings))
    if args.dry_run:
        return 0

    keep_freed_memory()
    parameters = materials.parameters(settings.seed, args.dtype)
    saved = "nothing was saved yet"
    progress.start_clock()
    try:
        with FirstInterrupt() as interrupt, parallel_gradients(args.threads) as gradients_of:
            for step in train(parameters, config, settings, corpus.train, gradients_of, args.threads):
                progress.count(step)
                last = step.number == settings.steps
                if step.number % eval_every == 0 and not last:
                    progress.report(step, evaluate(parameters, config, corpus.validation, VALIDATION_BATCHES))
                if step.number % checkpoint_every == 0 or last or interrupt.came:
                    require_sound(parameters, materials, step.number)
                    save_model(args.out, parameters, config, tokenizer)
                    saved = f"{args.out} holds the model of step {step.number}"
                if interrupt.came:
                    progress.line(f"interrupted at step {step.number} of {settings.steps}: {saved}")
                    return 130
        seconds = progress.seconds()
        progress.report(step, evaluate(parameters, config, corpus.validation))
        progress.line(f"trained in {clock(seconds)}; the validation loss is over all {len(corpus.validation):,} tokens "
                      f"of its split; {saved}")
        if tokenizer is not None:
            print_sample(parameters, materials, settings.seed)
    except Diverged as error:
        raise InputError(f"{error}; {saved}") from None
    except KeyboardInterrupt:
        progress.line(f"stopped at once: {saved}")
        return 130
    progress.line(f"next: npgpt generate --model {args.out}")
    return 0


def training_settings(args: argparse.Namespace, config: GPTConfig) -> TrainingSettings:
    """Those of the arguments; what is derived where it was not given."""
    if args.threads < 1:
        raise InputError(f"--threads must be 1 or more, not {args.threads}")
    given = {field.name: getattr(args, field.name) for field in dataclasses.fields(TrainingSettings)}
    if args.learning_rate is None:
        given["learning_rate"] = RATE_TIMES_WIDTH / config.n_embd
    if args.warmup is None:
        given["warmup"] = max(args.steps, 0) // 5
    return TrainingSettings(**given)


def interval(flag: str, value: int | None, default: int) -> int:
    if value is not None and value < 1:
        raise InputError(f"{flag} must be 1 or more, not {value}")
    return value or default


def describe(args: argparse.Namespace, materials: Materials, settings: TrainingSettings) -> str:
    corpus, config = materials.corpus, materials.config
    source = ", ".join(map(str, args.data)) if args.data else "the documentation that comes with Python"
    return (f"text   {source}: {len(corpus.train):,} tokens to learn from, {len(corpus.validation):,} to validate on, "
            f"{config.vocab_size:,} different\n"
            f"model  {parameter_count(config):,} parameters in {args.dtype}: {config.n_layer} layers, {config.n_head} heads, "
            f"{config.n_embd} channels, context {config.n_positions}\n"
            f"steps  {settings.steps:,} of {settings.accumulate * settings.batch_size} sequences each, "
            f"on {args.threads} thread{'s' * (args.threads > 1)}; {memory(args, config, settings)}")


def memory(args: argparse.Namespace, config: GPTConfig, settings: TrainingSettings) -> str:
    need = footprint(config, settings.batch_size, args.threads, np.dtype(args.dtype))
    parts = ", ".join(f"{name} {size / 2**20:,.0f}" for name, size in need._asdict().items())
    return f"about {need.total / 2**20:,.0f} MB of memory ({parts})"


def require_free(folder: Path, overwrite: bool) -> None:
    """Make the folder; raise InputError where it holds a model already, OSError where it cannot be written."""
    if holds_model(folder) and not overwrite:
        raise InputError(f"{folder} already holds a model: choose another folder with --out, or replace it with --overwrite")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def require_sound(parameters: np.ndarray, materials: Materials, step: int) -> None:
    """Raise Diverged where the model gives no finite loss: such a one must not take a good one's place."""
    if not math.isfinite(evaluate(parameters, materials.config, materials.corpus.validation, batches=1)):
        raise Diverged(f"after step {step} the validation loss is no finite number: a lower learning rate may help")


def print_sample(parameters: np.ndarray, materials: Materials, seed: int) -> None:
    prompt = default_prompt(materials.config, materials.tokenizer)
    tokens = generate(parameters, materials.config, prompt, np.random.default_rng(seed), temperature=0.8)
    print("\n" + "".join(stream_text(itertools.islice(tokens, SAMPLE_TOKENS), materials.tokenizer)).strip() + "\n", flush=True)
