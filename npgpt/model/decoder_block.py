"""Post-LN block with cross-attention, of a decoder (Vaswani et al. 2017): self-attention, attention to the encoder's output,
then feed-forward, each added to the residual stream, which is normalised after every addition."""
from typing import Any, NamedTuple

import numpy as np

from npgpt.layers.cross_attention import AttendCache, attend_to_memory, attend_to_memory_backward
from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.layers.pattern import CAUSAL, Pattern
from npgpt.model.config import TransformerConfig
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import (AttentionParameters, FeedForwardParameters, LayerNormParameters, bias, block_table,
                                    layer_norm_table, weight)


class AttendParameters(NamedTuple):
    """Of attend_to_memory (layers/cross_attention.py)."""
    w_q: Any                                    # (C, C)
    b_q: Any                                    # (C,)
    w_proj: Any                                 # (C, C)
    b_proj: Any                                 # (C,)


class DecoderBlockParameters(NamedTuple):
    attn: AttentionParameters
    ln_1: LayerNormParameters
    attend: AttendParameters
    ln_2: LayerNormParameters
    mlp: FeedForwardParameters
    ln_3: LayerNormParameters


NO_OUT = DecoderBlockParameters((None,) * 4, (None, None), (None,) * 4, (None, None), (None,) * 4, (None, None))


def decoder_block_table(C: int, I: int, deviation: float) -> DecoderBlockParameters:
    """All matrices start from the same normal distribution."""
    plain = block_table(C, I, deviation, deviation)
    attend = AttendParameters(weight(C, C, deviation=deviation), bias(C), weight(C, C, deviation=deviation), bias(C))
    return DecoderBlockParameters(plain.attn, plain.ln_1, attend, layer_norm_table(C), plain.mlp, plain.ln_2)


class DecoderBlockCache(NamedTuple):
    attn: tuple
    attn_dropout: tuple | None
    ln_1: tuple
    attend: AttendCache
    attend_dropout: tuple | None
    ln_2: tuple
    mlp: tuple
    mlp_dropout: tuple | None
    ln_3: tuple
    layers: Layers


def decoder_block(x: np.ndarray, keys_values: np.ndarray, p: DecoderBlockParameters, config: TransformerConfig,
                  pattern: Pattern = CAUSAL, mask: np.ndarray | None = None, rng: np.random.Generator | None = None,
                  layers: Layers = PLAIN) -> tuple[np.ndarray, DecoderBlockCache]:
    """Transformer block of a decoder (Vaswani et al. 2017, sections 3.1 and 5.4).

    x (B, T, C), keys_values (2, B, H, S, D) of the memory  ->  y (B, T, C)

        n = layer_norm(x + dropout(self_attention(x)))
        m = layer_norm(n + dropout(attend_to_memory(n, keys_values)))
        y = layer_norm(m + dropout(feed_forward(m)))

    mask (B, S): the positions of the memory that are seen, if not all. The other arguments and the errors are those of
    model.block.block.
    """
    drop = rng is not None and config.resid_pdrop > 0
    attn_dropout = attend_dropout = mlp_dropout = None

    branch, attn = layers.self_attention(x, *p.attn, config.n_head, pattern, config.attn_pdrop, rng)
    if drop:
        branch, attn_dropout = dropout(branch, config.resid_pdrop, rng)
    n, ln_1 = layer_norm(x + branch, *p.ln_1, config.layer_norm_epsilon)

    branch, attend = attend_to_memory(n, keys_values, *p.attend, mask=mask, p=config.attn_pdrop, rng=rng)
    if drop:
        branch, attend_dropout = dropout(branch, config.resid_pdrop, rng)
    m, ln_2 = layer_norm(n + branch, *p.ln_2, config.layer_norm_epsilon)

    branch, mlp = layers.feed_forward(m, *p.mlp, config.activation_function)
    if drop:
        branch, mlp_dropout = dropout(branch, config.resid_pdrop, rng)
    y, ln_3 = layer_norm(m + branch, *p.ln_3, config.layer_norm_epsilon)
    return y, DecoderBlockCache(attn, attn_dropout, ln_1, attend, attend_dropout, ln_2, mlp, mlp_dropout, ln_3, layers)


def decoder_block_backward(dy: np.ndarray, cache: DecoderBlockCache, out: DecoderBlockParameters = NO_OUT
                           ) -> tuple[np.ndarray, np.ndarray, DecoderBlockParameters]:
    """dy (B, T, C)  ->  dx (B, T, C), dkeys_values (2, B, H, S, D), and the gradients of the parameters in the same groups

    x, n and m are each used twice, in the residual stream and in a branch, so two gradients add up in dx, dn and dm.
    """
    dsum, *dln_3 = layer_norm_backward(dy, cache.ln_3, out.ln_3)
    dbranch = dsum if cache.mlp_dropout is None else dropout_backward(dsum, cache.mlp_dropout)
    dm, *dmlp = cache.layers.feed_forward_backward(dbranch, cache.mlp, out.mlp)
    dm += dsum

    dsum, *dln_2 = layer_norm_backward(dm, cache.ln_2, out.ln_2)
    dbranch = dsum if cache.attend_dropout is None else dropout_backward(dsum, cache.attend_dropout)
    dn, dkeys_values, *dattend = attend_to_memory_backward(dbranch, cache.attend, out.attend)
    dn += dsum

    dsum, *dln_1 = layer_norm_backward(dn, cache.ln_1, out.ln_1)
    dbranch = dsum if cache.attn_dropout is None else dropout_backward(dsum, cache.attn_dropout)
    dx, *dattn = cache.layers.self_attention_backward(dbranch, cache.attn, out.attn)
    dx += dsum
    return dx, dkeys_values, DecoderBlockParameters(
        AttentionParameters(*dattn), LayerNormParameters(*dln_1), AttendParameters(*dattend), LayerNormParameters(*dln_2),
        FeedForwardParameters(*dmlp), LayerNormParameters(*dln_3))
