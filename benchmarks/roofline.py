"""Roofline: the least time in which this machine could do a piece of work, by its peaks (Williams et al. 2009).

What is counted, the same for every implementation, so that figures can be compared:

    flops   those of the matrix products alone, a multiplication and an addition being two. Of causal
            attention only the pairs of query and key that the mask keeps. Backward has two products
            for each one of forward.
    bytes   those that must move at least, if nothing that lies between were ever written to memory:
            every argument read once, every result written once.
"""
from typing import NamedTuple

from npgpt.layers.causal_attention import BLOCK
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import parameter_count


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


def training_entries(config: GPTConfig, B: int, T: int, threads: int = 1) -> int:
    """About how many numbers forward and backward hold at once, at the worse of two moments. At both there is
    what layers keep for backward: per token and block 8 C + 3 I, and the attention weights of each head, which
    attends in blocks of queries. Besides,

        at the loss                        two rows of scores per token
        in the last block's feed-forward   one of them, 3 I per token, and for each thread the gradients of
                                           all parameters and, not yet in their place, of two matrices
    """
    L, C, I, H, V = config.n_layer, config.n_embd, config.inner, config.n_head, config.vocab_size
    seen = (T + min(T, BLOCK)) // 2               # keys, by the average query's block
    kept = B * T * L * (8 * C + 3 * I + H * seen)
    at_the_loss = B * T * 2 * V
    in_a_block = B * T * (V + 3 * I) + threads * (parameter_count(config) + 2 * C * I)
    return kept + max(at_the_loss, in_a_block)
