"""Layers for a single token are those of layers/."""
import numpy as np
from hypothesis import given, strategies as st

from npgpt.generation.one_token import attention_of_one, layer_norm_of_one
from npgpt.layers.attention import attention
from npgpt.layers.layer_norm import layer_norm

sizes = st.integers(1, 9)
seeds = st.integers(0, 10**6)
dtypes = st.sampled_from([(np.float32, 1e-5), (np.float64, 1e-12)])


def same(actual, expected, arguments, tolerance):
    """And what was given stays, and shares no memory with what came."""
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    assert not any(np.shares_memory(actual, argument) for argument in arguments)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@given(sizes, seeds, dtypes, st.sampled_from([(), (1,), (1, 1)]))
def test_layer_norm(C, seed, precision, leading):
    dtype, tolerance = precision
    x, gain, bias = np.random.default_rng(seed).normal(1, 2, (3, C)).astype(dtype)
    x = x.reshape(*leading, C)
    before = x.copy()
    same(layer_norm_of_one(x, gain, bias, 1e-5), layer_norm(x, gain, bias, 1e-5)[0], (x, gain, bias), 100 * tolerance)
    assert (x == before).all()


@given(sizes, sizes, st.integers(1, 3), seeds, dtypes, st.sampled_from([1, 1000]))
def test_attention(S, D, H, seed, precision, scale):
    """Large scores do not overflow."""
    dtype, tolerance = precision
    rng = np.random.default_rng(seed)
    q = (scale * rng.normal(size=(2, H, 1, D))).astype(dtype)
    k, v = rng.normal(size=(2, 2, H, S, D)).astype(dtype)
    before = q.copy(), k.copy(), v.copy()
    same(attention_of_one(q, k, v), attention(q, k, v)[0], (q, k, v), scale * tolerance)
    assert all((now == then).all() for now, then in zip((q, k, v), before))
