"""npgpt finetune: train a pretrained model on labelled examples."""
import argparse
import dataclasses
import math
import os
import sys
from pathlib import Path

import numpy as np

from npgpt.commands import train
from npgpt.commands.arguments import OUT, count, given, model_directory, path
from npgpt.commands.labelled import FineTune
from npgpt.commands.labelled_data import HELD_OUT
from npgpt.commands.labelled_start import DROPOUT, gather_examples
from npgpt.commands.train_arguments import PACE, TRAINING, flag
from npgpt.interop.huggingface import load, save
from npgpt.model.config import GPTConfig
from npgpt.model.heads import model_table
from npgpt.model.model import Model
from npgpt.model.parameters import groups, named_leaves, parameter_count
from npgpt.model.presets import BERT_PRESETS, PRESETS
from npgpt.parallel.threads import available_cores
from npgpt.runs.checkpoint import Checkpoint
from npgpt.runs.folder import TASK_FOLDERS
from npgpt.runs.settings import FineTuningSettings
from npgpt.tasks.fine_tuning import LM_WEIGHT
from npgpt.tasks.labelled import TASKS
from npgpt.training.settings import RATE_TIMES_WIDTH, TrainingSettings

FINETUNED = Path("finetuned")                   # the default folder
EPOCHS = 8                                      # the paper has 3; small models need more, and the best epoch is kept
RATE, WIDTH = 6.25e-5, 768                      # of the paper
POWER = 1.5                                     # smaller models need larger steps: at 128 channels 1e-3 was better than 4e-4
WARMUP = 0.002                                  # times the number of steps, as in the paper
DEFAULTS = {"batch_size": 32, "weight_decay": 0.01, "beta2": 0.999}        # those of the paper
OWN = {**{name: text for name, text in TRAINING.items() if name != "steps"},
       "batch_size": "examples in a batch",
       "min_learning_rate": "the learning rate at the end of its line"}
