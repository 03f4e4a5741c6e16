"""Tensor-parallel layers give what the plain ones give, on several threads."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, seeds
from npgpt.checking.layer import check_layer
from npgpt.generation.kv_cache import CachedAttention
from npgpt.layers.pattern import CAUSAL, bidirectional
from npgpt.model.layers import PLAIN
from npgpt.parallel.tensor_parallel import TensorParallelLayers

MOST = 4
B, T, I, V = 2, 4, 7, 9
pool = ThreadPoolExecutor(MOST)
threads = st.integers(1, MOST)
LAYERS = ("self_attention", "feed_forward", "unembedding")
every_layer = pytest.mark.parametrize("layer", LAYERS)


def draw_arguments(layer, seed=0, heads=3):
    """Arguments of which no two dimensions are alike, and settings."""
    C = 2 * heads
    shapes, settings = {"self_attention": ([(C, 3 * C), (3 * C,), (C, C), (C,)], {"n_head": heads}),
                        "feed_forward": ([(C, I), (I,), (I, C), (C,)], {}),
                        "unembedding": ([(V, C)], {})}[layer]
    return draw(seed, (B, T, C), *shapes), settings


def pair(layers, layer):
    return getattr(layers, layer), getattr(layers, layer + "_backward")


def require_equal_to_plain(layer, threads, heads, seed, **settings):
    """y and all gradients, up to rounding."""
    arguments, others = draw_arguments(layer, seed, heads)
    results = []
    for layers in (PLAIN, TensorParallelLayers(pool, threads)):
        forward, backward = pair(layers, layer)
        y, cache = forward(*arguments, **others, **settings)
        results.append([y, *backward(draw(seed, y.shape)[0], cache)])
    for number, (plain, parallel) in enumerate(zip(*results, strict=True)):
        np.testing.assert_allclose(parallel, plain, rtol=0, atol=1e-13 * np.abs(plain).max(),
                                   err_msg=f"gradient of argument {number}" if number else "y")


@every_layer
@given(threads, st.integers(1, 3), seeds)
def test_values_and_gradients_are_those_of_the_plain_layer(layer, threads, heads, seed):
    """Also with fewer heads than threads, and with parts that differ in size."""
    require_equal_to_plain(layer, threads, heads, seed)


def cached(heads):
    keys, values = draw(7, *[(B, heads, T + 3, 2)] * 2)
    return CachedAttention(keys, values, length=3)


def padded(heads):
    return bidirectional(np.array([[True, True, True, False], [True, False, False, False]]))


@pytest.mark.parametrize("pattern_of", [lambda heads: CAUSAL, padded, cached], ids=["causal", "padded", "cached"])
@given(threads, st.integers(1, 3), seeds)
def test_every_attention_pattern_may_be_divided_by_heads(pattern_of, threads, heads, seed):
    require_equal_to_plain("self_attention", threads, heads, seed, pattern=pattern_of(heads))


@every_layer
def test_they_keep_the_contract_of_layers(layer):
    arguments, settings = draw_arguments(layer)
    check_layer(*pair(TensorParallelLayers(pool, 2), layer), *arguments, name=layer, methods=["complex"], **settings).require()


@given(seeds)
def test_gradients_with_dropout(seed):
    arguments, settings = draw_arguments("self_attention", seed)
    check_layer(*pair(TensorParallelLayers(pool, 2), "self_attention"), *arguments, name="self_attention",
                methods=["complex"], p=0.3, rng=np.random.default_rng(seed), **settings).require()


def test_heads_have_dropout_masks_of_their_own():
    """Two heads with the same matrices, one to each thread: with one mask for both, their weights would be equal."""
    (x, w_qkv, b_qkv, w_proj, b_proj), _ = draw_arguments("self_attention", heads=2)
    w_qkv[:, 6:] = w_qkv[:, :6]
    b_qkv[:] = 0
    _, caches = TensorParallelLayers(pool, 2).self_attention(x, w_qkv, b_qkv, w_proj, b_proj, 2, p=0.5,
                                                               rng=np.random.default_rng(0))
    one, other = (cache.attention[0] for cache in caches)
    np.testing.assert_array_equal(one.softmax[0], other.softmax[0])
    assert (one.weights != other.weights).any()


@every_layer
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_all_gradients_are_written_into_out_and_nowhere_else(layer, threads):
    """out holds views of larger arrays, as of the flat vector."""
    (x, *parameters), settings = draw_arguments(layer)
    forward, backward = pair(TensorParallelLayers(pool, threads), layer)
    y, cache = forward(x, *parameters, **settings)
    dx, *expected = backward(y, cache)
    wholes = [np.full([size + 2 for size in parameter.shape], np.nan) for parameter in parameters]
    views = [whole[tuple(slice(1, -1) for _ in whole.shape)] for whole in wholes]
    returned_dx, *returned = backward(y, cache, tuple(views))
    np.testing.assert_allclose(returned_dx, dx, rtol=1e-13)
    for whole, view, gradient, right in zip(wholes, views, returned, expected, strict=True):
        assert gradient is view and np.isnan(whole).sum() == whole.size - view.size
        np.testing.assert_allclose(view, right, rtol=0, atol=1e-13 * np.abs(right).max())


def test_no_part_copies_its_matrices():
    """They are most of a large model; a view in each cache costs nothing."""
    for layer, kept in (("self_attention", lambda cache: [cache.qkv[1], cache.proj[1]]),
                        ("feed_forward", lambda cache: [cache.up[1], cache.down[1]])):
        (x, *parameters), settings = draw_arguments(layer)
        _, caches = getattr(TensorParallelLayers(pool, 2), layer)(x, *parameters, **settings)
        for matrix in (matrix for cache in caches for matrix in kept(cache)):
            assert any(np.shares_memory(matrix, parameter) for parameter in parameters)


def test_an_unknown_activation_is_refused_as_by_the_plain_layer():
    arguments, _ = draw_arguments("feed_forward")
    with pytest.raises(KeyError, match="tanh"):
        TensorParallelLayers(pool, 2).feed_forward(*arguments, "tanh")
