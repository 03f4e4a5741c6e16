"""Attention: the weights of every head of every layer on one text, and the probabilities of each next token."""
import numpy as np

from npgpt.layers.embedding import unembedding
from npgpt.layers.softmax import softmax
from npgpt.model.bert import bert
from npgpt.model.bert_config import BertConfig
from npgpt.model.block import BlockCache
from npgpt.model.config import TransformerConfig
from npgpt.model.gpt import gpt
from npgpt.model.heads import language_model_head, model_table
from npgpt.model.masked_head import masked_head
from npgpt.model.parameters import groups


def attended(ids: np.ndarray, parameters: np.ndarray, config: TransformerConfig) -> tuple[np.ndarray, np.ndarray]:
    """One forward pass, from whose cache the weights are read.

    ids (T,)  ->  weights (L, H, T, T), and probabilities (T, V): of the token after each position; by a BERT, of the token
    at each position

    weights[l, h, t, s] is the weight of position s for position t, in head h of layer l. Each row sums to 1.
    """
    p = groups(parameters, model_table(config))
    if isinstance(config, BertConfig):
        y, cache = bert(ids[None], p, config)
        logits, _ = masked_head(y[0], p.head, language_model_head(p), config)
        return np.concatenate([block.attn.attention.weights for block in cache.blocks]), softmax(logits)[0]
    x, cache = gpt(ids[None], p, config)
    logits, _ = unembedding(x[0], language_model_head(p))
    return np.stack([block_weights(block) for block in cache.blocks]), softmax(logits)[0]


def block_weights(cache: BlockCache) -> np.ndarray:
    """(H, T, T), put together from the tiles of queries. A tile has no columns for the positions after its own end, nor,
    under a band, for those before it."""
    tiles = [tile.weights[0] for tile in cache.attn.attention]                         # (H, some of T, some of T)
    T = sum(tile.shape[1] for tile in tiles)
    weights = np.zeros((len(tiles[0]), T, T), tiles[0].dtype)
    start = 0
    for tile in tiles:
        stop = start + tile.shape[1]
        weights[:, start:stop, stop - tile.shape[2]:stop] = tile
        start = stop
    return weights
