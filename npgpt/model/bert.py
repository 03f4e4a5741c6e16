"""The body of a BERT: from token ids to a hidden state for every position, which has seen the tokens on both sides
(Devlin et al. 2019). The head that predicts masked tokens is in masked_head.py."""
from typing import Any, NamedTuple

import numpy as np

from npgpt.layers.dropout import dropout, dropout_backward
from npgpt.layers.embedding import embedding, embedding_backward, embedding_backward_rows
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.layers.pattern import bidirectional, padding_mask
from npgpt.model.bert_config import BertConfig
from npgpt.model.block import BlockCache
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.masked_head import MaskedHeadParameters, masked_head_table
from npgpt.model.parameters import BlockParameters, LayerNormParameters, Rows, block_table, layer_norm_table, weight
from npgpt.model.post_ln_block import post_ln_block, post_ln_block_backward


class EmbeddingParameters(NamedTuple):
    wte: Any                                    # (V, C), the embedding of tokens,
    wpe: Any                                    # (n_positions, C), of positions,
    wse: Any                                    # (type_vocab_size, C), and of segments
    ln: LayerNormParameters


class BertParameters(NamedTuple):
    embeddings: EmbeddingParameters
    blocks: list[BlockParameters]
    head: MaskedHeadParameters | None           # None where there are other heads, as in Hugging Face's classes
    unembedding: Any = None                     # (V, C), of the head; None where it is tied to wte
    heads: tuple = ()                           # the parameters of other heads


class EmbeddingsCache(NamedTuple):
    tokens: tuple
    positions: tuple
    segments: tuple
    ln: tuple
    dropout: tuple | None


class BertCache(NamedTuple):
    embeddings: EmbeddingsCache
    blocks: list[BlockCache]


NO_OUT = EmbeddingParameters(None, None, None, LayerNormParameters(None, None))


def bert_table(config: BertConfig, heads: tuple = ()) -> BertParameters:
    """The table of a BERT's parameters, with the masked-language-model head or with other heads. All matrices and
    embeddings start from the same normal distribution.
    """
    C, deviation = config.n_embd, config.initializer_range

    def table(rows: int) -> Any:
        return weight(rows, C, deviation=deviation)

    return BertParameters(
        embeddings=EmbeddingParameters(table(config.vocab_size), table(config.n_positions), table(config.type_vocab_size),
                                       layer_norm_table(C)),
        blocks=[block_table(C, config.inner, deviation, deviation)] * config.n_layer,
        head=None if heads else masked_head_table(config),
        unembedding=None if heads or config.tie_word_embeddings else table(config.vocab_size),
        heads=heads)


def bert(ids: np.ndarray, p: BertParameters, config: BertConfig, rng: np.random.Generator | None = None,
         layers: Layers = PLAIN, mask: np.ndarray | None = None, segments: np.ndarray | None = None,
         keep: bool = True) -> tuple[np.ndarray, BertCache]:
    """Hidden states of every position (Devlin et al. 2019, section 3).

    ids (B, T) with T <= n_positions  ->  y (B, T, C)

        x = embeddings(ids, segments)
        x = block_i(x)                          for i = 0 .. n_layer - 1; every position attends to all others

    mask (B, T): False for padding, to which no position attends; by default, the tokens pad_token_id. segments: those of
    embeddings. Dropout acts only where rng is given. layers: which implementation of the layers to use. Without `keep` the
    blocks' caches are not kept: this needs less memory, and no backward pass is possible.

    Raises ValueError where T > n_positions or ids is not (B, T), IndexError for an id outside the vocabulary.
    """
    pattern = bidirectional(padding_mask(ids, config.pad_token_id) if mask is None else mask)
    x, embeddings_cache = embeddings(ids, p.embeddings, config, rng, segments)
    blocks = []
    for block_parameters in p.blocks:
        x, cache = post_ln_block(x, block_parameters, config, pattern, rng, layers)
        if keep:
            blocks.append(cache)
        del cache
    return x, BertCache(embeddings_cache, blocks)


def bert_backward(dy: np.ndarray, cache: BertCache, out: BertParameters) -> Rows:
    """dy (B, T, C)  ->  Rows of wte

    The gradients of all other parameters of the body are written into `out`. Those of wte are left to the caller, because
    the head may use wte too. The blocks' caches are used up, as by gpt_backward.
    """
    for block_out in reversed(out.blocks):
        dy, _ = post_ln_block_backward(dy, cache.blocks.pop(), block_out)
    return embeddings_backward(dy, cache.embeddings, out.embeddings)[0]


def embeddings(ids: np.ndarray, p: EmbeddingParameters, config: BertConfig, rng: np.random.Generator | None = None,
               segments: np.ndarray | None = None) -> tuple[np.ndarray, EmbeddingsCache]:
    """ids (B, T)  ->  y (B, T, C)

        y = dropout(layer_norm(wte[ids] + wpe[0 .. T-1] + wse[segments]))

    segments (B, T): which of several texts a token belongs to; by default, all belong to segment 0.
    """
    if ids.ndim != 2 or not 1 <= ids.shape[1] <= config.n_positions:
        raise ValueError(f"bert: ids must be (B, T) with 1 <= T <= n_positions ({config.n_positions}), not {ids.shape}")
    tokens, tokens_cache = embedding(ids, p.wte)                                       # (B, T, C)
    positions, positions_cache = embedding(np.arange(ids.shape[1]), p.wpe)             # (T, C)
    kinds, segments_cache = embedding(np.zeros_like(ids) if segments is None else segments, p.wse)
    x = tokens + positions
    x += kinds
    y, ln = layer_norm(x, *p.ln, config.layer_norm_epsilon)
    dropout_cache = None
    if rng is not None and config.resid_pdrop > 0:
        y, dropout_cache = dropout(y, config.resid_pdrop, rng)
    return y, EmbeddingsCache(tokens_cache, positions_cache, segments_cache, ln, dropout_cache)


def embeddings_backward(dy: np.ndarray, cache: EmbeddingsCache,
                        out: EmbeddingParameters = NO_OUT) -> tuple[Rows, np.ndarray, np.ndarray, LayerNormParameters]:
    """dy (B, T, C)  ->  Rows of wte, dwpe (n_positions, C), dwse (type_vocab_size, C), gradients of the layer norm

    The three vectors of a position are added, so each gets the whole gradient; all sequences have the same positions,
    whose gradients add up.
    """
    if cache.dropout is not None:
        dy = dropout_backward(dy, cache.dropout)
    dx, *dln = layer_norm_backward(dy, cache.ln, out.ln)
    dwse = embedding_backward(dx, cache.segments, (out.wse,))
    dwpe = embedding_backward(dx.sum(axis=0), cache.positions, (out.wpe,))
    return embedding_backward_rows(dx, cache.tokens), dwpe, dwse, LayerNormParameters(*dln)
