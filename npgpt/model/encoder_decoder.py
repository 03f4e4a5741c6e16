"""The body of an encoder-decoder: the encoder reads a source text, and the decoder, which attends to the encoder's output,
predicts the tokens of a target text (Vaswani et al. 2017)."""
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from npgpt.layers.cross_attention import memory_keys_values, memory_keys_values_backward
from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.embedding import embedding, embedding_backward_rows, sinusoidal_positions
from npgpt.layers.pattern import CAUSAL, Pattern, bidirectional, padding_mask
from npgpt.model.block import BlockCache
from npgpt.model.decoder_block import (DecoderBlockCache, DecoderBlockParameters, decoder_block, decoder_block_backward,
                                       decoder_block_table)
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import BlockParameters, Rows, bias, block_table, weight
from npgpt.model.post_ln_block import post_ln_block, post_ln_block_backward


class MemoryParameters(NamedTuple):
    """Of memory_keys_values (layers/cross_attention.py)."""
    w_kv: Any                                   # (C, 2C)
    b_kv: Any                                   # (2C,)


class EncoderDecoderParameters(NamedTuple):
    shared: Any                                 # (V, C): the embedding of source and target, and the head
    encoder: list[BlockParameters]
    memory: list[MemoryParameters]              # one for each block of the decoder
    decoder: list[DecoderBlockParameters]
    heads: tuple = ()                           # the parameters of further heads


def encoder_decoder_table(config: EncoderDecoderConfig) -> EncoderDecoderParameters:
    """The table of all parameters. All matrices start from the same normal distribution, as in MarianMTModel."""
    C, I, deviation = config.n_embd, config.inner, config.initializer_range
    memory = MemoryParameters(weight(C, 2 * C, deviation=deviation), bias(2 * C))
    return EncoderDecoderParameters(
        shared=weight(config.vocab_size, C, deviation=deviation),
        encoder=[block_table(C, I, deviation, deviation)] * config.n_layer,
        memory=[memory] * config.decoder_layers,
        decoder=[decoder_block_table(C, I, deviation)] * config.decoder_layers)


class EncoderCache(NamedTuple):
    tokens: tuple
    blocks: list[BlockCache]


class DecoderCache(NamedTuple):
    tokens: tuple
    blocks: list[DecoderBlockCache]


class EncoderDecoderCache(NamedTuple):
    encoder: EncoderCache
    keys_values: list[tuple]
    decoder: DecoderCache


def encoder_decoder(source: np.ndarray, ids: np.ndarray, p: EncoderDecoderParameters, config: EncoderDecoderConfig,
                    rng: np.random.Generator | None = None, layers: Layers = PLAIN,
                    keep: bool = True) -> tuple[np.ndarray, EncoderDecoderCache]:
    """Hidden states of every position of the target (Vaswani et al. 2017).

    source (B, S), ids (B, T) of the target, with S, T <= n_positions  ->  y (B, T, C)

    Padding of the source is not attended to. Padding of the target comes last, so that no other position attends to it.
    Dropout acts only where rng is given. layers: which implementation of the layers to use. Without `keep` the blocks'
    caches are not kept: this needs less memory, and no backward pass is possible.

    Raises ValueError for sequences that are longer than n_positions, IndexError for an id outside the vocabulary.
    """
    mask = padding_mask(source, config.pad_token_id)
    memory, encoder_cache = encoder(source, p, config, mask, rng, layers, keep)
    keys_values, keys_values_caches = all_keys_values(memory, p, config)
    y, decoder_cache = decoder(ids, keys_values, p, config, mask, rng, layers, keep=keep)
    return y, EncoderDecoderCache(encoder_cache, keys_values_caches, decoder_cache)


def encoder_decoder_backward(dy: np.ndarray, cache: EncoderDecoderCache,
                             out: EncoderDecoderParameters) -> tuple[Rows, Rows]:
    """dy (B, T, C)  ->  Rows of the shared table, as the target's embedding and as the source's

    The gradients of all other parameters are written into `out`. The blocks' caches are used up, as by gpt_backward.
    """
    dkeys_values, target_rows = decoder_backward(dy, cache.decoder, out)
    dmemory = all_keys_values_backward(dkeys_values, cache.keys_values, out)
    return target_rows, encoder_backward(dmemory, cache.encoder, out)


def encoder(ids: np.ndarray, p: EncoderDecoderParameters, config: EncoderDecoderConfig, mask: np.ndarray | None = None,
            rng: np.random.Generator | None = None, layers: Layers = PLAIN,
            keep: bool = True) -> tuple[np.ndarray, EncoderCache]:
    """The memory: ids (B, S)  ->  y (B, S, C). mask (B, S): False where the source is padded; None where it is not.

        x = sqrt(C) shared[ids] + positions
        x = block_i(x)                          for all blocks of the encoder
    """
    x, tokens = embedded(ids, p.shared, np.arange(ids.shape[1]), config, rng)
    pattern, blocks = bidirectional(mask), []
    for block_parameters in p.encoder:
        x, cache = post_ln_block(x, block_parameters, config, pattern, rng, layers)
        if keep:
            blocks.append(cache)
        del cache
    return x, EncoderCache(tokens, blocks)


