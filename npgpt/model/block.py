"""Pre-LN block (GPT-2, GPT-3): attention, then feed-forward, each applied to a normalised copy of the residual stream
and added to it."""
from typing import NamedTuple

import numpy as np

from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.layers.pattern import CAUSAL, Pattern
from npgpt.model.config import TransformerConfig
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import AttentionParameters, BlockParameters, FeedForwardParameters, LayerNormParameters

NO_OUT = BlockParameters((None, None), (None,) * 4, (None, None), (None,) * 4)


class BlockCache(NamedTuple):
    ln_1: tuple
    attn: tuple
    attn_dropout: tuple | None
    ln_2: tuple
    mlp: tuple
    mlp_dropout: tuple | None
    layers: Layers


def block(x: np.ndarray, p: BlockParameters, config: TransformerConfig, pattern: Pattern = CAUSAL,
          rng: np.random.Generator | None = None, layers: Layers = PLAIN) -> tuple[np.ndarray, BlockCache]:
    """Transformer block with layer norm before each branch (Radford et al. 2019, section 2.3).

    x (B, T, C)  ->  y (B, T, C)

        m = x + dropout(self_attention(layer_norm(x)))
        y = m + dropout(feed_forward(layer_norm(m)))

    pattern: which positions attend to which. Dropout acts only where rng is given. layers: which implementation
    of attention and feed-forward to use. The errors are those of the layers.
    """
    drop = rng is not None and config.resid_pdrop > 0
    attn_dropout = mlp_dropout = None

    normed, ln_1 = layer_norm(x, *p.ln_1, config.layer_norm_epsilon)
    branch, attn = layers.self_attention(normed, *p.attn, config.n_head, pattern, config.attn_pdrop, rng)
    if drop:
        branch, attn_dropout = dropout(branch, config.resid_pdrop, rng)
    m = x + branch

    normed, ln_2 = layer_norm(m, *p.ln_2, config.layer_norm_epsilon)
    branch, mlp = layers.feed_forward(normed, *p.mlp, config.activation_function)
    if drop:
        branch, mlp_dropout = dropout(branch, config.resid_pdrop, rng)
    y = m + branch
    return y, BlockCache(ln_1, attn, attn_dropout, ln_2, mlp, mlp_dropout, layers)


def block_backward(dy: np.ndarray, cache: BlockCache, out: BlockParameters = NO_OUT) -> tuple[np.ndarray, BlockParameters]:
    """dy (B, T, C)  ->  dx (B, T, C), and the gradients of the parameters in the same groups

    m is used twice, in the residual stream and in the branch, so two gradients add up in dm; so do two in dx.
    """
    dbranch = dy if cache.mlp_dropout is None else dropout_backward(dy, cache.mlp_dropout)
    dnormed, *dmlp = cache.layers.feed_forward_backward(dbranch, cache.mlp, out.mlp)
    dm, *dln_2 = layer_norm_backward(dnormed, cache.ln_2, out.ln_2)
    dm += dy

    dbranch = dm if cache.attn_dropout is None else dropout_backward(dm, cache.attn_dropout)
    dnormed, *dattn = cache.layers.self_attention_backward(dbranch, cache.attn, out.attn)
    dx, *dln_1 = layer_norm_backward(dnormed, cache.ln_1, out.ln_1)
    dx += dm
    return dx, BlockParameters(LayerNormParameters(*dln_1), AttentionParameters(*dattn), LayerNormParameters(*dln_2),
                               FeedForwardParameters(*dmlp))
