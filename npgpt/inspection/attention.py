"""Attention: what each head of each layer looks at while a model reads a text, and what it expects next."""
from typing import NamedTuple

import numpy as np

from npgpt.generation.sampling import log_probabilities
from npgpt.model.block import BlockCache
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt


class Attended(NamedTuple):
    """weights[l, h, t, s]: how much of position s the head h of layer l takes at position t; each row sums to 1."""
    weights: np.ndarray                         # (L, H, T, T)
    probabilities: np.ndarray                   # (T, V) of the token after each position


def attended(ids: np.ndarray, parameters: np.ndarray, config: GPTConfig) -> Attended:
    """Read ids (T,) once, and take the weights out of the cache that comes back."""
    logits, cache = gpt(ids[None], parameters, config)
    return Attended(np.stack([block_weights(block) for block in cache.blocks]), np.exp(log_probabilities(logits[0])))


def block_weights(cache: BlockCache) -> np.ndarray:
    """(H, T, T), put together from the blocks of queries, none of which sees past its own end."""
    parts = [queries.weights[0] for queries in cache.attn.attention]                   # (H, some of T, S)
    H, _, T = parts[-1].shape
    weights = np.zeros((H, T, T), parts[0].dtype)
    start = 0
    for part in parts:
        weights[:, start:start + part.shape[1], :part.shape[2]] = part
        start += part.shape[1]
    return weights
