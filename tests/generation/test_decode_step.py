"""A decode step computes what the layers compute, for a single token."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import logits_of, precisions, seeds, small_configs, unwritten_cache
from npgpt.generation.decode_step import attention_step, decode_step, is_gpt2, layer_norm_step
from npgpt.layers.attention import attention
from npgpt.layers.layer_norm import layer_norm
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import groups, parameter_count

sizes = st.integers(1, 9)
GPT2 = {"pre_layer_norm": True, "qkv_bias": True, "window_size": None}


def require_same(actual, expected, arguments, tolerance):
    """Equal up to rounding, without sharing memory with an argument."""
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    assert not any(np.shares_memory(actual, argument) for argument in arguments)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@given(small_configs.map(lambda config: dataclasses.replace(config, **GPT2)), seeds, precisions)
def test_token_by_token_a_text_has_the_logits_that_it_has_as_a_whole(config, seed, precision):
    """With every gain and bias drawn too."""
    dtype, tolerance = precision
    rng = np.random.default_rng(seed)
    table = language_model_table(config)
    parameters = rng.normal(0, 0.5, parameter_count(table)).astype(dtype)
    before = parameters.copy()
    ids = rng.integers(7, size=config.n_positions)
    expected = logits_of(ids[None], parameters, config)
    p, cache = groups(parameters, table), unwritten_cache(config, 1, dtype)
    for length, token in enumerate(ids.tolist()):
        logits = decode_step(token, p, config, cache, length)
        require_same(logits, expected[0, length], (parameters, *cache.arrays()), 1000 * tolerance)
    assert (parameters == before).all()


@pytest.mark.parametrize("field, value", [("pre_layer_norm", False), ("qkv_bias", False), ("window_size", 3)])
def test_it_is_for_gpt2_only(field, value):
    assert is_gpt2(GPTConfig()) and not is_gpt2(GPTConfig(**{field: value}))


@given(sizes, seeds, precisions)
def test_layer_norm(C, seed, precision):
    dtype, tolerance = precision
    x, gain, bias = np.random.default_rng(seed).normal(1, 2, (3, C)).astype(dtype)
    before = x.copy()
    require_same(layer_norm_step(x, gain, bias, 1e-5), layer_norm(x, gain, bias, 1e-5)[0], (x, gain, bias), 100 * tolerance)
    assert (x == before).all()


@given(sizes, sizes, st.integers(1, 3), seeds, precisions, st.sampled_from([1, 1000]))
def test_attention(S, D, H, seed, precision, scale):
    """Large scores do not overflow."""
    dtype, tolerance = precision
    rng = np.random.default_rng(seed)
    q = (scale * rng.normal(size=(H, D))).astype(dtype)
    k, v = rng.normal(size=(2, H, S, D)).astype(dtype)
    before = q.copy(), k.copy(), v.copy()
    require_same(attention_step(q, k, v), attention(q[:, None], k, v)[0][:, 0], (q, k, v), scale * tolerance)
    assert all((now == then).all() for now, then in zip((q, k, v), before))
