"""npgpt evaluate on files of labelled examples: accuracy, F1 and the confusion matrix, or correlations; F1 of entities, or
the share of exact answers."""
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
from npgpt.tasks.token_prediction import (KINDS as TOKEN_KINDS, Report as TokenReport, inputs_of_tokens, token_predictions,
                                           token_report)
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


def evaluated(model: Model, which: int, name: Path) -> Report | TokenReport:
    examples, head = read_examples(name), model.heads[which]
    config, of_tokens = model.config, head.kind in TOKEN_KINDS
    inputs = (inputs_of_tokens(examples, head, model.tokenizer, config, name, with_targets=False) if of_tokens else
              inputs_of(examples, head, model.tokenizer, config.n_positions, name))
    with Progress() as progress:
        def done(count: int) -> None:
            progress.status(f"{count:,} of {len(inputs):,} examples")

        if message := cut_lines(examples, inputs, config.n_positions, name):
            progress.line(message)
        if of_tokens:
            return token_report(head, examples, token_predictions(model, examples, inputs, done))
        return report(head, inputs, predictions(model, which, inputs, done))
