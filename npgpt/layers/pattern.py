"""Attention patterns: which keys a query sees, as an argument of the layers that attend.

A pattern is a pair of functions, from q, k, v to y and from dy to dq, dk, dv. Causal, banded and bidirectional
attention are patterns; so is attention through a key-value cache (generation/kv_cache.py).
"""
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from npgpt.layers.attention import attention, attention_backward
from npgpt.layers.causal_attention import causal_attention, causal_attention_backward


class Pattern(NamedTuple):
    """forward(q, k, v, p=p, rng=rng) -> y, cache;  backward(dy, cache) -> dq, dk, dv

    q, k, v (B, H, T, D)  ->  y (B, H, T, D), with dropout of probability p on the weights where rng is given.
    """
    forward: Callable
    backward: Callable

    def of_heads(self, heads: slice) -> "Pattern":
        """The pattern of some of the heads: the same, because all heads see the same keys."""
        return self


CAUSAL = Pattern(causal_attention, causal_attention_backward)      # every position sees itself and those before it


def bidirectional(mask: np.ndarray | None = None) -> Pattern:
    """Every position sees every other; with a padding mask (B, S), only those where it is True."""
    if mask is not None:
        mask = mask[:, None, None, :]                              # (B, 1, 1, S): for all heads and queries
    return Pattern(partial(attention, mask=mask), attention_backward)


def padding_mask(ids: np.ndarray, pad_token_id: int | None) -> np.ndarray | None:
    """ids (B, S)  ->  mask (B, S), True for all tokens except padding; None where nothing is padded"""
    mask = None if pad_token_id is None else ids != pad_token_id
    return None if mask is None or mask.all() else mask


def banded(window: int) -> Pattern:
    """Every position sees itself and the window - 1 before it: the locally banded layers of GPT-3 (Brown et al. 2020,
    section 2.1). Raises ValueError unless window >= 1."""
    if window < 1:
        raise ValueError(f"banded: a window has at least 1 position, got {window}")
    return Pattern(partial(causal_attention, window=window), causal_attention_backward)
