"""Footprint: how much memory training takes at its peak, told before it is taken."""
from typing import NamedTuple

import numpy as np

from npgpt.layers.causal_attention import BLOCK
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import parameter_count
from npgpt.training.parallel import splits

PROCESS = 48 * 2**20          # bytes of Python, NumPy and BLAS themselves


class Footprint(NamedTuple):
    """Bytes, at the peak of a training step."""
    parameters: int
    gradients: int            # a vector for each thread that takes part of the batch
    moments: int
    activations: int          # all that forward keeps for backward, logits and temporaries included

    @property
    def total(self) -> int:
        return PROCESS + sum(self)


def footprint(config: GPTConfig, batch_size: int, threads: int, dtype: np.dtype) -> Footprint:
    """Memory of a training step on batches of whole contexts."""
    size, N = np.dtype(dtype).itemsize, parameter_count(config)
    vectors = threads if splits((batch_size, config.n_positions), config, threads) else 1
    return Footprint(N * size, N * size * vectors, 2 * N * size, batch_size * config.n_positions * token_bytes(config, size))


def token_bytes(config: GPTConfig, size: int) -> int:
    """What one token keeps alive when the way back begins.

    In each block: both layer norms' xhat and result, q, k, v, the heads' result (8 C), the feed-forward's
    middle before, within and after its activation (3 I), and a weight for every key and head. Dropout
    adds a byte for each entry it may drop, and the attention weights before it.
    """
    C, I, V = config.n_embd, config.inner, config.vocab_size
    weights = config.n_head * visible_keys(config.n_positions)
    block = size * (8 * C + 3 * I + weights)
    if config.attn_pdrop:
        block += (size + 1) * weights
    if config.resid_pdrop:
        block += 2 * C
    temporaries = size * (3 * C + 2 * I)
    logits = 2 * size * V
    return config.n_layer * block + temporaries + logits


def visible_keys(T: int) -> int:
    """Keys that a query meets in the mean, in blocks of queries."""
    ends = [min(start + BLOCK, T) for start in range(0, T, BLOCK)]
    starts = [0, *ends[:-1]]
    return sum((end - start) * end for start, end in zip(starts, ends)) // T
