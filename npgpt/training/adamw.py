"""AdamW: every parameter moves by its own measure, and matrices decay towards zero."""
import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from npgpt.model.config import GPTConfig
from npgpt.model.parameters import decays, parameter_shapes

SLICE = 2**18       # entries: small enough for the caches, large enough that threads seldom wait for Python's lock


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), bias-corrected.

    Holds the two moments, flat vectors in the layout of the parameters, and the number of updates made.
    Matrices and embeddings decay, gains and biases do not (parameters.decays).
    """

    def __init__(self, parameters: np.ndarray, config: GPTConfig, beta1: float = 0.9, beta2: float = 0.99,
                 weight_decay: float = 0.1, eps: float = 1e-8, threads: int = 1) -> None:
        self.beta1, self.beta2, self.weight_decay, self.eps = beta1, beta2, weight_decay, eps
        self.mean = np.zeros_like(parameters)
        self.square = np.zeros_like(parameters)
        self.updates = 0
        slices = decay_slices(config)
        threads = min(threads, len(parameters) // (4 * SLICE) + 1)       # small models gain nothing from more
        self.parts = [slices[i::threads] for i in range(threads)]
        self.pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def update(self, parameters: np.ndarray, gradients: np.ndarray, rate: float, scale: float = 1.0) -> None:
        """One step, in place, with the gradients times `scale`:

            g      = scale * gradients
            mean   = beta1 mean   + g
            square = beta2 square + g^2
            p      = (1 - rate * weight_decay) p - rate * m / (sqrt(s) + eps)
            where    m = c1 mean,   c1 = (1 - beta1) / (1 - beta1^t),   t = updates made
                     s = c2 square, c2 = (1 - beta2) / (1 - beta2^t)

        The paper has the factors 1 - beta in the moments; here they stand with the bias corrections,
        which are scalars, and so cost no pass over memory.
        """
        self.updates += 1

        def update_part(slices: list[tuple[int, int, bool]]) -> None:
            self.update_slices(slices, parameters, gradients, rate, scale)

        list((self.pool.map if self.pool else map)(update_part, self.parts))

    def update_slices(self, slices: list[tuple[int, int, bool]], parameters: np.ndarray, gradients: np.ndarray,
                      rate: float, scale: float) -> None:
        c1 = (1 - self.beta1) / (1 - self.beta1 ** self.updates)
        root_c2 = math.sqrt((1 - self.beta2) / (1 - self.beta2 ** self.updates))
        # m / (sqrt(s) + eps) = c1 / root_c2 * mean / (sqrt(square) + eps / root_c2)
        eps = self.eps / root_c2
        corrected_rate = rate * c1 / root_c2
        scratch = np.empty(SLICE, parameters.dtype)
        for start, stop, decay in slices:
            p, g, t = parameters[start:stop], gradients[start:stop], scratch[:stop - start]
            mean, square = self.mean[start:stop], self.square[start:stop]

            np.multiply(g, scale, out=t)
            mean *= self.beta1
            mean += t

            t *= t
            square *= self.beta2
            square += t

            np.sqrt(square, out=t)
            t += eps
            np.divide(mean, t, out=t)
            t *= corrected_rate
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


def norm(gradients: np.ndarray) -> float:
    """Euclidean norm of the flat vector."""
    return math.sqrt(gradients @ gradients)


def clip_scale(norm: float, limit: float) -> float:
    """What a gradient of this norm is multiplied by, so that its norm is at most `limit` (0: no limit)."""
    return limit / norm if norm > limit > 0 else 1.0
