"""Inference: the model of model/gpt.py with a key-value cache, so that each token is computed once."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from npgpt.generation.decode_step import decode_step, is_gpt2
from npgpt.generation.kv_cache import KeyValueCache
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import GPTParameters, gpt
from npgpt.model.heads import language_model_head
from npgpt.model.layers import PLAIN, Layers
from npgpt.parallel.blas import blas_threads, find_blas_threads
from npgpt.parallel.memory import keep_freed_scratch
from npgpt.parallel.tensor_parallel import TensorParallelLayers

PARALLEL_SIZE = 48_000      # tokens times channels of a prompt from which on tensor-parallel layers beat BLAS's threads


def next_logits(ids: np.ndarray, p: GPTParameters, config: GPTConfig, cache: KeyValueCache, length: int,
                first: np.ndarray | None = None, layers: Layers = PLAIN) -> np.ndarray:
    """ids (B, T), the next tokens of B texts  ->  logits (B, V) of the token that follows them

    The first `length` columns of the cache are in use; keys and values of ids are written into the next T. first (B,),
    for texts that do not begin in column 0: the column of each text's first token, at most `length`. No token attends to
    the columns before it, and positions count from it.

    Raises ValueError where length + T > n_positions, IndexError for an id outside the vocabulary.
    """
    end = length + ids.shape[1]
    if end > config.n_positions:
        raise ValueError(f"{length} + {ids.shape[1]} tokens do not fit n_positions ({config.n_positions})")
    if ids.size == 1 and first is None and is_gpt2(config):
        return decode_step(int(ids[0, 0]), p, config, cache, length)[None]
    mask, earliest, positions = None, 0, np.arange(length, end)                        # (T,)
    if first is not None:
        earliest, positions = int(first.min()), positions - first[:, None]             # (B, T)
        if first.max() > earliest:
            mask = (np.arange(end) >= first[:, None])[:, None, None, :]                # (B, 1, 1, end)
    x, _ = gpt(ids, p, config, None, layers, positions, cache.patterns(config, length, mask, earliest), keep=False)
    logits, _ = layers.unembedding(x[:, -1], language_model_head(p))                   # (B, V)
    return logits


def prefill(ids: np.ndarray, p: GPTParameters, config: GPTConfig, cache: KeyValueCache, start: int = 0) -> np.ndarray:
    """Fill T columns of a cache for one text, from column `start` on  ->  logits (V,) of the token that follows it

    ids (T,). A long prompt is computed by tensor-parallel layers on as many threads as BLAS has, because BLAS's own
    threads divide only the matrix products.
    """
    switch = find_blas_threads() if len(ids) * config.n_embd >= PARALLEL_SIZE else None
    threads = switch.get() if switch else 1
    first = np.array([start]) if start else None
    if threads == 1:
        return next_logits(ids[None], p, config, cache, start, first)[0]
    keep_freed_scratch()
    with blas_threads(1), ThreadPoolExecutor(threads) as pool:
        return next_logits(ids[None], p, config, cache, start, first, TensorParallelLayers(pool, threads))[0]
