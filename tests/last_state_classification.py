"""A second task, which the tests give to everything that takes a task: one class for each sequence."""
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from npgpt.layers.cross_entropy import cross_entropy, cross_entropy_backward
from npgpt.layers.linear import linear, linear_backward
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt, gpt_backward, gpt_table
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import bias, groups, weight


class Sequences(NamedTuple):
    ids: np.ndarray                             # (B, T)
    classes: np.ndarray                         # (B,)


class LastStateClassification:
    """A GPT that predicts one of K classes from the hidden state of the last position.

    The examples are made up: the class of a sequence is its first id, modulo K.
    """

    def __init__(self, config: GPTConfig, K: int) -> None:
        self.config, self.K = config, K
        self.table = gpt_table(config, heads=((weight(config.n_embd, K, deviation=config.initializer_range), bias(K)),))

    def training_batch(self, number: int, size: int, rng: np.random.Generator) -> Sequences:
        ids = rng.integers(self.config.vocab_size, size=(size, self.config.n_positions))
        return Sequences(ids, ids[:, 0] % self.K)

    def validation_batches(self, size: int | None = None) -> Iterator[Sequences]:
        for seed in range(3):
            yield self.training_batch(0, size or 16, np.random.default_rng(seed))

    def count(self, batch: Sequences) -> int:
        return len(batch[1])

    def loss(self, batch: Sequences, parameters: np.ndarray, rng: np.random.Generator | None = None) -> np.generic:
        ids, classes = batch
        p = groups(parameters, self.table)
        x, _ = gpt(ids, p, self.config, rng, keep=False)                # (B, T, C)
        logits, _ = linear(x[:, -1], *p.heads[0])                       # (B, K)
        return cross_entropy(logits, classes)[0]

    def loss_and_gradients(self, batch: Sequences, parameters: np.ndarray, rng: np.random.Generator | None = None,
                           fraction: float = 1.0, out: np.ndarray | None = None,
                           layers: Layers = PLAIN) -> tuple[float, np.ndarray]:
        ids, classes = batch
        gradients = np.empty_like(parameters) if out is None else out
        p, g = groups(parameters, self.table), groups(gradients, self.table)
        x, cache = gpt(ids, p, self.config, rng, layers)
        logits, head_cache = linear(x[:, -1], *p.heads[0])
        loss, loss_cache = cross_entropy(logits, classes)
        dx = np.zeros_like(x)
        dx[:, -1], _, _ = linear_backward(cross_entropy_backward(fraction, loss_cache), head_cache, g.heads[0])
        ids_read, drows = gpt_backward(dx, cache, g)
        g.wte[...] = 0
        g.wte[ids_read] = drows
        return fraction * float(loss), gradients
