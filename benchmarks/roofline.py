"""Roofline: the least time that a piece of work needs on this machine, by the machine's peaks (Williams et al. 2009).

What is counted is the same for every implementation, so that figures can be compared:

    flops   those of the matrix products alone; a multiplication and an addition are two. For causal attention, only
            the pairs of query and key that the mask keeps. Backward has two products for each one of forward.
    bytes   those that must be moved even if no intermediate result is ever written to memory: every argument is read
            once, every result written once.
"""
from typing import NamedTuple

from npgpt.model.config import GPTConfig


class Work(NamedTuple):
    flops: int
    bytes: int


class Peak(NamedTuple):
    """The most that this machine was seen to do in a second with some number of threads."""
    flops: float                                # float32 operations, in square matrix products
    bandwidth: float                            # bytes read and written, in adding arrays
    reading: float                              # bytes read, if nothing is written

    def figures(self) -> dict:
        """For JSON."""
        return {"sgemm peak GFLOP/s": self.flops / 1e9, "bandwidth GB/s": self.bandwidth / 1e9,
                "reading GB/s": self.reading / 1e9}


def bound(work: Work, peak: Peak) -> tuple[float, str]:
    """The least time in seconds, and which of the two peaks sets it: "sgemm" or "memory"."""
    return max((work.flops / peak.flops, "sgemm"), (work.bytes / peak.bandwidth, "memory"))


def attention_flops(B: int, T: int, C: int) -> int:
    """Forward of causal attention over all heads: queries by keys, then weights by values."""
    pairs = T * (T + 1) // 2
    return 2 * 2 * B * pairs * C


def block_flops(config: GPTConfig, B: int, T: int) -> int:
    """Forward of one block: its weight matrices, and attention."""
    C, I = config.n_embd, config.inner
    return 2 * B * T * (4 * C * C + 2 * C * I) + attention_flops(B, T, C)


def training_flops(config: GPTConfig, B: int, T: int) -> int:
    """Forward and backward of the whole model on a batch."""
    head = 2 * B * T * config.n_embd * config.vocab_size
    return 3 * (config.n_layer * block_flops(config, B, T) + head)
