"""Shapes: the models and batches that are measured, the same in every benchmark."""
import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npgpt.model.config import GPTConfig
from npgpt.model.parameters import decays, initial_parameters, parameter_shapes
from npgpt.model.presets import preset

DTYPE = np.float32
RATE = 1e-5                  # small, so that hundreds of steps on one batch do not learn it by heart
BETAS = 0.9, 0.99
WEIGHT_DECAY = 0.1
CLIP = 1.0


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
    def tokens(self) -> int:
        """Tokens in a batch."""
        return self.B * self.T


SHAPES = [
    Shape("small", "nanoGPT's CPU recipe", preset("small").without_dropout(), 12, 64),
    Shape("medium", "nanoGPT's larger character model, batch cut to 8", preset("medium").without_dropout(), 8, 256),
    Shape("gpt2", "GPT-2 124M in llm.c's CPU setting", preset("gpt2").without_dropout(), 4, 64),
]


def random_batch(shape: Shape, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """ids (B, T), targets (B, T): uniform random tokens."""
    ids = np.random.default_rng(seed).integers(shape.config.vocab_size, size=(shape.B, shape.T + 1))
    return ids[:, :-1].copy(), ids[:, 1:].copy()


def write_problem(shape: Shape, folder: Path) -> dict:
    """Write weights and batch as .npy files  ->  what a training process must be told to start, ready for JSON."""
    ids, targets = random_batch(shape)
    arrays = {"parameters": initial_parameters(shape.config, seed=0, dtype=DTYPE), "ids": ids, "targets": targets}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    shapes = parameter_shapes(shape.config)
    return {"folder": str(folder), "config": dataclasses.asdict(shape.config), "rate": RATE, "betas": BETAS,
            "weight_decay": WEIGHT_DECAY, "clip": CLIP,
            "parameters": [[name, size, decays(name)] for name, size in shapes.items()]}
