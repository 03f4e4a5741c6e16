"""BERT's masked-language-model head: from hidden states to the logits of the tokens that were masked."""
from typing import Any, NamedTuple

import numpy as np

from npgpt.layers.feed_forward import ACTIVATIONS
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward
from npgpt.layers.linear import linear, linear_backward
from npgpt.model.bert_config import BertConfig
from npgpt.model.layers import PLAIN, Layers
from npgpt.model.parameters import LayerNormParameters, bias, layer_norm_table, weight


class MaskedHeadParameters(NamedTuple):
    w: Any                                      # (C, C)
    b: Any                                      # (C,)
    ln: LayerNormParameters
    bias: Any                                   # (V,)


class MaskedHeadCache(NamedTuple):
    linear: tuple
    activation: tuple
    activation_name: str
    ln: tuple
    unembedding: tuple
    layers: Layers


NO_OUT = MaskedHeadParameters(None, None, LayerNormParameters(None, None), None)


def masked_head_table(config: BertConfig) -> MaskedHeadParameters:
    C = config.n_embd
    return MaskedHeadParameters(weight(C, C, deviation=config.initializer_range), bias(C), layer_norm_table(C),
                                bias(config.vocab_size))


def masked_head(x: np.ndarray, p: MaskedHeadParameters, table: np.ndarray, config: BertConfig,
                layers: Layers = PLAIN) -> tuple[np.ndarray, MaskedHeadCache]:
    """Google's head (its code computes this; Devlin et al. 2019 do not describe it).

    x (..., C), table (V, C), which may be the embedding's own  ->  logits (..., V)

        n      = layer_norm(activation(x w + b))
        logits = n table^T + bias
    """
    activate, _ = ACTIVATIONS[config.activation_function]
    h, linear_cache = linear(x, p.w, p.b)
    a, activation_cache = activate(h)
    n, ln = layer_norm(a, *p.ln, config.layer_norm_epsilon)
    logits, unembedding_cache = layers.unembedding(n, table)
    logits += p.bias
    return logits, MaskedHeadCache(linear_cache, activation_cache, config.activation_function, ln, unembedding_cache, layers)


def masked_head_backward(dlogits: np.ndarray, cache: MaskedHeadCache,
                         out: tuple = (NO_OUT, None)) -> tuple[np.ndarray, MaskedHeadParameters, np.ndarray]:
    """dlogits (..., V)  ->  dx (..., C), the gradients of the parameters in the same groups, dtable (V, C)"""
    p_out, table_out = out
    _, activate_backward = ACTIVATIONS[cache.activation_name]
    dbias = np.sum(dlogits.reshape(-1, dlogits.shape[-1]), axis=0, out=p_out.bias)
    dn, dtable = cache.layers.unembedding_backward(dlogits, cache.unembedding, (table_out,))
    da, *dln = layer_norm_backward(dn, cache.ln, p_out.ln)
    dx, dw, db = linear_backward(activate_backward(da, cache.activation), cache.linear, (p_out.w, p_out.b))
    return dx, MaskedHeadParameters(dw, db, LayerNormParameters(*dln), dbias), dtable
