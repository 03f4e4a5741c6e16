"""The arguments of `npgpt train`, and the settings that they resolve to."""
import argparse
import dataclasses
import os

from npgpt.commands.arguments import OUT, count, for_shell, given, model_directory, path
from npgpt.commands.materials import GPT2_VOCABULARY, KINDS, gather_text
from npgpt.commands.masked import gather_masked_text
from npgpt.commands.objective import Objective
from npgpt.commands.text_data import described
from npgpt.commands.translation import gather_pairs
from npgpt.commands.vocabularies import BPE_VOCABULARY, OTHER_TOKENS
from npgpt.errors import InputError
from npgpt.model.config import GPTConfig
from npgpt.model.presets import ALL_PRESETS, preset
from npgpt.parallel.threads import available_cores
from npgpt.runs.checkpoint import CHECKPOINTS, Checkpoint
from npgpt.runs.recorder import MINUTES
from npgpt.runs.settings import RunSettings
from npgpt.training.schedule import INVERSE_SQRT, SCHEDULES
from npgpt.training.settings import PRETRAINED, RATE_TIMES_WIDTH, TrainingSettings, default_settings

TRAINING = {                                    # the fields of TrainingSettings
    "steps": "updates",
    "batch_size": "sequences in a batch",
    "accumulate": "batches for one update (gradient accumulation)",
    "learning_rate": "the largest one, after the warm-up",
    "min_learning_rate": "the learning rate at the end",
    "warmup": "steps in which the learning rate rises",
    "weight_decay": "weight decay of matrices and embeddings",
    "beta1": "decay of AdamW's first moment",
    "beta2": "decay of AdamW's second moment",
    "clip": "largest norm of a gradient; 0 means no limit",
    "seed": "the same seed gives the same model",
    "skip_bad_steps": "how many steps whose loss or gradient is NaN or infinite may be skipped"}
PACE = {                                        # the other fields of RunSettings that have arguments
    "eval_every": "steps between validations (default: a tenth of --steps)",
    "checkpoint_every": f"steps between checkpoints (default: {MINUTES} minutes); others are written when the validation "
                        "loss is the smallest so far, at Ctrl-C, and at the end",
    "keep_checkpoints": f"how many of the newest stay in DIR/{CHECKPOINTS} (default: {RunSettings.keep_checkpoints}), "
                        "beside the one with the smallest validation loss",
    "threads": "threads that divide each batch, or each layer; 1 computes in the main thread, for the debugger (default: as "
               f"many as there are cores, {available_cores()} here)"}
