"""The body of a GPT: from token ids to a hidden state for every position. Heads on top of it make predictions."""
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.embedding import embedding, embedding_backward, embedding_backward_rows, sinusoidal_positions
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.layers.pattern import CAUSAL, Pattern, banded
from npgpt.model.block import BlockCache, block, block_backward
from npgpt.model.config import GPTConfig
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import BlockParameters, LayerNormParameters, Rows, block_table, layer_norm_table, weight
from npgpt.model.post_ln_block import post_ln_block, post_ln_block_backward


class GPTParameters(NamedTuple):
    wte: Any                                    # (V, C), the embedding of tokens
    wpe: Any                                    # (n_positions, C), of positions; None where they are sinusoidal
    blocks: list[BlockParameters]
    ln_f: LayerNormParameters | None            # None where the blocks end with a layer norm
    unembedding: Any = None                     # (V, C), of the language-model head; None where it is tied to wte
    heads: tuple = ()                           # the parameters of further heads


def gpt_table(config: GPTConfig, unembedding: Any = None, heads: tuple = ()) -> GPTParameters:
    """The table of a GPT's parameters, with GPT-2's initialisation (Radford et al. 2019, section 2.3).

    2 n_layer branches are added to the residual stream. Their last matrices start smaller by sqrt(2 n_layer), so
    that its variance does not grow with depth; but not those of post-LN blocks, which normalise it.
    """
    C, deviation = config.n_embd, config.initializer_range
    learned = config.position_embedding_type == "learned"
    residual_deviation = deviation / math.sqrt(2 * config.n_layer) if config.pre_layer_norm else deviation
    return GPTParameters(
        wte=weight(config.vocab_size, C, deviation=deviation),
        wpe=weight(config.n_positions, C, deviation=deviation) if learned else None,
        blocks=[block_table(C, config.inner, deviation, residual_deviation, config.qkv_bias)] * config.n_layer,
        ln_f=layer_norm_table(C) if config.pre_layer_norm else None,
        unembedding=unembedding,
        heads=heads)


class GPTCache(NamedTuple):
    tokens: tuple
    positions: tuple | None                     # None where positions are sinusoidal
    dropout: tuple | None
    blocks: list[BlockCache]
    ln_f: tuple | None                          # None where the blocks end with a layer norm
    block_backward: Callable


def gpt(ids: np.ndarray, p: GPTParameters, config: GPTConfig, rng: np.random.Generator | None = None,
        layers: Layers = PLAIN, positions: np.ndarray | None = None, patterns: Sequence[Pattern] | None = None,
        keep: bool = True) -> tuple[np.ndarray, GPTCache]:
    """Hidden states of every position (Radford et al. 2018 and 2019).

    ids (B, T)  ->  y (B, T, C)

        x = wte[ids] + wpe[positions]
        x = block_i(x)                          for i = 0 .. n_layer - 1
        y = layer_norm(x)                       with pre-LN blocks; with post-LN blocks, y = x

    positions: (T,) or (B, T), below n_positions, by default 0 .. T - 1. patterns: which positions attend to which, for
    every block; by default attention_patterns. Dropout acts only where rng is given. layers: which implementation of the
    layers to use. Without `keep` the blocks' caches are not kept: this needs less memory, and no backward pass is possible.

    Raises ValueError for a position outside n_positions or where ids is not (B, T), IndexError for an id outside the
    vocabulary.
    """
    last = ids.shape[-1] - 1 if positions is None else positions.max()
    if ids.ndim != 2 or not 0 <= last < config.n_positions:
        raise ValueError(f"gpt: ids must be (B, T), with positions below n_positions ({config.n_positions}), not "
                         f"{ids.shape} with positions up to {last}")
    if positions is None:
        positions = np.arange(ids.shape[1])
    if patterns is None:
        patterns = attention_patterns(config)

    tokens, tokens_cache = embedding(ids, p.wte)                                       # (B, T, C)
    if p.wpe is not None:
        places, places_cache = embedding(positions, p.wpe)                             # (T, C) or (B, T, C)
    else:
        places, places_cache = sinusoidal_positions(positions, config.n_embd, tokens.dtype), None
    x = tokens + places                                                                # (B, T, C)
    dropout_cache = None
    if rng is not None and config.embd_pdrop > 0:
        x, dropout_cache = dropout(x, config.embd_pdrop, rng)

    forward, backward = (block, block_backward) if config.pre_layer_norm else (post_ln_block, post_ln_block_backward)
    blocks = []
    for block_parameters, pattern in zip(p.blocks, patterns, strict=True):
        x, block_cache = forward(x, block_parameters, config, pattern, rng, layers)
        if keep:
            blocks.append(block_cache)
        del block_cache                             # so that the next block can use its memory, if it is not kept

    y, ln_f = (x, None) if p.ln_f is None else layer_norm(x, *p.ln_f, config.layer_norm_epsilon)
    return y, GPTCache(tokens_cache, places_cache, dropout_cache, blocks, ln_f, backward)


def attention_patterns(config: GPTConfig) -> list[Pattern]:
    """The attention pattern of every block: causal, or with a window causal and banded in turn (Brown et al. 2020,
    section 2.1).
    """
    return [CAUSAL if window is None else banded(window) for window in attention_windows(config)]


def attention_windows(config: GPTConfig) -> list[int | None]:
    """How many of the last positions every block attends to; None where it attends to all."""
    return [config.window_size if i % 2 else None for i in range(config.n_layer)]


def gpt_backward(dy: np.ndarray, cache: GPTCache, out: GPTParameters) -> Rows:
    """dy (B, T, C)  ->  Rows of wte

    The gradients of all other parameters of the body are written into `out`. Those of wte are left to the caller,
    because a head may use wte too. All sequences of the batch have the same positions, whose gradients add up.

    Each block's cache is removed from cache.blocks when it is used, to free its memory: a cache serves one backward pass.
    """
    dx = dy if cache.ln_f is None else layer_norm_backward(dy, cache.ln_f, out.ln_f)[0]
    for block_out in reversed(out.blocks):
        dx, _ = cache.block_backward(dx, cache.blocks.pop(), block_out)
    if cache.dropout is not None:
        dx = dropout_backward(dx, cache.dropout)
    if cache.positions is not None:
        embedding_backward(dx.sum(axis=0), cache.positions, (out.wpe,))
    return embedding_backward_rows(dx, cache.tokens)
