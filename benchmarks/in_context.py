"""In-context learning, seen: a small model learns to look up what its own context has shown.

    python -m benchmarks.in_context DIR

Every training sequence brings a new mapping of keys to values (npgpt/tasks/in_context.py). What is measured is the accuracy
on mappings that were never trained on, by the number of shots: how often the sequence has shown the key before. Writes
DIR/in_context.svg, the curves of several models, and DIR/induction_head.svg, what the head that looks them up attends to.
"""
import argparse
import contextlib
import dataclasses
import string
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.table import Table
from npgpt.inspection.attention import attended
from npgpt.inspection.attention_picture import attention_picture
from npgpt.inspection.curves import HEIGHT, WIDTH, Line, frame, panel
from npgpt.inspection.metrics import Curve
from npgpt.inspection.page import style
from npgpt.inspection.picture import PAGE, picture, text
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import initial_parameters
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.parallel.memory import keep_freed_memory
from npgpt.parallel.threads import available_cores
from npgpt.tasks.in_context import InContext
from npgpt.training.settings import TrainingSettings
from npgpt.training.trainer import initial_state, train

KEYS = VALUES = 8
PAIRS = 16
CONFIG = GPTConfig(vocab_size=KEYS + VALUES, n_positions=2 * PAIRS, n_embd=64, n_layer=2, n_head=4,
                   initializer_range=0.2).without_dropout()
SETTINGS = TrainingSettings(steps=1500, batch_size=64, learning_rate=1e-3, min_learning_rate=5e-4, warmup=100,
                            schedule="cosine")
BAND = 4                                        # positions: the last two pairs
MODELS = {"two layers": CONFIG,
          "one layer": dataclasses.replace(CONFIG, n_layer=1),
          f"two layers, the second with a band of {BAND}": dataclasses.replace(CONFIG, window_size=BAND),
          "two layers, initializer_range 0.02": dataclasses.replace(CONFIG, initializer_range=0.02)}
SHOTS, BATCHES = 4, 32                          # shots in the picture; batches of 64 sequences that are measured
ROW, MARGIN = 26, 14


def trained(task: InContext, settings: TrainingSettings, threads: int) -> np.ndarray:
    """The parameters of a new model, after training."""
    state = initial_state(initial_parameters(task.table, settings.seed), task, settings, threads)
    with contextlib.closing(state.optimiser), parallel_gradients(task, threads) as loss_and_gradients:
        for _ in train(state, task, settings, loss_and_gradients):
            pass
    return state.parameters


def measured(task: InContext, parameters: np.ndarray) -> list[float]:
    """Accuracy on mappings that were not trained on, by the number of shots."""
    rng = np.random.default_rng(0)
    return task.accuracy_by_shots((task.batch(64, rng, held_out=True) for _ in range(BATCHES)), parameters)


def curves_picture(accuracies: dict[str, list[float]]) -> bytes:
    """SVG: a curve for each model. That of a model with a band is dashed, because it may hide another one."""
    kinds = ["validation" if MODELS[name].window_size else "train" for name in accuracies]
    lines = [Line(i, kinds[i], Curve(np.arange(SHOTS + 1.0), np.array(found[:SHOTS + 1])), name)
             for i, (name, found) in enumerate(accuracies.items())]
    top = MARGIN + ROW * (1 + len(lines))
    parts = [text(MARGIN, MARGIN + 12, "accuracy on mappings that were not trained on")]
    for i, line in enumerate(lines):
        y = MARGIN + ROW * (i + 1)
        parts += [f'<g class="c{i}"><path class="{line.kind}" d="M{MARGIN} {y + 7}h40"/></g>',
                  text(MARGIN + 50, y + 12, line.name)]
    parts += [f'<g transform="translate(0 {top})">', *panel(lines, frame(lines, from_zero=True), "shots"), "</g>"]
    return picture("In-context learning: accuracy by the number of shots", WIDTH, top + HEIGHT, parts, style("curves.css"),
                   shown=PAGE)


def induction_head(task: InContext, parameters: np.ndarray) -> tuple[int, float]:
    """The head of the last layer that attends most to the values which followed the same key before, and how much: its
    mean weight on them, where the key has been shown (the prefix-matching score of Olsson et al. 2022).
    """
    scores, rng = [], np.random.default_rng(1)
    for ids in task.batch(64, rng, held_out=True).ids:
        weights, _ = attended(ids, parameters, task.config)
        keys = ids[::2]
        earlier = np.tril(keys[:, None] == keys, -1)           # (pairs, pairs)
        seen = earlier.any(axis=1)
        after = weights[-1][:, ::2, 1::2]                      # of each head, from keys to values: (H, pairs, pairs - 1)
        scores.append((after * earlier[:, :-1]).sum(axis=2)[:, seen].mean(axis=1))
    mean = np.mean(scores, axis=0)
    return int(mean.argmax()), float(mean.max())


def head_picture(task: InContext, parameters: np.ndarray, head: int) -> bytes:
    """SVG: the weights of a head of the last layer, on a mapping that was not trained on."""
    ids = task.batch(1, np.random.default_rng(4), held_out=True).ids[0, :2 * KEYS + 1]
    names = string.ascii_lowercase[:task.keys] + string.digits[1:task.values + 1]
    weights, _ = attended(ids, parameters, task.config)
    return attention_picture([names[i] for i in ids], weights[-1:, [head]], [task.config.n_layer - 1], [head])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.in_context", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--steps", type=int, default=SETTINGS.steps, metavar="N", help=f"(default: {SETTINGS.steps:,})")
    parser.add_argument("--threads", type=int, default=available_cores(), metavar="N", help="(default: all cores)")
    args = parser.parse_args(arguments)
    args.folder.mkdir(parents=True, exist_ok=True)
    settings = dataclasses.replace(SETTINGS, steps=args.steps, warmup=min(SETTINGS.warmup, args.steps))
    keep_freed_memory()
    table = Table(("accuracy on mappings never trained on, shots:", -48), *((str(shots), 5) for shots in range(SHOTS + 1)),
                  ("s", 5))
    accuracies = {}
    for name, config in MODELS.items():
        task, start = InContext(config, KEYS, VALUES, PAIRS), time.perf_counter()
        parameters = trained(task, settings, args.threads)
        seconds = time.perf_counter() - start
        found = accuracies[name] = measured(task, parameters)
        table.row(name, *(f"{accuracy:.3f}" for accuracy in found[:SHOTS + 1]), f"{seconds:.0f}")
        if config == CONFIG:
            head, score = induction_head(task, parameters)
            (args.folder / "induction_head.svg").write_bytes(head_picture(task, parameters, head))
    (args.folder / "in_context.svg").write_bytes(curves_picture(accuracies))
    print(f"\nhead {head} of the second layer puts {100 * score:.0f}% of its attention on the values that followed the key "
          "before")


if __name__ == "__main__":
    main()
