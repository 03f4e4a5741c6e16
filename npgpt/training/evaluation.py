"""Evaluation: how well a model predicts a text, every token of it."""
import itertools
from collections.abc import Iterator

import numpy as np

from npgpt.layers.cross_entropy import cross_entropy
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.text.corpus import every_batch, require_ids, require_length


def evaluate(parameters: np.ndarray, config: GPTConfig, tokens: np.ndarray, batches: int | None = None) -> float:
    """Mean cross-entropy, in nats a token, over every token but the first; or over the first few batches."""
    total, count = 0.0, 0
    for loss, targets in itertools.islice(batch_losses(parameters, config, tokens), batches):
        total += loss * targets
        count += targets
    return total / count


def batch_losses(parameters: np.ndarray, config: GPTConfig, tokens: np.ndarray,
                 batch_size: int = 32) -> Iterator[tuple[float, int]]:
    """Mean loss and number of targets, batch by batch, in the order of the text.

    The text is cut into windows of n_positions that lie side by side; a token is predicted from those
    before it in its own window. Raises InputError where there are fewer than two tokens, or one is
    outside the vocabulary.
    """
    require_length(tokens, 1, "text to evaluate")
    for ids, targets in every_batch(tokens, batch_size, config.n_positions):
        require_ids(ids, config.vocab_size)
        require_ids(targets, config.vocab_size)
        logits, _ = gpt(ids, parameters, config)
        loss, _ = cross_entropy(logits, targets)
        yield float(loss), targets.size
