"""Parallel: every core at work on the one batch.

A batch is split over threads, and each runs the plain code on its share; the layers know nothing of it. Where a
model is so large that a gradient vector for each thread would cost more than that gains, or a batch so small that
there is nothing to split, the threads share each layer's matrices instead (model/shared.py), or leave them to a BLAS
that cannot be held and has threads of its own.
"""
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from npgpt.layers.cross_entropy import IGNORED
from npgpt.machine.blas import blas_threads
from npgpt.machine.threads import together
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import loss_and_gradients
from npgpt.model.layers import PLAIN
from npgpt.model.parameters import parameter_count
from npgpt.model.shared import shared_layers

ACTIVATIONS_A_TOKEN = 20      # times n_embd: what a block keeps of each token for its backward pass, attention's weights aside


@contextmanager
def parallel_gradients(threads: int) -> Iterator[Callable]:
    """While the context lasts, a loss_and_gradients that uses `threads` threads, with BLAS held to one each.

    With one thread it is model.gpt.loss_and_gradients itself, with no machinery between. Where BLAS
    cannot be held, that is said once on standard error, and everything works, if slower.
    """
    with blas_threads(1) as held:
        if threads == 1:
            yield loss_and_gradients
            return
        if not held:
            print("npgpt: this NumPy's BLAS cannot be held to one thread, so threads may get in each other's way; "
                  "OPENBLAS_NUM_THREADS=1 or the like in the environment may help", file=sys.stderr)
        with ThreadPoolExecutor(threads) as pool:
            yield Together(pool, threads, held).loss_and_gradients


class Together:
    """Threads that work on each batch together."""

    def __init__(self, pool: ThreadPoolExecutor, threads: int, held: bool) -> None:
        self.pool, self.threads = pool, threads
        self.layers = shared_layers(pool, threads) if held else PLAIN        # a BLAS that is not held has threads of its own

    def loss_and_gradients(self, ids: np.ndarray, targets: np.ndarray, parameters: np.ndarray, config: GPTConfig,
                           rng: np.random.Generator | None = None, share: float = 1.0) -> tuple[float, np.ndarray]:
        """As model.gpt.loss_and_gradients. What parts give is added in the order of the parts, so that the same
        seed and number of threads give the same bytes. What a part raises is raised here.
        """
        if not splits(ids.shape, config, self.threads):
            return loss_and_gradients(ids, targets, parameters, config, rng, share, self.layers)
        counted = max(np.count_nonzero(targets != IGNORED), 1)
        parts = []
        for part_ids, part_targets in zip(np.array_split(ids, self.threads), np.array_split(targets, self.threads)):
            part_rng = np.random.default_rng(rng.integers(2**63)) if rng is not None else None
            part_share = share * np.count_nonzero(part_targets != IGNORED) / counted
            parts.append((part_ids, part_targets, parameters, config, part_rng, part_share))
        (loss, gradients), *others = together(self.pool, loss_and_gradients, parts)
        for part_loss, part_gradients in others:
            loss += part_loss
            gradients += part_gradients
        return loss, gradients


def splits(shape: tuple[int, int], config: GPTConfig, threads: int) -> bool:
    """Whether to split a batch of shape (B, T): not where it has fewer sequences than threads, nor where a
    gradient vector for each thread would outweigh the activations, for adding them up would cost what is won.
    """
    B, T = shape
    activations = B * T * config.n_layer * ACTIVATIONS_A_TOKEN * config.n_embd
    return 1 < threads <= B and parameter_count(config) < activations