DERIVED = {"learning_rate": f"{RATE} * ({WIDTH} / n_embd)^{POWER}; with --from-scratch {RATE_TIMES_WIDTH} / n_embd",
           "warmup": f"{WARMUP:.1%}% of the steps"}       # argparse reads %% as %


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All defaults of the parser are None, so that `resolve` can tell which arguments are given."""
    data = parser.add_argument_group("data")
    data.add_argument("--data", type=path, nargs="+", metavar="FILE",
                      help="labelled examples: JSON lines, CSV or TSV with the fields text, label; or sentence1, sentence2, "
                           "label; or context, choices, answer; or tokens, tags; or question, context, answers. Several "
                           "files train one model with a head for each")
    data.add_argument("--validation", type=path, nargs="+", metavar="FILE",
                      help=f"examples for validation, a file for each of --data (default: one in {HELD_OUT} of --data)")
    data.add_argument("--task", choices=TASKS,
                      help="similarity reads pairs in both orders; classification and regression read them in one (default: "
                           "from the fields, and from the labels: fractions are for regression, all others are classes)")
    data.add_argument("--evenly", action="store_true",
                      help="draw as many batches of each file, not in proportion to its size")
    data.add_argument("--out", type=path, metavar="DIR", help=f"where the model is written (default: {FINETUNED})")
    data.add_argument("--overwrite", action="store_true", help="replace the model that is in DIR; other files stay")
    data.add_argument("--resume", type=path, metavar="DIR",
                      help="resume the run in DIR from its newest checkpoint, as if it had never been interrupted")

    model = parser.add_argument_group("model")
    model.add_argument("--init", type=model_directory, metavar="DIR",
                       help=f"the pretrained GPT, or BERT for tagging and spans, with its tokenizer (default: {OUT})")
    model.add_argument("--from-scratch", action="store_true",
                       help="start from new parameters, for comparison: with the sizes and the tokenizer of --init, or with "
                            "those of --preset; without --init, each character of the texts is a token")
    model.add_argument("--preset", choices=(*PRESETS, *BERT_PRESETS), help="sizes for --from-scratch")
    model.add_argument("--transfer-layers", type=count, metavar="N",
                       help="take only the embeddings and the first N layers of the pretrained model (default: all)")
    model.add_argument("--lm-weight", type=float, metavar="X",
                       help=f"weight of the auxiliary language-model loss; 0 turns it off (default: {LM_WEIGHT})")
    model.add_argument("--dropout", type=float, metavar="P", help=f"dropout probability (default: {DROPOUT})")
    model.add_argument("--dtype", choices=("float32", "float64"), help="(default: float32)")

    training = parser.add_argument_group("training")
    training.add_argument("--epochs", type=count, metavar="N", help=f"times that each example is seen (default: {EPOCHS})")
    for name, text in OWN.items():
        default = DEFAULTS.get(name, getattr(TrainingSettings, name))
        whole = isinstance(default, int)
        training.add_argument(flag(name), type=float if not whole else int if name == "seed" else count,
                              metavar="N" if whole else "X", help=f"{text} (default: {DERIVED.get(name, default)})")
    for name, text in {**PACE, "eval_every": "steps between validations (default: an epoch)"}.items():
        training.add_argument(flag(name), type=count, metavar="N", help=text)
    training.add_argument("--any-memory", action="store_true",
                          help="train even if that needs more memory than the machine has")
    training.add_argument("--dry-run", action="store_true",
                          help="print what would be trained, how much memory and time that takes, and stop")


def resolve(args: argparse.Namespace, objective: FineTune, origin: Checkpoint | None) -> FineTuningSettings:
    """The settings given; the others are those of the resumed run, or defaults. Raises InputError, naming the setting."""
    files = {"data": absolute(objective.paths), "sha256": objective.sha256}
    asked = {**given(args, OWN), **given(args, PACE), **given(args, ("epochs", "lm_weight"))}
    if origin:
        if args.validation:
            files["validation"] = absolute(args.validation)
        settings = dataclasses.replace(origin.settings, **files, **asked)
        total = steps(objective, settings.epochs, settings.batch_size, settings.accumulate)
        return dataclasses.replace(settings, steps=total)
    epochs, size = asked.get("epochs", EPOCHS), asked.get("batch_size", DEFAULTS["batch_size"])
    accumulate = asked.get("accumulate", TrainingSettings.accumulate)
    total = steps(objective, epochs, size, accumulate)
    defaults = {**DEFAULTS, "learning_rate": learning_rate(objective.task.config, args.from_scratch), "epochs": epochs,
                "warmup": math.ceil(WARMUP * total), "threads": available_cores(), "lm_weight": objective.task.lm_weight,
                "eval_every": steps(objective, 1, size, accumulate), "evenly": args.evenly,
                "validation": args.validation and absolute(args.validation)}
    return FineTuningSettings(steps=total, **{**defaults, **files, **asked})


def learning_rate(config: GPTConfig, from_scratch: bool) -> float:
    if from_scratch:
        return RATE_TIMES_WIDTH / config.n_embd
    return float(f"{RATE * (WIDTH / config.n_embd)**POWER:.3g}")


def steps(objective: FineTune, epochs: int, batch_size: int, accumulate: int) -> int:
    """Updates in so many epochs; 1 or more, so that a wrong number is reported by the settings."""
    batches = objective.task.epochs.length(max(batch_size, 1)) * max(epochs, 1)
    return math.ceil(batches / max(accumulate, 1))


def absolute(paths: list[Path]) -> list[str]:
    return [os.path.abspath(name) for name in paths]


def run(args: argparse.Namespace) -> int:
    status = train.run(args, gather_examples, resolve, FINETUNED)
    if status == 0 and not args.dry_run:
        save_each_task(args.resume or args.out or FINETUNED)
    return status


def save_each_task(folder: Path) -> None:
    """For a model with several heads, write a model directory with each of them alone. transformers knows one head."""
    model = load(folder)
    if len(model.heads) > 1:
        for which, head in enumerate(model.heads):
            save(folder / TASK_FOLDERS / head.name, with_one_head(model, which))
        print(f"for transformers, each task has a model directory in {folder / TASK_FOLDERS}", file=sys.stderr)


def with_one_head(model: Model, which: int) -> Model:
    body = parameter_count(model_table(model.config))
    head = groups(model.parameters, model.table).heads[which]
    arrays = [model.parameters[:body], *(array.ravel() for _, array in named_leaves(head))]
    return Model(np.concatenate(arrays), model.config, model.tokenizer, (model.heads[which]._replace(name=""),))
