"""Data parallelism: the gradients of a batch, computed on several threads.

A batch is divided among the threads, and each runs the plain code on its part. If the batch is too small to divide, or
the model so large that adding a gradient vector for each thread would cost more time than dividing the batch saves, the
threads divide the layers' matrices instead (tensor_parallel.py).
"""
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from npgpt.model.layers import PLAIN
from npgpt.model.parameters import parameter_count
from npgpt.parallel.blas import blas_threads
from npgpt.parallel.tensor_parallel import TensorParallelLayers
from npgpt.parallel.threads import together
from npgpt.tasks.task import Batch, Task

ACTIVATIONS_PER_TOKEN = 20    # times n_embd: about what a block keeps of a token for its backward pass


@contextmanager
def parallel_gradients(task: Task, threads: int) -> Iterator[Callable]:
    """While the context lasts, a loss_and_gradients of the task that uses `threads` threads, with BLAS limited to one each.

    With one thread it is task.loss_and_gradients itself. If the number of BLAS's threads cannot be set, a message on
    standard error says so, and computation is slower.
    """
    with blas_threads(1) as limited:
        if threads == 1:
            yield task.loss_and_gradients
            return
        if not limited:
            print("npgpt: the number of threads of this NumPy's BLAS cannot be set, so threads may compete for cores; "
                  "OPENBLAS_NUM_THREADS=1 or the like in the environment may help", file=sys.stderr)
        with ThreadPoolExecutor(threads) as pool:
            yield ParallelGradients(task, pool, threads, limited).loss_and_gradients


class ParallelGradients:
    """A task's gradients on several threads."""

    def __init__(self, task: Task, pool: ThreadPoolExecutor, threads: int, blas_is_limited: bool) -> None:
        self.task, self.pool, self.threads = task, pool, threads
        self.layers = TensorParallelLayers(pool, threads) if blas_is_limited else PLAIN     # else BLAS uses threads itself
        self.part_gradients: list[np.ndarray | None] = [None] * (threads - 1)     # reused: of all parts but the first

    def loss_and_gradients(self, batch: Batch, parameters: np.ndarray, rng: np.random.Generator | None = None,
                           fraction: float = 1.0, out: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        """As the task's. The parts' results are added in a fixed order, so that the same seed and number of threads give
        the same bytes. An exception of a part is raised here.
        """
        if not divides(batch, self.task, self.threads):
            return self.task.loss_and_gradients(batch, parameters, rng, fraction, out, self.layers)
        counted = max(self.task.count(batch), 1)
        parts = zip(*(np.array_split(array, self.threads) for array in batch))
        calls = []
        for part, part_out in zip(parts, [out, *self.part_gradients]):
            part_rng = np.random.default_rng(rng.integers(2**63)) if rng is not None else None
            calls.append((part, parameters, part_rng, fraction * self.task.count(part) / counted, part_out))
        (loss, gradients), *others = together(self.pool, self.task.loss_and_gradients, calls)
        for i, (part_loss, part_gradients) in enumerate(others):
            loss += part_loss
            gradients += part_gradients
            self.part_gradients[i] = part_gradients
        return loss, gradients


def divides(batch: Batch, task: Task, threads: int) -> bool:
    """Whether to divide a batch: not if it has fewer examples than there are threads, nor if the gradients are larger
    than the activations, because adding the threads' gradients would then take the time that is saved.
    """
    tokens, config = batch[0].size, task.config
    activations = tokens * config.n_layer * ACTIVATIONS_PER_TOKEN * config.n_embd
    return 1 < threads <= len(batch[0]) and parameter_count(task.table) < activations
