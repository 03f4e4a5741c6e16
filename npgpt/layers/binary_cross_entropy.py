"""Binary cross-entropy: the loss of a model that answers yes or no to each of several labels, by a logit for each."""
import numpy as np

from npgpt.layers.activations import sigmoid_of_minus


def binary_cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Mean over all N entries of -ln p(target), in nats, where the label is 1 with probability sigmoid(z).

    logits (...), targets (...) of 0 and 1, or probabilities between them, not differentiated  ->  loss ()

        loss = 1/N sum (ln(1 + exp z) - target z)

    ln(1 + exp z) is computed as max(z, 0) + ln(1 + exp(-|z|)), so that exp cannot overflow. Raises ValueError where
    the shapes differ.
    """
    if logits.shape != targets.shape:
        raise ValueError(f"binary_cross_entropy: logits {logits.shape} and targets {targets.shape} differ in shape")
    positive = np.maximum(logits, 0)
    losses = np.log1p(np.exp(logits - 2 * positive))           # z - 2 max(z, 0) = -|z|, without an absolute value
    losses += positive
    losses -= targets * logits                                 # in place, so that integer targets change no dtype
    return losses.mean(), (logits, targets)


def binary_cross_entropy_backward(dloss: np.ndarray | float, cache: tuple) -> np.ndarray:
    """dloss ()  ->  dlogits (...) = dloss / N * (sigmoid(z) - target)"""
    logits, targets = cache
    dlogits = sigmoid_of_minus(-logits)
    dlogits -= targets
    dlogits *= dloss / logits.size
    return dlogits