# What --objective can be, and what gathers its data and model.
OBJECTIVES = {"causal": gather_text, "masked": gather_masked_text, "translate": gather_pairs}
FURTHER = f"{RATE_TIMES_WIDTH * PRETRAINED:g} / n_embd"       # learning rate at which a trained model is trained further
DERIVED = {"learning_rate": f"{RATE_TIMES_WIDTH} / n_embd; with --init {FURTHER}",
           "warmup": "a tenth of --steps"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All defaults of the parser are None, so that `resolve` can tell which arguments are given."""
    data = parser.add_argument_group("data")
    data.add_argument("--data", type=path, nargs="+", metavar="FILE",
                      help="UTF-8 text files, folders whose .txt files are read, or one folder with nanoGPT's train.bin and "
                           f"val.bin (default: {described(None)}); of translate, files of pairs, such as JSON lines with "
                           "source and target (default: docstrings of Python's library, and their first lines)")
    data.add_argument("--out", type=path, metavar="DIR", help=f"where the model is written (default: {OUT})")
    data.add_argument("--overwrite", action="store_true", help="replace the model that is in DIR; other files stay")
    data.add_argument("--resume", type=path, metavar="DIR",
                      help="resume the run in DIR from its newest checkpoint, as if it had never been interrupted; settings "
                           "given on the command line change, all others stay. With other --steps, the learning rate goes "
                           "on falling from where it is, to the new end, without a warm-up; with more steps, from "
                           f"at least {FURTHER}, or the largest of the run if this is lower")
    data.add_argument("--tokenizer", choices=tuple(KINDS.values()),
                      help="a token for every character (char, the default), for every byte, for frequent sequences of "
                           "bytes, which are learned from the text (bpe), or for frequent parts of its words, without line "
                           "breaks: in small letters (gpt1), or as they are written (wordpiece)")
    data.add_argument("--vocab-size", type=count, metavar="N",
                      help=f"of bpe, {OTHER_TOKENS} or more, of gpt1 and of wordpiece (default: {BPE_VOCABULARY}); of "
                           f"train.bin without a tokenizer beside it (default: GPT-2's {GPT2_VOCABULARY})")

    model, small = parser.add_argument_group("model"), preset("small")
    model.add_argument("--objective", choices=tuple(OBJECTIVES),
                       help="what the model learns: to predict the next token (causal, the default), tokens that are "
                            "masked, from those on both sides (masked), or a text from another one (translate): a "
                            "translation, or a summary")
    model.add_argument("--preset", choices=tuple(ALL_PRESETS),
                       help="a configuration by name (default: small; of masked, bert-small; of translate, "
                            "transformer-small)")
    for name, text in (("n_layer", "blocks"), ("n_head", "attention heads in each"), ("n_embd", "channels"),
                       ("n_positions", "context: how many tokens are seen at once")):
        model.add_argument(flag(name), type=count, metavar="N", help=f"{text} (default: {getattr(small, name)})")
    model.add_argument("--initializer-range", type=float, metavar="X",
                       help="the standard deviation of a new model's weights: with a larger one, attention begins sharper "
                            "(default: 0.8 / sqrt(n_embd); 0.02 from 768 channels on)")
    model.add_argument("--dropout", type=float, metavar="P", help="dropout probability (default: the preset's)")
    model.add_argument("--init", type=model_directory, metavar="DIR", help="start from the model in DIR, with its tokenizer")
    model.add_argument("--dtype", choices=("float32", "float64"), help="(default: float32)")

    training = parser.add_argument_group("training")
    for name, text in TRAINING.items():
        default = getattr(TrainingSettings, name)
        whole = isinstance(default, int)
        training.add_argument(flag(name), type=float if not whole else int if name == "seed" else count,
                              metavar="N" if whole else "X", help=f"{text} (default: {DERIVED.get(name, default)})")
    training.add_argument("--schedule", choices=tuple(SCHEDULES),
                          help="how the learning rate falls after the warm-up: along a line (the default; of masked and "
                               f"translate, along a cosine), or as that of Vaswani et al. 2017 ({INVERSE_SQRT})")
    for name, text in PACE.items():
        training.add_argument(flag(name), type=count, metavar="N", help=text)
    training.add_argument("--any-memory", action="store_true",
                          help="train even if that needs more memory than the machine has")
    training.add_argument("--dry-run", action="store_true",
                          help="print what would be trained, how much memory and time that takes, and stop")


def gather(args: argparse.Namespace, origin: Checkpoint | None) -> Objective:
    """What a new run needs, or one resumed from the checkpoint `origin`. Raises InputError or OSError."""
    name = origin.settings.objective if origin else args.objective or "causal"
    if args.objective not in (None, name):
        raise InputError(f"--objective {args.objective} starts a new run, the one in {args.resume} is {name}")
    if name not in OBJECTIVES:
        raise InputError(f"{args.resume} is a run of npgpt {name}: resume it with npgpt {name} --resume "
                         f"{for_shell(args.resume)}")
    return OBJECTIVES[name](args, origin)


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def resolve(args: argparse.Namespace, objective: Objective, origin: Checkpoint | None) -> RunSettings:
    """The settings given; the others are those of the resumed run, or defaults. Raises InputError, naming the setting."""
    paths = objective.paths
    data = {"data": [os.path.abspath(path) for path in paths] if paths else None, "sha256": objective.sha256}
    if origin:
        return dataclasses.replace(origin.settings, **given(args, PACE), **data,
                                   **continued(origin, given(args, (*TRAINING, "schedule")), objective.task.config))
    chosen = {**objective.defaults, **given(args, (*TRAINING, "schedule"))}
    training = vars(default_settings(objective.task.config, objective.start is not None, **chosen))
    pace = {"threads": available_cores(), "eval_every": max(training["steps"] // 10, 1), **given(args, PACE)}
    return RunSettings(**training, **pace, **data, objective=objective.name)


def continued(origin: Checkpoint, asked: dict[str, object], config: GPTConfig) -> dict[str, object]:
    """The settings that a resumed run changes. If the number of steps changes after the warm-up, the learning rate goes on
    from what it has reached, or, with more steps, from that of a pretrained model if this is larger: the rate reached by a
    finished run is 0. In terms of settings, the steps made are the warm-up, and this rate is the largest one.
    """
    was, steps = origin.settings, asked.get("steps", origin.settings.steps)
    endless = INVERSE_SQRT in (was.schedule, asked.get("schedule"))            # does not depend on the number of steps
    if steps == was.steps or origin.step < was.warmup or "warmup" in asked or endless:
        return asked
    rate = SCHEDULES[was.schedule](origin.step, was.steps, was.learning_rate, was.min_learning_rate, was.warmup)
    if steps > was.steps:
        rate = max(rate, min(was.learning_rate, default_settings(config, pretrained=True).learning_rate))
    return {"learning_rate": float(f"{rate:.3g}"), "warmup": origin.step, **asked}


def changes(origin: Checkpoint, objective: Objective, settings: RunSettings) -> str:
    """The settings that a resumed run changes, for a message."""
    before = {**vars(origin.settings), "dropout": origin.model.config.resid_pdrop}
    after = {**vars(settings), "dropout": objective.task.config.resid_pdrop}
    names = [name for name in (*TRAINING, "schedule", *PACE, "dropout") if before[name] != after[name]]
    falls = ""
    if "warmup" in names and settings.warmup == origin.step:
        names.remove("warmup")
        falls = f"; from here, the learning rate falls from {settings.learning_rate:g}, without a warm-up"
    return f"; changed: {', '.join(f'{name} {before[name]} -> {after[name]}' for name in names)}{falls}" if names else ""
