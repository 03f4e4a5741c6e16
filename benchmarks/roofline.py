"""Roofline: the least time in which this machine could do a piece of work, by its peaks (Williams et al. 2009).

What is counted, the same for every implementation, so that figures can be compared:

    flops   those of the matrix products alone, a multiplication and an addition being two. Of causal
            attention only the pairs of query and key that the mask keeps. Backward has two products
            for each one of forward.
    bytes   those that must move at least, if nothing that lies between were ever written to memory:
            every argument read once, every result written once.
"""
from typing import NamedTuple

from npgpt.model.config import GPTConfig


class Work(NamedTuple):
    flops: int
    bytes: int


class Bound(NamedTuple):
    """The least time, and which of the two peaks sets it."""
    seconds: float
    by: str                                     # "sgemm" or "memory"


def bound(work: Work, flops_a_second: float, bytes_a_second: float) -> Bound:
    product, transport = work.flops / flops_a_second, work.bytes / bytes_a_second
    return Bound(product, "sgemm") if product >= transport else Bound(transport, "memory")


def attention_flops(batch: int, T: int, channels: int) -> int:
    """Forward of causal attention over all heads: queries by keys, then weights by values."""
    pairs = T * (T + 1) // 2
    return 2 * 2 * batch * pairs * channels


def block_flops(config: GPTConfig, B: int, T: int) -> int:
    """Forward of one block: its four weight matrices, and attention."""
    C, I = config.n_embd, config.inner
    return 2 * B * T * (4 * C * C + 2 * C * I) + attention_flops(B, T, C)


def training_flops(config: GPTConfig, B: int, T: int) -> int:
    """Forward and backward of the whole model on a batch."""
    head = 2 * B * T * config.n_embd * config.vocab_size
    return 3 * (config.n_layer * block_flops(config, B, T) + head)
