"""Losses of whole models that `npgpt gradcheck` checks, beside those of the language models in the catalogue."""
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from npgpt.checking.catalogue import DROPPING_GPT, SMALL_GPT, V
from npgpt.checking.model import check_model
from npgpt.checking.report import Report
from npgpt.model.config import GPTConfig
from npgpt.model.heads import CLASSIFICATION, MULTIPLE_CHOICE, REGRESSION, Head
from npgpt.tasks.fine_tuning import FineTuning
from npgpt.tasks.inputs import Inputs
from npgpt.tasks.task import Batch, Task

LABELS = Head(CLASSIFICATION, ("a", "b", "c"))
PAIRS = Head(CLASSIFICATION, ("a", "b", "c"), both_orders=True)
NUMBER, CHOICE = Head(REGRESSION), Head(MULTIPLE_CHOICE)
LONGEST = SMALL_GPT.n_positions
SEQUENCES = {LABELS: [1, 1, 1], PAIRS: [2, 2, 2], NUMBER: [1, 1, 1], CHOICE: [3, 2, 3]}        # of each example


def draw_inputs(head: Head, rng: np.random.Generator) -> list[Inputs]:
    """Three examples whose sequences differ in length, with an id that occurs twice."""
    examples = []
    for count in SEQUENCES[head._replace(name="")]:
        sequences = [rng.integers(V, size=rng.integers(2, LONGEST + 1)) for _ in range(count)]
        sequences[0][-1] = sequences[0][0]
        below = {REGRESSION: 9, MULTIPLE_CHOICE: count}.get(head.kind, len(head.labels))
        examples.append(Inputs(sequences, int(rng.integers(below)), False))
    return examples


class TaskCase(NamedTuple):
    make: Callable[[np.random.Generator], tuple[Task, Batch]]
    zero: tuple[str, ...] = ()                  # parameters on which the loss does not depend


def fine_tuning(*heads: Head, config: GPTConfig = SMALL_GPT, lm_weight: float = 0.5, zero: tuple[str, ...] = ()) -> TaskCase:
    def make(rng: np.random.Generator) -> tuple[Task, Batch]:
        task = FineTuning(config, heads, lm_weight=lm_weight)
        return task, task.batch(0, draw_inputs(heads[0], rng))
    return TaskCase(make, zero)


POST_LN_GPT = dataclasses.replace(SMALL_GPT, pre_layer_norm=False)
BIAS = "heads.0.b"                              # of a choice's logit: added to all of them, it changes no probability
# What is checked, by name; the part of the name before the comma is its name on the command line.
TASKS = {
    "fine_tuning, labels": fine_tuning(LABELS, lm_weight=0.0),
    "fine_tuning, both orders": fine_tuning(PAIRS),
    "fine_tuning, numbers": fine_tuning(NUMBER),
    "fine_tuning, choices and auxiliary loss": fine_tuning(CHOICE, zero=(BIAS,)),
    "fine_tuning, several heads": fine_tuning(LABELS, CHOICE._replace(name="second"), zero=("heads.1.w", "heads.1.b")),
    "fine_tuning, post-LN": fine_tuning(LABELS, config=POST_LN_GPT),
    "fine_tuning, untied head": fine_tuning(LABELS, config=dataclasses.replace(SMALL_GPT, tie_word_embeddings=False)),
    "fine_tuning, dropout": fine_tuning(CHOICE, config=DROPPING_GPT, zero=(BIAS,)),
}


def check_task(name: str, methods: tuple[str, ...], seed: int = 0) -> Report:
    """The gradients of one of TASKS by all parameters."""
    task, batch = TASKS[name].make(np.random.default_rng(seed))
    return check_model(task, batch, seed, methods, name, zero=TASKS[name].zero)
