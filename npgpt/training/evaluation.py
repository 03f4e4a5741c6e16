"""Evaluation: how well a model predicts a text, every token of it."""
from collections.abc import Iterator

import numpy as np

from npgpt.layers.cross_entropy import cross_entropy
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.text.corpus import every_batch, require_ids, require_length


BATCH = 1024                 # tokens, where a batch's size is left open: enough for large products, little memory


def evaluate(parameters: np.ndarray, config: GPTConfig, tokens: np.ndarray, batch_size: int | None = None) -> float:
    """Mean cross-entropy, in nats a token, over every token but the first."""
    total, count = 0.0, 0
    for loss, targets in batch_losses(parameters, config, tokens, batch_size):
        total += loss * targets
        count += targets
    return total / count


def batch_losses(parameters: np.ndarray, config: GPTConfig, tokens: np.ndarray,
                 batch_size: int | None = None) -> Iterator[tuple[float, int]]:
    """Mean loss and number of targets, batch by batch, in the order of the text.

    The text is cut into windows of n_positions that lie side by side; a token is predicted from those
    before it in its own window. Raises InputError where there are fewer than two tokens, or one is
    outside the vocabulary.
    """
    require_length(tokens, 1, "text to evaluate")
    batch_size = batch_size or max(BATCH // config.n_positions, 1)
    for ids, targets in every_batch(tokens, batch_size, config.n_positions):
        require_ids(ids, config.vocab_size)
        require_ids(targets, config.vocab_size)
        yield batch_loss(ids, targets, parameters, config), targets.size


def batch_loss(ids: np.ndarray, targets: np.ndarray, parameters: np.ndarray, config: GPTConfig) -> float:
    """A function of its own, so that nothing of one batch lies beside the next. Caches are not kept: no way back."""
    logits = gpt(ids, parameters, config)[0]
    return float(cross_entropy(logits, targets)[0])
