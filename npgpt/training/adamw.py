"""AdamW: every parameter moves by its own measure, and matrices decay towards zero."""
import itertools
import math

import numpy as np

from npgpt.model.config import GPTConfig
from npgpt.model.parameters import decays, parameter_shapes

SLICE = 16384       # entries; five slices of this length stay in a core's L2 cache


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), bias-corrected.

    Holds the two moments, flat vectors in the layout of the parameters, and the number of updates made.
    Matrices and embeddings decay, gains and biases do not (parameters.decays).
    """

    def __init__(self, parameters: np.ndarray, config: GPTConfig, beta1: float = 0.9, beta2: float = 0.99,
                 weight_decay: float = 0.1, eps: float = 1e-8) -> None:
        self.beta1, self.beta2, self.weight_decay, self.eps = beta1, beta2, weight_decay, eps
        self.mean = np.zeros_like(parameters)
        self.square = np.zeros_like(parameters)
        self.updates = 0
        self.slices = decay_slices(config)

    def update(self, parameters: np.ndarray, gradients: np.ndarray, rate: float) -> None:
        """One step, in place:

            mean   = beta1 mean   + (1 - beta1) g
            square = beta2 square + (1 - beta2) g^2
            p      = (1 - rate * weight_decay) p - rate * m / (sqrt(s) + eps)
            where    m = mean / (1 - beta1^t),  s = square / (1 - beta2^t),  t = updates made
        """
        self.updates += 1
        correction1 = 1 - self.beta1 ** self.updates
        correction2 = math.sqrt(1 - self.beta2 ** self.updates)
        # sqrt(s) + eps = (sqrt(square) + eps * correction2) / correction2
        eps = self.eps * correction2
        rate_corrected = rate * correction2 / correction1
        scratch = np.empty(SLICE, parameters.dtype)
        for start, stop, decay in self.slices:
            p, g = parameters[start:stop], gradients[start:stop]
            mean, square = self.mean[start:stop], self.square[start:stop]
            t = scratch[:stop - start]

            np.subtract(g, mean, out=t)
            t *= 1 - self.beta1
            mean += t

            np.multiply(g, g, out=t)
            t -= square
            t *= 1 - self.beta2
            square += t

            np.sqrt(square, out=t)
            t += eps
            np.divide(mean, t, out=t)
            t *= rate_corrected
            if decay:
                p *= 1 - rate * self.weight_decay
            p -= t


def decay_slices(config: GPTConfig) -> list[tuple[int, int, bool]]:
    """(start, stop, decays) of slices that cover the flat vector, each decaying as a whole or not at all."""
    slices, start = [], 0
    for decay, neighbours in itertools.groupby(parameter_shapes(config).items(), lambda item: decays(item[0])):
        stop = start + sum(math.prod(shape) for _, shape in neighbours)
        slices += [(i, min(i + SLICE, stop), decay) for i in range(start, stop, SLICE)]
        start = stop
    return slices


def clip_norm(gradients: np.ndarray, limit: float) -> float:
    """Scale the gradients in place so that their norm is at most `limit` (0: no limit)  ->  the norm before"""
    norm = math.sqrt(gradients @ gradients)
    if norm > limit > 0:
        gradients *= limit / norm
    return norm
