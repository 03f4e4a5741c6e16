"""Shapes: the models and batches that are measured, the same in every benchmark; and what the command line asks for."""
import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.roofline import Peak
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import initial_parameters, named_views
from npgpt.model.presets import preset
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch

DTYPE = np.float32
# A low learning rate, so that hundreds of steps on one batch do not memorise it.
SETTINGS = {"learning_rate": 1e-5, "betas": (0.9, 0.99), "weight_decay": 0.1, "clip": 1.0}


class Shape(NamedTuple):
    """A model, and the batch (B, T) that it is trained on. Without dropout, so that steps can be compared."""
    name: str
    about: str
    config: GPTConfig
    B: int
    T: int

    @property
    def sizes(self) -> str:
        c = self.config
        return f"L{c.n_layer} H{c.n_head} C{c.n_embd} T{self.T} B{self.B} V{c.vocab_size}"

    @property
    def title(self) -> str:
        return f"{self.name}: {self.sizes} ({self.about})"

    @property
    def task(self) -> LanguageModelling:
        return LanguageModelling(self.config)

    def parameters(self) -> np.ndarray:
        return initial_parameters(self.task.table, seed=0, dtype=DTYPE)

    def batch(self) -> TokenBatch:
        """Uniform random tokens."""
        ids = np.random.default_rng(0).integers(self.config.vocab_size, size=(self.B, self.T + 1))
        return TokenBatch(ids[:, :-1].copy(), ids[:, 1:].copy())


SHAPES = [
    Shape("small", "nanoGPT's CPU recipe", preset("small", n_layer=4).without_dropout(), 12, 64),
    Shape("medium", "nanoGPT's larger character model, batch cut to 8", preset("medium").without_dropout(), 8, 256),
    Shape("gpt2", "GPT-2 124M in llm.c's CPU setting", preset("gpt2").without_dropout(), 4, 64),
]


class Plan(NamedTuple):
    """What the command line asks of every benchmark."""
    short: bool                                 # fewer shapes, fewer repeats
    threads: int                                # the most to use
    torch_python: str                           # the interpreter that has torch
    peaks: dict[int, Peak]                      # by number of threads
    named: list[str]                            # names of shapes; if there are none, those that suit the benchmark

    @property
    def shapes(self) -> list[Shape]:
        if self.named:
            return [shape for shape in SHAPES if shape.name in self.named]
        return SHAPES[:2] if self.short else SHAPES


def write_problem(shape: Shape, folder: Path) -> dict:
    """Write the batch, and the parameters by name, to a file  ->  the arguments that start a peer"""
    file = folder / "problem.npz"
    np.savez(file, **shape.batch()._asdict(), **named_views(shape.parameters(), shape.task.table))
    return {"file": str(file), "config": dataclasses.asdict(shape.config), **SETTINGS}