def encoder_backward(dy: np.ndarray, cache: EncoderCache, out: EncoderDecoderParameters) -> Rows:
    """dy (B, S, C)  ->  Rows of the shared table"""
    for block_out in reversed(out.encoder):
        dy, _ = post_ln_block_backward(dy, cache.blocks.pop(), block_out)
    return embedded_backward(dy, cache.tokens)


def all_keys_values(memory: np.ndarray, p: EncoderDecoderParameters,
                    config: EncoderDecoderConfig) -> tuple[list[np.ndarray], list[tuple]]:
    """memory (B, S, C)  ->  its keys and values (2, B, H, S, D) for each block of the decoder"""
    keys_values, caches = zip(*(memory_keys_values(memory, *group, config.n_head) for group in p.memory))
    return list(keys_values), list(caches)


def all_keys_values_backward(dkeys_values: Sequence[np.ndarray], caches: Sequence[tuple],
                             out: EncoderDecoderParameters) -> np.ndarray:
    """The same gradients (2, B, H, S, D)  ->  dmemory (B, S, C): the sum over all blocks, which all attend to the memory"""
    return sum(memory_keys_values_backward(dkv, cache, group)[0]
               for dkv, cache, group in zip(dkeys_values, caches, out.memory, strict=True))


def decoder(ids: np.ndarray, keys_values: Sequence[np.ndarray], p: EncoderDecoderParameters, config: EncoderDecoderConfig,
            mask: np.ndarray | None = None, rng: np.random.Generator | None = None, layers: Layers = PLAIN,
            positions: np.ndarray | None = None, patterns: Sequence[Pattern] | None = None,
            keep: bool = True) -> tuple[np.ndarray, DecoderCache]:
    """ids (B, T) of the target, all_keys_values of the memory  ->  y (B, T, C)

        x = sqrt(C) shared[ids] + positions
        x = block_i(x, keys_values_i)           for all blocks of the decoder

    mask (B, S): False where the source is padded. positions (T,): by default 0 .. T - 1. patterns: which positions of the
    target attend to which, for every block; by default all are causal.
    """
    if positions is None:
        positions = np.arange(ids.shape[1])
    x, tokens = embedded(ids, p.shared, positions, config, rng)
    blocks = []
    for kv, block_parameters, pattern in zip(keys_values, p.decoder, patterns or [CAUSAL] * len(p.decoder), strict=True):
        x, cache = decoder_block(x, kv, block_parameters, config, pattern, mask, rng, layers)
        if keep:
            blocks.append(cache)
        del cache
    return x, DecoderCache(tokens, blocks)


def decoder_backward(dy: np.ndarray, cache: DecoderCache, out: EncoderDecoderParameters) -> tuple[list[np.ndarray], Rows]:
    """dy (B, T, C)  ->  the gradients (2, B, H, S, D) of each block's keys and values, Rows of the shared table"""
    dkeys_values = []
    for block_out in reversed(out.decoder):
        dy, dkv, _ = decoder_block_backward(dy, cache.blocks.pop(), block_out)
        dkeys_values.append(dkv)
    return dkeys_values[::-1], embedded_backward(dy, cache.tokens)


def embedded(ids: np.ndarray, table: np.ndarray, positions: np.ndarray, config: EncoderDecoderConfig,
             rng: np.random.Generator | None = None) -> tuple[np.ndarray, tuple]:
    """Scaled embeddings and positions (sections 3.4 and 3.5): ids (B, T), positions (T,)  ->  x (B, T, C)"""
    if ids.ndim != 2 or ids.shape[1] < 1 or positions.max(initial=0) >= config.n_positions:
        raise ValueError(f"ids must be (B, T) with 1 <= T <= n_positions ({config.n_positions}), not {ids.shape}")
    scale = math.sqrt(config.n_embd)
    x, cache = embedding(ids, table)
    x *= scale
    x += sinusoidal_positions(positions, config.n_embd, x.dtype, halves=True)
    if rng is None or config.resid_pdrop == 0:
        return x, (cache, scale, None)
    x, kept = dropout(x, config.resid_pdrop, rng)
    return x, (cache, scale, kept)


def embedded_backward(dx: np.ndarray, cache: tuple) -> Rows:
    """dx (B, T, C)  ->  Rows of the table"""
    tokens, scale, kept = cache
    if kept is not None:
        dx = dropout_backward(dx, kept)
    ids, drows = embedding_backward_rows(dx, tokens)
    return ids, drows * scale
