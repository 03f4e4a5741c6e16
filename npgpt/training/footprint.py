"""Footprint: how much memory training takes at its peak, told before it is taken."""
import os
from typing import NamedTuple

import numpy as np

from npgpt.layers.causal_attention import BLOCK
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import parameter_count
from npgpt.parallel.data_parallel import splits

PROCESS = 48 * 2**20          # bytes of Python, NumPy and BLAS themselves


class Footprint(NamedTuple):
    """Bytes, at the peak of a training step."""
    parameters: int
    gradients: int            # a vector for each thread that takes part of the batch; where batches add up, their sum
    moments: int
    activations: int          # all that forward keeps for backward, logits and temporaries included

    @property
    def total(self) -> int:
        return PROCESS + sum(self)


def footprint(config: GPTConfig, batch_size: int, threads: int, dtype: np.dtype, accumulate: int = 1) -> Footprint:
    """Memory of a training step on batches of whole contexts."""
    size, tokens = np.dtype(dtype).itemsize, batch_size * config.n_positions
    vector = parameter_count(config) * size
    split = splits((batch_size, config.n_positions), config, threads)
    made = vector * (threads if split else 1)
    kept = tokens * config.n_layer * block_bytes(config, size)
    at_the_loss, on_the_way_back = (tokens * size * count for count in passing(config))
    activations = kept + max(at_the_loss - made, on_the_way_back)         # at the loss, no gradients are there yet
    return Footprint(vector, made + vector * (accumulate > 1), 2 * vector, activations)


def machine_memory() -> int | None:
    """Bytes that this machine has; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def block_bytes(config: GPTConfig, size: int) -> int:
    """What a block keeps of one token for its backward pass.

    Both layer norms' xhat and result, q, k, v and q scaled, the heads' result (9 C), the feed-forward's middle
    before, within and after its activation (3 I), and a weight for every key and head. Dropout adds a byte for
    each entry it may drop, and the attention weights before it.
    """
    C, I = config.n_embd, config.inner
    weights = config.n_head * visible_keys(config.n_positions)
    kept = size * (9 * C + 3 * I + weights)
    if config.attn_pdrop:
        kept += (size + 1) * weights
    if config.resid_pdrop:
        kept += 2 * C
    return kept


def passing(config: GPTConfig) -> tuple[int, int]:
    """Numbers beside those, for one token, while the caches of all blocks are there: when the loss is known, and at
    the worst of the last block's backward.

    Always the last layer norm's xhat and result (2 C) and the gradient of the scores (V). At the loss, the scores'
    exponentials; in feed-forward, what GELU's backward needs; in attention, gradients by scores and by weights.
    """
    C, I, V = config.n_embd, config.inner, config.vocab_size
    always = 2 * C + V
    in_feed_forward = C + 3 * I
    in_attention = 8 * C + 2 * config.n_head * min(BLOCK, config.n_positions)
    return always + V, always + max(in_feed_forward, in_attention)


def visible_keys(T: int) -> int:
    """Keys that a query meets in the mean, in blocks of queries."""
    ends = [min(start + BLOCK, T) for start in range(0, T, BLOCK)]
    starts = [0, *ends[:-1]]
    return sum((end - start) * end for start, end in zip(starts, ends)) // T
