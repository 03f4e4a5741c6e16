"""In-context learning: every sequence brings a new mapping of keys to values, which can be learnt from it alone."""
from collections.abc import Iterator

import numpy as np

from npgpt.errors import InputError
from npgpt.layers.cross_entropy import IGNORED
from npgpt.layers.embedding import unembedding
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.heads import language_model_head
from npgpt.model.parameters import groups
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch

EVALUATION_SIZE, VALIDATION_SIZE = 64, 512      # sequences in a batch, and in the validation data


class InContext(LanguageModelling):
    """A language model of sequences of pairs: key, value, key, value, ... Only the values are predicted.

    The tokens 0 .. K - 1 are keys, K .. K + V - 1 values. The keys are drawn at random, and a key that occurs again has the
    same value again. A mapping whose values add up to a multiple of V is never trained on: those are the validation data.

    Raises InputError if a sequence does not fit the context, or keys and values the vocabulary.
    """

    def __init__(self, config: GPTConfig, keys: int = 8, values: int = 8, pairs: int = 16) -> None:
        super().__init__(config)
        if keys + values > config.vocab_size or 2 * pairs - 1 > config.n_positions:
            raise InputError(f"{keys} keys, {values} values and {pairs} pairs need vocab_size {keys + values} and "
                             f"n_positions {2 * pairs - 1} or more, not {config.vocab_size} and {config.n_positions}")
        self.keys, self.values, self.pairs = keys, values, pairs

    def with_config(self, config: GPTConfig) -> "InContext":
        return InContext(config, self.keys, self.values, self.pairs)

    def training_batch(self, number: int, size: int, rng: np.random.Generator) -> TokenBatch:
        return self.batch(size, rng)

    def validation_batches(self, size: int | None = None) -> Iterator[TokenBatch]:
        rng = np.random.default_rng(0)
        for _ in range(VALIDATION_SIZE // (size or EVALUATION_SIZE)):
            yield self.batch(size or EVALUATION_SIZE, rng, held_out=True)

    def batch(self, size: int, rng: np.random.Generator, held_out: bool = False) -> TokenBatch:
        """Sequences of mappings that are trained on, or of those that are not."""
        V = self.values
        mapping = rng.integers(V, size=(size, self.keys))
        remainder = np.zeros(size, int) if held_out else rng.integers(1, V, size=size)
        mapping[:, -1] = (remainder - mapping[:, :-1].sum(axis=1)) % V
        chosen = rng.integers(self.keys, size=(size, self.pairs))
        pairs = np.stack([chosen, self.keys + np.take_along_axis(mapping, chosen, axis=1)], axis=2)    # (B, pairs, 2)
        tokens = pairs.reshape(size, -1)
        targets = tokens[:, 1:].copy()
        targets[:, 1::2] = IGNORED
        return TokenBatch(tokens[:, :-1], targets)

    def accuracy_by_shots(self, batches: Iterator[TokenBatch], parameters: np.ndarray) -> list[float]:
        """How often the likeliest of all values is right, for keys that the sequence has shown 0, 1, 2, ... times before."""
        p = groups(parameters, self.table)
        right, count = np.zeros(self.pairs, int), np.zeros(self.pairs, int)
        for ids, targets in batches:
            x, _ = gpt(ids, p, self.config, keep=False)
            logits, _ = unembedding(x[:, ::2], language_model_head(p)[self.keys:self.keys + self.values])
            shots = shown_before(ids[:, ::2])
            np.add.at(right, shots, self.keys + logits.argmax(axis=-1) == targets[:, ::2])
            np.add.at(count, shots, 1)
        return [float(r / n) for r, n in zip(right, count) if n]


def shown_before(keys: np.ndarray) -> np.ndarray:
    """keys (B, N)  ->  (B, N): how often each has occurred in its row before"""
    same = keys[:, :, None] == keys[:, None, :]
    return np.tril(same, -1).sum(axis=2)
