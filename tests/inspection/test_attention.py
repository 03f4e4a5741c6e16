"""Attention weights, as they are taken out of the cache."""
import math

import numpy as np
import pytest

from npgpt.layers import causal_attention
from npgpt.layers.attention import attention
from npgpt.layers.softmax import softmax
from npgpt.inspection.attention import attended
from npgpt.model.gpt import gpt
from npgpt.model.parameters import parameter_count
from npgpt.model.presets import preset

CONFIG = preset("tiny", n_positions=9)


@pytest.mark.parametrize("block", [64, 4])
def test_weights_are_those_that_met_the_values(monkeypatch, block):
    monkeypatch.setattr(causal_attention, "BLOCK", block)
    rng = np.random.default_rng(0)
    ids, parameters = rng.integers(11, size=9), rng.normal(0, 0.5, parameter_count(CONFIG))
    weights, probabilities = attended(ids, parameters, CONFIG)
    logits, cache = gpt(ids[None], parameters, CONFIG)
    assert weights.shape == (2, 3, 9, 9) and np.allclose(weights.sum(axis=-1), 1) and (weights == np.tril(weights)).all()
    for found, one in zip(weights, cache.blocks):
        q = np.concatenate([part.scaled_q for part in one.attn.attention], axis=-2) * math.sqrt(4)
        k, v = one.attn.attention[-1].k, one.attn.attention[-1].v
        assert np.allclose(found, attention(q, k, v, causal=True)[1].weights[0], rtol=1e-13)
    assert np.allclose(probabilities, softmax(logits[0])[0], rtol=1e-13)
