"""A block: attention, then feed-forward, each reading a normalised residual stream and adding to it."""
from typing import NamedTuple

import numpy as np

from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.feed_forward import FeedForwardCache
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.layers.self_attention import SelfAttentionCache
from npgpt.model.config import GPTConfig
from npgpt.model.layers import PLAIN, Layers


class BlockCache(NamedTuple):
    ln_1: tuple
    attn: SelfAttentionCache | list[SelfAttentionCache]      # one for each part, where threads share the layer
    attn_dropout: tuple | None
    ln_2: tuple
    mlp: FeedForwardCache | list[FeedForwardCache]           # likewise
    mlp_dropout: tuple | None
    layers: Layers


def block(x, gain_1, bias_1, w_qkv, b_qkv, w_proj, b_proj, gain_2, bias_2, w_up, b_up, w_down, b_down,
          config: GPTConfig, rng: np.random.Generator | None = None,
          layers: Layers = PLAIN) -> tuple[np.ndarray, BlockCache]:
    """Pre-LN transformer block (Radford et al. 2019, section 2.3).

    x (B, T, C), and the parameters of parameters.block_shapes  ->  y (B, T, C)

        m = x + dropout(attention(layer_norm(x)))
        y = m + dropout(feed_forward(layer_norm(m)))

    Dropout acts only where rng is given. layers: who computes the two branches.
    """
    drop = rng is not None and config.resid_pdrop > 0
    attn_dropout = mlp_dropout = None

    normed, ln_1 = layer_norm(x, gain_1, bias_1, config.layer_norm_epsilon)
    branch, attn = layers.self_attention(normed, w_qkv, b_qkv, w_proj, b_proj, config.n_head, config.attn_pdrop, rng)
    if drop:
        branch, attn_dropout = dropout(branch, config.resid_pdrop, rng)
    m = x + branch

    normed, ln_2 = layer_norm(m, gain_2, bias_2, config.layer_norm_epsilon)
    branch, mlp = layers.feed_forward(normed, w_up, b_up, w_down, b_down, config.activation_function)
    if drop:
        branch, mlp_dropout = dropout(branch, config.resid_pdrop, rng)
    y = m + branch
    return y, BlockCache(ln_1, attn, attn_dropout, ln_2, mlp, mlp_dropout, layers)


def block_backward(dy: np.ndarray, cache: BlockCache, dw_qkv: np.ndarray | None = None, dw_proj: np.ndarray | None = None,
                   dw_up: np.ndarray | None = None, dw_down: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """dy (B, T, C)  ->  dx (B, T, C) and the gradients of the parameters, in forward's order

    The residual stream forks: what arrives at y goes on to m unchanged, and once more through the
    branch; the two gradients add up. The same happens from m to x.

    dw_qkv, dw_proj, dw_up, dw_down: arrays to write these into, as NumPy's out.
    """
    dbranch = dy
    if cache.mlp_dropout is not None:
        dbranch = dropout_backward(dbranch, cache.mlp_dropout)
    dnormed, dw_up, db_up, dw_down, db_down = cache.layers.feed_forward_backward(dbranch, cache.mlp, dw_up, dw_down)
    dm, dgain_2, dbias_2 = layer_norm_backward(dnormed, cache.ln_2)
    dm += dy

    dbranch = dm
    if cache.attn_dropout is not None:
        dbranch = dropout_backward(dbranch, cache.attn_dropout)
    dnormed, dw_qkv, db_qkv, dw_proj, db_proj = cache.layers.self_attention_backward(dbranch, cache.attn, dw_qkv, dw_proj)
    dx, dgain_1, dbias_1 = layer_norm_backward(dnormed, cache.ln_1)
    dx += dm
    return dx, dgain_1, dbias_1, dw_qkv, db_qkv, dw_proj, db_proj, dgain_2, dbias_2, dw_up, db_up, dw_down, db_down
