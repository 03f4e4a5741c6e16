"""Objectives: what can be trained. An objective has the task and its data, and says what the command line shows of them.

`npgpt train --objective NAME` and `npgpt finetune` share all else: the loop (train.py), the session, and the run's folder.
"""
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from npgpt.commands.arguments import for_shell
from npgpt.model.heads import Head
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.runs.settings import RunSettings
from npgpt.tasks.task import Batch, Task
from npgpt.text.tokenizer import Tokenizer
from npgpt.training.duration import task_step_seconds
from npgpt.training.evaluation import Validation, evaluate


@dataclass
class Objective:
    """What a run is about. Each kind of run is a subclass, which defines data_line, show_result and next_command, and
    overrides others of these methods where it differs.
    """
    task: Task
    tokenizer: Tokenizer | None
    start: Model | None                        # the model to be trained further; None: a new one
    dtype: np.dtype
    paths: list[Path] | None                   # of the data; None: those that come with Python
    sha256: str                                # of the data

    name = "causal"                            # one of the OBJECTIVES of runs/settings.py
    command = "train"                          # that resumes such runs
    length = "steps"                           # its argument for how long to train
    examples = "sequences"                     # what a batch has
    bytes_in_memory = 0                        # of the data
    defaults = MappingProxyType({})            # of settings, where they differ from TrainingSettings

    @property
    def heads(self) -> tuple[Head, ...]:
        """Those beside the language-model head."""
        return ()

    def model(self, seed: int) -> Model:
        """The model that is trained: `start`, or a new one."""
        parameters = self.start.parameters if self.start else initial_parameters(self.task.table, seed, self.dtype)
        return Model(parameters, self.task.config, self.tokenizer, self.heads)

    def data_line(self) -> str:
        """The data, in a line for the beginning of the run: "text   alice.txt: 900 tokens to train on, ..." """
        raise NotImplementedError

    def validate(self, parameters: np.ndarray, batches: Iterable[Batch]) -> Validation:
        return Validation(evaluate(self.task, parameters, batches))

    def loss_is_finite(self, parameters: np.ndarray) -> bool:
        """Whether a model may replace a good one: its loss on the first validation example is finite."""
        return math.isfinite(evaluate(self.task, parameters, self.first_example()))

    def first_example(self) -> Iterable[Batch]:
        return [next(iter(self.task.validation_batches(1)))]

    def validated(self) -> str:
        """What the validation loss is over, for the end of the run."""
        count = sum(map(self.task.count, self.task.validation_batches()))
        return f"{count:,} {self.examples}"

    def bits_per_nat(self) -> float | None:
        """Factor from the loss in nats a token to bits a byte of text; None where it has another unit."""
        return None

    def step_seconds(self, settings: RunSettings) -> float:
        """How long a step takes, measured."""
        return task_step_seconds(self.task, settings, settings.threads, self.dtype)

    def show_result(self, model: Model, settings: RunSettings) -> None:
        """Print what the trained model can do."""
        raise NotImplementedError

    def next_command(self, folder: Path) -> str:
        """What to type next, for the end of the run."""
        raise NotImplementedError

    def resume_command(self, folder: Path) -> str:
        return f"npgpt {self.command} --resume {for_shell(folder)}"
