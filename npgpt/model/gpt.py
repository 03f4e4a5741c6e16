"""The GPT: token ids in, a score for every possible next token out, and the way back."""
from typing import NamedTuple

import numpy as np

from npgpt.layers.cross_entropy import cross_entropy, cross_entropy_backward
from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.embedding import embedding, embedding_backward, embedding_backward_rows, sinusoidal_positions
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.model.block import BlockCache, block, block_backward
from npgpt.model.config import GPTConfig
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import block_views, head_name, named_views, parameter_count


class GPTCache(NamedTuple):
    tokens: tuple
    positions: tuple | None                     # None where positions are sinusoidal
    dropout: tuple | None
    blocks: list[BlockCache]
    ln_f: tuple
    head: tuple
    config: GPTConfig
    layers: Layers


def gpt(ids: np.ndarray, parameters: np.ndarray, config: GPTConfig, rng: np.random.Generator | None = None,
        layers: Layers = PLAIN) -> tuple[np.ndarray, GPTCache]:
    """Scores of the next token after every position (Radford et al. 2019).

    ids (B, T) with T <= n_positions, parameters: the flat vector  ->  logits (B, T, V)

        x = wte[ids] + wpe[0..T-1]
        x = block_i(x)                          for i = 0 .. n_layer - 1
        logits = layer_norm(x) head^T           the head is wte itself where tied

    Dropout acts only where rng is given. layers: who computes those that hold matrices.
    Raises ValueError where T > n_positions or ids is not (B, T).
    """
    if ids.ndim != 2 or not 1 <= ids.shape[1] <= config.n_positions:
        raise ValueError(f"gpt: ids must be (B, T) with 1 <= T <= n_positions ({config.n_positions}), not {ids.shape}")
    p = named_views(parameters, config)
    B, T = ids.shape

    tokens, tokens_cache = embedding(ids, p["transformer.wte.weight"])                 # (B, T, C)
    if config.position_embedding_type == "learned":
        positions, positions_cache = embedding(np.arange(T), p["transformer.wpe.weight"])
    else:
        positions, positions_cache = sinusoidal_positions(T, config.n_embd, tokens.dtype), None
    x = tokens + positions                                                             # (B, T, C)
    dropout_cache = None
    if rng is not None and config.embd_pdrop > 0:
        x, dropout_cache = dropout(x, config.embd_pdrop, rng)

    blocks = []
    for i in range(config.n_layer):
        x, block_cache = block(x, *block_views(p, i), config, rng, layers)
        blocks.append(block_cache)

    x, ln_f = layer_norm(x, p["transformer.ln_f.weight"], p["transformer.ln_f.bias"], config.layer_norm_epsilon)
    logits, head = layers.unembedding(x, p[head_name(config)])                         # (B, T, V)
    return logits, GPTCache(tokens_cache, positions_cache, dropout_cache, blocks, ln_f, head, config, layers)


def gpt_backward(dlogits: np.ndarray, cache: GPTCache, free: bool = False) -> np.ndarray:
    """dlogits (B, T, V)  ->  the gradient of every parameter, one flat vector in the layout of parameters

    Positions are shared by all sequences of the batch, so their gradients sum over it. The tied table is
    used twice: its row v is what the id v is read as, x_0 = wte[ids], and what scores it, logits_v = x wte_v.
    A change of the row reaches the loss both ways, so the two gradients add up, each over all positions:

        dwte_v = sum of dlogits_v x  +  sum of dx_0 where the id is v

    free: take each block's cache out of cache.blocks once it is passed, so that its memory serves what
    follows. The cache is then good for one way back only.
    """
    config = cache.config
    gradients = np.empty(parameter_count(config), dlogits.dtype)
    g = named_views(gradients, config)

    dx, _ = cache.layers.unembedding_backward(dlogits, cache.head, g[head_name(config)])     # (B, T, C)
    dx, g["transformer.ln_f.weight"][...], g["transformer.ln_f.bias"][...] = layer_norm_backward(dx, cache.ln_f)

    for i in reversed(range(config.n_layer)):
        views = block_views(g, i)
        matrices = [view for view in views if view.ndim == 2]                          # written in place: they are large
        dx, *dblock = block_backward(dx, cache.blocks.pop() if free else cache.blocks[i], *matrices)
        for view, gradient in zip(views, dblock, strict=True):
            if gradient is not view:
                view[...] = gradient

    if cache.dropout is not None:
        dx = dropout_backward(dx, cache.dropout)
    if cache.positions is not None:
        g["transformer.wpe.weight"][...] = embedding_backward(dx.sum(axis=0), cache.positions)
    if not config.tie_word_embeddings:
        g["transformer.wte.weight"][...] = 0
    looked_up, drows = embedding_backward_rows(dx, cache.tokens)
    g["transformer.wte.weight"][looked_up] += drows
    return gradients


def loss_and_gradients(ids: np.ndarray, targets: np.ndarray, parameters: np.ndarray, config: GPTConfig,
                       rng: np.random.Generator | None = None, share: float = 1.0,
                       layers: Layers = PLAIN) -> tuple[float, np.ndarray]:
    """ids (B, T), targets (B, T): the token that follows each, or IGNORED  ->  loss, gradients (flat)

    Both are multiplied by `share`: what part these targets are of a larger batch, so that the losses
    and gradients of its parts add up to those of the whole.
    """
    logits, cache = gpt(ids, parameters, config, rng, layers)
    loss, loss_cache = cross_entropy(logits, targets)
    del logits                                    # with a large vocabulary, as large as all else together
    dlogits = cross_entropy_backward(share, loss_cache)
    del loss_cache
    return share * float(loss), gpt_backward(dlogits, cache, free=True)
