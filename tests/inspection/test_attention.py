"""Attention weights, as they are read from the cache"""
import math

import numpy as np
import pytest

from npgpt.inspection.attention import attended
from npgpt.layers import causal_attention
from npgpt.layers.attention import attention
from npgpt.layers.softmax import softmax
from npgpt.model.gpt import gpt
from npgpt.model.heads import language_model_head, language_model_table
from npgpt.model.parameters import groups, parameter_count
from npgpt.model.presets import preset


@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": False}, {"position_embedding_type": "sinusoidal"}])
@pytest.mark.parametrize("tile", [64, 4])
def test_weights_are_those_that_met_the_values(monkeypatch, tile, changes):
    monkeypatch.setattr(causal_attention, "QUERY_TILE", tile)
    rng, config = np.random.default_rng(0), preset("tiny", n_positions=9, **changes)
    table = language_model_table(config)
    ids, parameters = rng.integers(11, size=9), rng.normal(0, 0.5, parameter_count(table))
    weights, probabilities = attended(ids, parameters, config)
    p = groups(parameters, table)
    x, cache = gpt(ids[None], p, config)
    assert weights.shape == (2, 3, 9, 9) and np.allclose(weights.sum(axis=-1), 1) and (weights == np.tril(weights)).all()
    for found, one in zip(weights, cache.blocks):
        q = np.concatenate([tile.scaled_q for tile in one.attn.attention], axis=-2) * math.sqrt(4)
        k, v = one.attn.attention[-1].k, one.attn.attention[-1].v
        assert np.allclose(found, attention(q, k, v, causal=True)[1].weights[0], rtol=1e-13)
    assert np.allclose(probabilities, softmax(x[0] @ language_model_head(p).T)[0], rtol=1e-13)


@pytest.mark.parametrize("tile", [64, 4])
def test_a_head_with_a_window_attends_to_nothing_before_it(monkeypatch, tile):
    monkeypatch.setattr(causal_attention, "QUERY_TILE", tile)
    config = preset("tiny", n_positions=9, window_size=3)
    parameters = np.random.default_rng(0).normal(0, 0.5, parameter_count(language_model_table(config)))
    (whole, banded), _ = attended(np.arange(9), parameters, config)
    assert np.allclose(banded.sum(axis=-1), 1) and whole[:, 8].all()
    assert np.array_equal(banded != 0, np.broadcast_to(np.tri(9, dtype=bool) & ~np.tri(9, k=-3, dtype=bool), (3, 9, 9)))
