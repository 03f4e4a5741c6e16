"""npgpt evaluate on files of labelled examples: accuracy, F1 and the confusion matrix, or correlations."""
import argparse
import sys
from pathlib import Path

from npgpt.commands.classify import find_head
from npgpt.commands.progress import Progress
from npgpt.errors import InputError
from npgpt.interop.huggingface import load
from npgpt.json_files import write_json
from npgpt.model.model import Model
from npgpt.tasks.labelled import cut_lines, inputs_of
from npgpt.tasks.prediction import Report, predictions, report
from npgpt.terminal import harmless
from npgpt.text.example_files import read_examples


def run(args: argparse.Namespace) -> int:
    model = load(args.model)
    reports = {}
    for name in args.data:
        which = head_of_file(model, args.model, name)
        found = reports[model.heads[which].name if len(model.heads) > 1 else str(name)] = evaluated(model, which, name)
        print(harmless(f"{name}\n{found}\n", sys.stdout), flush=True)
    if args.json:
        figures = {name: found.as_json() for name, found in reports.items()}
        write_json(args.json, figures if len(figures) > 1 else next(iter(figures.values())))
    return 0


def head_of_file(model: Model, folder: Path, name: Path) -> int:
    """Of a model with several heads, that of the task that the file is named after."""
    if len(model.heads) < 2:
        return find_head(model, folder, None)
    try:
        return find_head(model, folder, name.name.partition(".")[0])
    except InputError as error:
        raise InputError(f"{name}: {error}: a file begins with the name of its task and a point") from None


def evaluated(model: Model, which: int, name: Path) -> Report:
    examples, head = read_examples(name), model.heads[which]
    inputs = inputs_of(examples, head, model.tokenizer, model.config.n_positions, name)
    with Progress() as progress:
        if message := cut_lines(examples, inputs, model.config.n_positions, name):
            progress.line(message)
        found = predictions(model, which, inputs, lambda done: progress.status(f"{done:,} of {len(inputs):,} examples"))
    return report(head, inputs, found)
