"""Inference: the model with a key-value cache, which computes each token once. The equations are those of model/gpt.py."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from npgpt.generation.decode_step import decode_step
from npgpt.generation.kv_cache import KeyValueCache
from npgpt.layers.embedding import unembedding
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import GPTParameters, gpt
from npgpt.model.heads import language_model_head
from npgpt.model.layers import PLAIN, Layers
from npgpt.parallel.blas import blas_threads, find_blas_threads
from npgpt.parallel.memory import keep_freed_scratch
from npgpt.parallel.tensor_parallel import TensorParallelLayers

PARALLEL_TOKENS = 128       # in a prompt, from which on threads that divide the layers are faster than BLAS's own


def next_logits(ids: np.ndarray, p: GPTParameters, config: GPTConfig, cache: KeyValueCache, length: int,
                first: np.ndarray | None = None, layers: Layers = PLAIN) -> np.ndarray:
    """Logits of the token that follows the last one.

    ids (B, T), the next tokens of B texts of which the cache holds the first `length` columns  ->  logits (B, V)

    The keys and values of ids are written into columns length .. length + T - 1. first (B,): the column of each
    text's first token, at most `length`, where the texts differ in length: they end in the same column, no token
    attends to what stands before its own text, and positions count from its start.

    Raises ValueError where length + T > n_positions.
    """
    end = length + ids.shape[1]
    if end > config.n_positions:
        raise ValueError(f"{length} + {ids.shape[1]} tokens do not fit n_positions ({config.n_positions})")
    if ids.size == 1 and first is None:
        return decode_step(int(ids[0, 0]), p, config, cache, length)[None]
    mask, positions = None, np.arange(length, end)                                     # (T,)
    if first is not None:
        mask = (np.arange(end) >= first[:, None])[:, None, None, :]                    # (B, 1, 1, S)
        positions = positions - first[:, None]                                         # (B, T)
    x, _ = gpt(ids, p, config, None, layers, positions, cache.patterns(length, mask), keep=False)
    logits, _ = layers.unembedding(x[:, -1], language_model_head(p))                   # (B, V)
    return logits


def prefill(ids: np.ndarray, p: GPTParameters, config: GPTConfig, cache: KeyValueCache) -> np.ndarray:
    """Fill the first T columns of a cache for one text  ->  logits (V,) of the token that follows it

    ids (T,). A long prompt is computed by threads that divide the layers, as many as BLAS has: they are busy in every
    line, where BLAS's own threads divide the matrix products alone.
    """
    switch = find_blas_threads() if len(ids) >= PARALLEL_TOKENS else None
    threads = switch.get() if switch else 1
    if threads == 1:
        return next_logits(ids[None], p, config, cache, 0)[0]
    keep_freed_scratch()
    with blas_threads(1), ThreadPoolExecutor(threads) as pool:
        return next_logits(ids[None], p, config, cache, 0, layers=TensorParallelLayers(pool, threads))[0]
