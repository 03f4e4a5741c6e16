"""Cross-attention: what each token of a translation attends to in its source, as numbers and as a picture."""
from collections.abc import Sequence

import numpy as np

from npgpt.inspection.attention_picture import maps_picture
from npgpt.model.encoder_decoder import encoder_decoder
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.heads import model_table
from npgpt.model.parameters import groups


def cross_attended(source: np.ndarray, target: np.ndarray, parameters: np.ndarray,
                   config: EncoderDecoderConfig) -> np.ndarray:
    """source (S,), target (T,)  ->  weights (L, H, T, S)

    weights[l, h, t, s] is the weight of the source's position s where head h of the decoder's layer l helps to predict
    target[t], from the target's tokens before it. Each row sums to 1.
    """
    ids = np.concatenate([[config.pad_token_id], target[:-1]])
    _, cache = encoder_decoder(source[None], ids[None], groups(parameters, model_table(config)), config)
    return np.stack([block.attend.attention.weights[0] for block in cache.decoder.blocks])


def cross_attention_picture(source: Sequence[str], target: Sequence[str], weights: np.ndarray, layers: Sequence[int],
                            heads: Sequence[int]) -> bytes:
    """S and T tokens as text, weights (L, H, T, S), the numbers of the layers and heads  ->  SVG"""
    return maps_picture("Cross-attention: each row is a token of the translation, each column a token of the source",
                        target, source, weights, layers, heads)
