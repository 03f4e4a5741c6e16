"""Fine-tuning, with and without pretraining, as in table 5 of Radford et al. (2018):

    python -m benchmarks.fine_tuning FOLDER --out DIR

FOLDER holds two files of labelled examples for each task, NAME.train.jsonl and NAME.test.jsonl. A small GPT is pretrained on
the texts of all training files together. For each task it is fine-tuned, with the defaults of npgpt finetune: from scratch,
pretrained, and pretrained but without the auxiliary language-model loss. The table shows the median accuracy of several seeds
on the test files. All models and figures stay in DIR, and a run that is found there is not made again.
"""
import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.table import Table
from npgpt.errors import InputError
from npgpt.text.example_files import read_examples
from npgpt.text.examples import ChoiceExample, Example, PairExample, TextExample

PRETRAINING = ("--tokenizer", "gpt1", "--vocab-size", "2048", "--n-layer", "2", "--batch-size", "24", "--steps", "1600")
VARIANTS = {"from scratch": ("--from-scratch",), "pretrained": (), "without auxiliary loss": ("--lm-weight", "0")}


def text_of(example: Example, rng: random.Random) -> str:
    """The text of an example. Of two texts, a pair or a context and its right choice, one stands again after the other: so
    the model learns to look back for what it has read before, which is what comparing two texts needs.
    """
    if isinstance(example, TextExample):
        return example.text
    pair = isinstance(example, PairExample)
    texts = [example.sentence1, example.sentence2] if pair else [example.context, example.choices[example.answer]]
    rng.shuffle(texts)
    return " ".join([*texts, texts[0]])


def target_of(example: Example) -> object:
    return example.answer if isinstance(example, ChoiceExample) else example.label


def pretraining_text(files: list[Path]) -> str:
    """An example a line. They are shuffled, because the last tenth of the text is for validation."""
    rng = random.Random(0)
    lines = [text_of(example, rng) + "\n" for file in files for example in read_examples(file)]
    rng.shuffle(lines)
    return "".join(lines)


def tasks_in(folder: Path) -> dict[str, list[Path]]:
    """The training and the test file of each task. Raises InputError if there are none."""
    found = {}
    for train in sorted(folder.glob("*.train.jsonl")):
        test = train.with_name(train.name.replace(".train.", ".test."))
        if test.exists() and isinstance(read_examples(train)[0], (TextExample, PairExample, ChoiceExample)):
            found[train.name.removesuffix(".train.jsonl")] = [train, test]
    if not found:
        raise InputError(f"{folder} has no tasks: files of labelled examples, NAME.train.jsonl and NAME.test.jsonl")
    return found


def npgpt(*arguments: object) -> None:
    """Run a command of npgpt. Its output is shown only if it fails."""
    answer = subprocess.run([sys.executable, "-m", "npgpt", *map(str, arguments)], capture_output=True, text=True)
    if answer.returncode:
        raise InputError(answer.stderr.strip().splitlines()[-1])


def pretrained(files: list[Path], out: Path, options: list[str]) -> Path:
    """The folder of a model that was trained on the texts of these files."""
    folder = out / "pretrained"
    if not (folder / "finished").exists():
        (out / "texts.txt").write_text(pretraining_text(files), encoding="utf-8")
        start = time.perf_counter()
        npgpt("train", "--data", out / "texts.txt", "--out", folder, "--overwrite", *PRETRAINING, *options)
        (folder / "finished").write_text(f"{time.perf_counter() - start:.0f} s\n")
    print(f"pretraining took {(folder / 'finished').read_text()}", flush=True)
    return folder


def accuracy(train: Path, test: Path, init: Path, out: Path, options: list[str]) -> float:
    """Of a model that is fine-tuned on one file, and measured on the other."""
    figures = out / "figures.json"
    if not figures.exists():
        out.mkdir(parents=True, exist_ok=True)
        npgpt("finetune", "--data", train, "--init", init, "--out", out, "--overwrite", *options)
        npgpt("evaluate", "--model", out, "--data", test, "--json", figures)
    return json.loads(figures.read_text())["accuracy"]


def majority(test: Path) -> float:
    """The accuracy of the answer that is right most often."""
    targets = Counter(map(target_of, read_examples(test)))
    return max(targets.values()) / targets.total()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fine_tuning", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=Path("fine_tuning"), metavar="DIR", help="(default: fine_tuning)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="runs of each (default: 5)")
    parser.add_argument("--tasks", nargs="+", metavar="NAME", help="(default: all in FOLDER)")
    parser.add_argument("--variants", nargs="+", default=[*VARIANTS], choices=VARIANTS, metavar="NAME",
                        help=f"columns of the table (default: {', '.join(map(repr, VARIANTS))})")
    parser.add_argument("--threads", default="2", metavar="N", help="(default: 2)")
    args = parser.parse_args()
    try:
        run(args)
    except (InputError, OSError) as error:
        parser.error(str(error))


def run(args: argparse.Namespace) -> None:
    tasks = tasks_in(args.folder)
    if unknown := set(args.tasks or ()) - set(tasks):
        raise InputError(f"{args.folder} has no task {unknown.pop()}; there are {', '.join(tasks)}")
    args.out.mkdir(parents=True, exist_ok=True)
    threads = ["--threads", args.threads]
    init = pretrained([train for train, _ in tasks.values()], args.out, threads)
    table = Table(("task", -16), ("majority", 8), *((name, 22) for name in args.variants))
    for task in args.tasks or tasks:
        cells = []
        for name in args.variants:
            found = [accuracy(*tasks[task], init, args.out / task / name.replace(" ", "-") / str(seed),
                              [*VARIANTS[name], "--seed", str(seed), *threads]) for seed in range(args.seeds)]
            cells.append(f"{statistics.median(found):.3f} ({min(found):.3f}-{max(found):.3f})")
        table.row(task, f"{majority(tasks[task][1]):.3f}", *cells)


if __name__ == "__main__":
    main()
