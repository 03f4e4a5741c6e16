"""Shared layers: what the plain ones give, on several threads."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.checking.layer import check_layer
from npgpt.model.layers import PLAIN
from npgpt.parallel.tensor_parallel import shared_layers

MOST = 4
pool = ThreadPoolExecutor(MOST)
threads = st.integers(1, MOST)
seeds = st.integers(0, 10**6)
LAYERS = ("self_attention", "feed_forward", "unembedding")


def draw(layer, seed, heads=3):
    """Arguments in which no two dimensions are alike, and settings."""
    rng = np.random.default_rng(seed)
    B, T, I, V = 2, 4, 7, 9
    C = 2 * heads
    shapes, settings = {"self_attention": ([(C, 3 * C), (3 * C,), (C, C), (C,)], {"n_head": heads}),
                        "feed_forward": ([(C, I), (I,), (I, C), (C,)], {}),
                        "unembedding": ([(V, C)], {})}[layer]
    return [rng.standard_normal(shape) for shape in [(B, T, C), *shapes]], settings


def pair(layers, layer):
    return getattr(layers, layer), getattr(layers, layer + "_backward")


@pytest.mark.parametrize("layer", LAYERS)
@given(threads, st.integers(1, 3), seeds)
def test_values_and_gradients_are_those_of_the_plain_layer(layer, threads, heads, seed):
    """Also with fewer heads than threads, and with parts that differ in size."""
    arguments, settings = draw(layer, seed, heads)
    results = []
    for layers in (PLAIN, shared_layers(pool, threads)):
        forward, backward = pair(layers, layer)
        y, cache = forward(*arguments, **settings)
        results.append([y, *backward(np.random.default_rng(seed).standard_normal(y.shape), cache)])
    for number, (plain, shared) in enumerate(zip(*results, strict=True)):
        np.testing.assert_allclose(shared, plain, rtol=0, atol=1e-13 * np.abs(plain).max(),
                                   err_msg=f"gradient of argument {number}" if number else "y")


@pytest.mark.parametrize("layer", LAYERS)
def test_they_keep_the_contract_of_layers(layer):
    arguments, settings = draw(layer, seed=0)
    check_layer(*pair(shared_layers(pool, 2), layer), *arguments, name=layer, methods=["complex"], **settings).require()


@given(seeds)
def test_gradients_with_dropout(seed):
    arguments, settings = draw("self_attention", seed)
    check_layer(*pair(shared_layers(pool, 2), "self_attention"), *arguments, name="self_attention", methods=["complex"],
                p=0.3, rng=np.random.default_rng(seed), **settings).require()


def test_heads_drop_different_weights():
    """Two heads with the same matrices, one to each thread: with one mask for both, what they add would be equal."""
    (x, w_qkv, b_qkv, w_proj, b_proj), _ = draw("self_attention", seed=0, heads=2)
    w_qkv[:, [2, 3, 6, 7, 10, 11]] = w_qkv[:, [0, 1, 4, 5, 8, 9]]
    b_qkv[:] = 0
    _, caches = shared_layers(pool, 2).self_attention(x, w_qkv, b_qkv, w_proj, b_proj, 2, 0.5, np.random.default_rng(0))
    one, other = (cache.attention[0] for cache in caches)
    np.testing.assert_array_equal(one.softmax[0], other.softmax[0])
    assert (one.weights != other.weights).any()


def test_gradients_are_written_where_the_caller_wants_them():
    """Among others' numbers: views of one matrix, as of the flat vector."""
    for layer in LAYERS:
        arguments, settings = draw(layer, seed=0)
        forward, backward = pair(shared_layers(pool, 2), layer)
        y, cache = forward(*arguments, **settings)
        expected = [dw for dw in backward(y, cache) if dw.ndim == 2]
        places = [np.full((len(dw) + 2, dw.shape[1]), 7.0) for dw in expected]
        given = [place[1:-1] for place in places]
        returned = [dw for dw in backward(y, cache, *given) if dw.ndim == 2]
        for place, view, dw, right in zip(places, given, returned, expected, strict=True):
            assert dw is view and (view == right).all() and (place[[0, -1]] == 7).all()


def test_no_part_copies_its_matrices():
    """They are most of a large model; a view in each cache costs nothing."""
    for layer, kept in (("self_attention", lambda cache: (cache.qkv[1], cache.proj[1])),
                        ("feed_forward", lambda cache: (cache.up[1], cache.down[1]))):
        arguments, settings = draw(layer, seed=0)
        _, caches = getattr(shared_layers(pool, 2), layer)(*arguments, **settings)
        matrices = [argument for argument in arguments if argument.ndim == 2]
        for cache in caches:
            assert all(map(np.shares_memory, kept(cache), matrices))


def test_an_unknown_activation_is_refused_as_ever():
    arguments, _ = draw("feed_forward", seed=0)
    with pytest.raises(KeyError, match="tanh"):
        shared_layers(pool, 2).feed_forward(*arguments, "tanh")
