"""Post-LN block (Vaswani et al. 2017; GPT-1, BERT): attention, then feed-forward, each added to the residual stream,
which is normalised after every addition."""
import numpy as np

from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.layers.pattern import CAUSAL, Pattern
from npgpt.model.block import NO_OUT, BlockCache
from npgpt.model.config import TransformerConfig
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import AttentionParameters, BlockParameters, FeedForwardParameters, LayerNormParameters


def post_ln_block(x: np.ndarray, p: BlockParameters, config: TransformerConfig, pattern: Pattern = CAUSAL,
                  rng: np.random.Generator | None = None, layers: Layers = PLAIN) -> tuple[np.ndarray, BlockCache]:
    """Transformer block with layer norm after each addition (Vaswani et al. 2017, sections 3.1 and 5.4).

    x (B, T, C)  ->  y (B, T, C)

        n = layer_norm(x + dropout(self_attention(x)))
        y = layer_norm(n + dropout(feed_forward(n)))

    Arguments and errors are those of model.block.block.
    """
    drop = rng is not None and config.resid_pdrop > 0
    attn_dropout = mlp_dropout = None

    branch, attn = layers.self_attention(x, *p.attn, config.n_head, pattern, config.attn_pdrop, rng)
    if drop:
        branch, attn_dropout = dropout(branch, config.resid_pdrop, rng)
    n, ln_1 = layer_norm(x + branch, *p.ln_1, config.layer_norm_epsilon)

    branch, mlp = layers.feed_forward(n, *p.mlp, config.activation_function)
    if drop:
        branch, mlp_dropout = dropout(branch, config.resid_pdrop, rng)
    y, ln_2 = layer_norm(n + branch, *p.ln_2, config.layer_norm_epsilon)
    return y, BlockCache(ln_1, attn, attn_dropout, ln_2, mlp, mlp_dropout, layers)


def post_ln_block_backward(dy: np.ndarray, cache: BlockCache,
                           out: BlockParameters = NO_OUT) -> tuple[np.ndarray, BlockParameters]:
    """dy (B, T, C)  ->  dx (B, T, C), and the gradients of the parameters in the same groups

    n is used twice, in the residual stream and in the branch, so two gradients add up in dn; so do two in dx.
    """
    dsum, *dln_2 = layer_norm_backward(dy, cache.ln_2, out.ln_2)
    dbranch = dsum if cache.mlp_dropout is None else dropout_backward(dsum, cache.mlp_dropout)
    dn, *dmlp = cache.layers.feed_forward_backward(dbranch, cache.mlp, out.mlp)
    dn += dsum

    dsum, *dln_1 = layer_norm_backward(dn, cache.ln_1, out.ln_1)
    dbranch = dsum if cache.attn_dropout is None else dropout_backward(dsum, cache.attn_dropout)
    dx, *dattn = cache.layers.self_attention_backward(dbranch, cache.attn, out.attn)
    dx += dsum
    return dx, BlockParameters(LayerNormParameters(*dln_1), AttentionParameters(*dattn), LayerNormParameters(*dln_2),
                               FeedForwardParameters(*dmlp))
