"""Footprint: how much memory training will need at its peak."""
import contextlib
import dataclasses
import math
import os
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from npgpt.model.parameters import initial_parameters, parameter_count
from npgpt.parallel.data_parallel import divides
from npgpt.tasks.task import Task

PROCESS = 48 * 2**20          # bytes of Python, NumPy and BLAS themselves
MEASURED_TOKENS = 2048        # enough that the arrays outweigh Python's own objects
LONGEST = 1024                # context that is measured; a longer one is extrapolated


class Footprint(NamedTuple):
    """Bytes, at the peak of a training step."""
    parameters: int
    gradients: int            # a vector for each part of the batch; one more where batches are accumulated
    moments: int
    activations: int          # batches, what forward keeps for backward, logits, temporary arrays
    text: int = 0             # token ids of the whole text, if it is in memory

    @property
    def total(self) -> int:
        return PROCESS + sum(self)


def footprint(task: Task, batch_size: int, threads: int, dtype: np.dtype, accumulate: int = 1) -> Footprint:
    """Memory of a training step on the largest batches that a task has.

    Activations are left out (0) where the four vectors alone exceed the machine's memory.
    """
    vector = parameter_count(task.table) * np.dtype(dtype).itemsize
    largest = task.largest_batch(batch_size)
    vectors = (threads if divides(largest, task, threads) else 1) + (accumulate > 1)
    fits = 4 * vector <= (machine_memory() or math.inf)
    activations = accumulate * largest[0].nbytes + activation_bytes(task, batch_size, dtype) if fits else 0
    return Footprint(vector, vectors * vector, 2 * vector, activations)


def activation_bytes(task: Task, batch_size: int, dtype: np.dtype) -> int:
    """What loss_and_gradients allocates, besides the gradients: measured on a small model, and scaled up.

    The small model has one head, and so 1 / n_head of all channels, of the vocabulary and of the attention weights.
    Every large array is proportional to one of these, so the whole is n_head times as large. It is measured with one
    layer and with two, to know what each further layer adds, or with three if every second one has a window, and with a
    few sequences.
    """
    config, ids = task.config, task.largest_batch(1)[0]
    H, T = config.n_head, ids.shape[-1]
    if T > LONGEST:             # attention weights grow with T^2, all else with T: bytes / T is a straight line
        half, whole = (activation_bytes(task.with_config(dataclasses.replace(config, n_positions=n)), batch_size, dtype) / n
                       for n in (LONGEST // 2, LONGEST))
        return round(T * (whole + (whole - half) * (T - LONGEST) / (LONGEST // 2)))
    sequences = min(batch_size, math.ceil(MEASURED_TOKENS / ids.size))
    narrow = {"n_head": 1, "n_embd": config.n_embd // H, "n_inner": math.ceil(config.inner / H),
              "vocab_size": math.ceil(config.vocab_size / H), "bos_token_id": None, "eos_token_id": None,
              "pad_token_id": None}
    more = 1 if getattr(config, "window_size", None) is None else 2
    one, several = (measured_bytes(task.with_config(dataclasses.replace(config, n_layer=n, **narrow)), sequences, dtype)
                    for n in (1, 1 + more))
    return round(H * (one + (config.n_layer - 1) * (several - one) / more) * batch_size / sequences)


def measured_bytes(task: Task, batch_size: int, dtype: np.dtype) -> int:
    batch = task.largest_batch(batch_size)
    parameters = initial_parameters(task.table, dtype=dtype)
    gradients, rng = np.empty_like(parameters), np.random.default_rng(0)
    return peak_allocated(lambda: task.loss_and_gradients(batch, parameters, rng, out=gradients))


def peak_allocated(work: Callable[[], object]) -> int:
    """The most bytes that a call holds at once. NumPy reports its arrays to tracemalloc."""
    tracemalloc.start()
    try:
        with without_breakpoints():
            work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@contextlib.contextmanager
def without_breakpoints() -> Iterator[None]:
    """While the context lasts, breakpoint() does nothing: one in a layer is meant for the training step."""
    hook, sys.breakpointhook = sys.breakpointhook, lambda *_, **__: None
    try:
        yield
    finally:
        sys.breakpointhook = hook


def machine_memory() -> int | None:
    """Bytes of memory of this machine; None if the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
