"""The key-value cache, and attention through it."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, seeds
from npgpt.checking.layer import check_layer
from npgpt.generation.kv_cache import CachedAttention, KeyValueCache, empty_cache
from npgpt.layers.attention import attention, attention_backward
from npgpt.model.config import GPTConfig

CONFIG = GPTConfig(vocab_size=3, n_positions=5, n_embd=6, n_layer=2, n_head=3)


def filled(texts: int) -> KeyValueCache:
    cache = empty_cache(CONFIG, texts, 5, np.float64)
    for array in cache.arrays():
        array[...] = np.random.default_rng(texts).random(array.shape)
    return cache


def test_an_empty_cache_has_room_for_the_columns_asked_for():
    cache = empty_cache(CONFIG, 4, 5, np.float32)
    assert len(cache.keys) == len(cache.values) == CONFIG.n_layer and cache.columns == 5
    assert {(array.shape, array.dtype) for array in cache.arrays()} == {((4, 3, 5, 2), np.dtype(np.float32))}


def test_a_wider_cache_keeps_its_content():
    cache, before = filled(3), filled(3)
    cache.widen(CONFIG, 8)
    assert cache.columns == 8
    assert {(array.shape, array.dtype) for array in cache.arrays()} == {((3, 3, 8, 2), np.dtype(float))}
    assert all((array[:, :, :5] == old).all() for array, old in zip(cache.arrays(), before.arrays(), strict=True))


def test_writing_into_a_part_writes_into_the_whole():
    cache = filled(3)
    part = cache.texts(1, 1)
    assert {array.shape for array in part.arrays()} == {(1, 3, 5, 2)}
    part.values[1][...] = 7
    assert (cache.values[1][1] == 7).all()
    assert sum((array == 7).sum() for array in cache.arrays()) == part.values[1].size
    two = cache.texts(2)
    assert all(np.shares_memory(*pair) for pair in zip(two.arrays(), cache.arrays())) and len(two.keys[0]) == 2


def test_a_layer_with_a_window_has_no_more_slots_than_that():
    """In a cache of fewer columns it has a slot for each, and gets others when the cache is widened."""
    banded, (first, second) = dataclasses.replace(CONFIG, window_size=6), draw(0, *[(1, 3, 5, 2)] * 2)
    cache = empty_cache(banded, 1, 5, np.float64)
    cache.keys[0][...], cache.keys[1][...] = first, second
    for columns, slots in ((5, (5, 5)), (7, (7, 6)), (9, (9, 6))):
        cache.widen(banded, columns)
        assert tuple(keys.shape[2] for keys in cache.keys) == tuple(values.shape[2] for values in cache.values) == slots
        assert (cache.keys[0][:, :, :5] == first).all() and (cache.keys[1][:, :, :5] == second).all()


@pytest.mark.parametrize("count, end, new_end", [(4, 9, 7), (9, 9, 4), (2, 13, 12), (3, 5, 8)])
def test_a_text_moves_to_other_columns_of_all_layers(count, end, new_end):
    """Column c holds c before, in the slots of dense and banded layers; those that are still there move."""
    cache = empty_cache(dataclasses.replace(CONFIG, window_size=4), 2, 13, np.float64)
    for array in cache.arrays():
        array[...] = -1                          # it may be NaN, which is equal to nothing
        for c in range(end):
            array[:, :, c % array.shape[2]] = c
    before = [array[0].copy() for array in cache.arrays()]
    cache.move(1, count, end, new_end)
    for array, old in zip(cache.arrays(), before, strict=True):
        S = array.shape[2]
        for back in range(1, min(count, S) + 1):
            assert (array[1, :, (new_end - back) % S] == end - back).all()
        assert (array[0] == old).all()


@given(st.lists(st.integers(0, 3), min_size=4, max_size=4), st.integers(0, 5))
def test_texts_are_rearranged_in_place_in_the_columns_in_use(rows, length):
    cache, before = filled(4), filled(4)
    cache.rearrange(np.array(rows), length)
    for array, old in zip(cache.arrays(), before.arrays()):
        np.testing.assert_array_equal(array[:, :, :length], old[rows, :, :length])
        np.testing.assert_array_equal(array[:, :, length:], old[:, :, length:])


B, H, T, D = 2, 3, 7, 4


def draw_qkv(seed):
    return draw(seed, *[(B, H, T, D)] * 3)


def cached_attention(q, k, v, length=0, mask=None, seed=0):
    """A layer: attention through a cache whose first `length` columns were filled before."""
    B, H, T, D = q.shape
    keys, values = draw(seed, *[(B, H, length + T, D)] * 2)
    pattern = CachedAttention(keys.astype(q.dtype), values.astype(q.dtype), length, mask)
    y, cache = pattern.forward(q, k, v)
    return y, (pattern, cache)


def cached_attention_backward(dy, cache):
    pattern, cache = cache
    return pattern.backward(dy, cache)


@given(st.lists(st.integers(1, T), max_size=4), seeds)
def test_attention_through_the_cache_is_causal_attention_however_the_text_is_divided(ends, seed):
    """In one part or in several; columns that were not written yet are NaN, and must not be read."""
    q, k, v = draw_qkv(seed)
    keys, values = np.full((2, B, H, T + 2, D), np.nan)
    expected, _ = attention(q, k, v, causal=True)
    ends = sorted({*ends, T})
    for start, end in zip([0, *ends], ends):
        part = slice(start, end)
        y, _ = CachedAttention(keys, values, start).forward(q[:, :, part], k[:, :, part], v[:, :, part])
        np.testing.assert_allclose(y, expected[:, :, part], rtol=1e-12, atol=1e-14)
    assert (keys[:, :, :T] == k).all() and (values[:, :, :T] == v).all() and np.isnan(keys[:, :, T:]).all()


@given(st.lists(st.integers(0, 3), min_size=B, max_size=B), seeds)
def test_in_a_left_padded_batch_every_text_is_what_it_is_alone(first, seed):
    """Text b starts in column first[b]: the three columns before the queries, or some of them, are its own."""
    q, k, v = draw_qkv(seed)
    mask = (np.arange(3 + T) >= np.array(first)[:, None])[:, None, None, :]
    y, (pattern, _) = cached_attention(q, k, v, length=3, mask=mask, seed=seed)
    for b, start in enumerate(first):
        alone, _ = attention(q[b], pattern.keys[b, :, start:], pattern.values[b, :, start:], causal=True)
        np.testing.assert_allclose(y[b], alone, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("masked", [False, True])
@given(length=st.integers(0, 3), seed=seeds)
def test_gradients_of_the_new_positions(masked, length, seed):
    """Keys and values that were in the cache before are constant."""
    mask = (np.arange(length + 3) >= np.array([[0], [min(length, 2)]]))[:, None, None, :] if masked else None
    q, k, v = (array[:, :1, :3, :2] for array in draw_qkv(seed))
    check_layer(cached_attention, cached_attention_backward, q, k, v, length=length, mask=mask, methods=["complex"],
                seed=seed).require()


@given(seeds)
def test_gradients_with_nothing_cached_are_those_of_causal_attention(seed):
    q, k, v = draw_qkv(seed)
    (y, cache), (_, plain) = cached_attention(q, k, v), attention(q, k, v, causal=True)
    for d, expected in zip(cached_attention_backward(y, cache), attention_backward(y, plain), strict=True):
        np.testing.assert_allclose(d, expected, rtol=0, atol=1e-13)


@given(st.lists(st.integers(1, 23), max_size=12), st.integers(1, 8), seeds)
def test_attention_through_a_ring_is_banded_attention_however_the_text_is_divided(ends, window, seed):
    """W slots hold a text of several times W, the last W columns of it in the end."""
    q, k, v = draw(seed, *[(B, H, 24, D)] * 3)
    keys, values = np.full((2, B, H, window, D), np.nan)
    expected, _ = attention(q, k, v, causal=True, window=window)
    ends = sorted({*ends, 24})
    for start, end in zip([0, *ends], ends):
        part = slice(start, end)
        pattern = CachedAttention(keys, values, start, window=window)
        y, _ = pattern.forward(q[:, :, part], k[:, :, part], v[:, :, part])
        np.testing.assert_allclose(y, expected[:, :, part], rtol=1e-12, atol=1e-14)
    for c in range(24 - window, 24):
        assert (keys[:, :, c % window] == k[:, :, c]).all() and (values[:, :, c % window] == v[:, :, c]).all()


@given(seeds)
def test_a_ring_that_wraps_gives_the_gradients_of_banded_attention(seed):
    """Of the new positions; those in the ring before are constants."""
    q, k, v = draw(seed, *[(B, H, 9, D)] * 3)
    keys, values = np.empty((2, B, H, 3, D))
    CachedAttention(keys, values, 0, window=3).forward(q[:, :, :5], k[:, :, :5], v[:, :, :5])
    pattern = CachedAttention(keys, values, 5, window=3)
    y, cache = pattern.forward(q[:, :, 5:], k[:, :, 5:], v[:, :, 5:])
    _, whole = attention(q, k, v, causal=True, window=3)
    dy = np.concatenate([np.zeros_like(y[:, :, :1]).repeat(5, axis=2), y], axis=2)
    for d, expected in zip(pattern.backward(y, cache), attention_backward(dy, whole), strict=True):
        np.testing.assert_allclose(d, expected[:, :, 5:], rtol=1e-12, atol=1e-13)


def test_a_step_through_a_ring_looks_at_the_window_only():
    """Not at all columns under a mask: the work is the same wherever in the text it is."""
    q, k, v = draw(0, *[(1, 1, 5, D)] * 3)
    keys, values = np.zeros((2, 1, 1, 4, D))
    _, cache = CachedAttention(keys, values, 1000, window=4).forward(q, k, v)
    assert sum(tile.k.shape[-2] for tile in cache) == 3 + 5


def test_the_pattern_of_some_heads_writes_their_part_of_the_cache():
    q, k, v = draw_qkv(seed=0)
    keys, values = np.zeros((2, B, H, T, D))
    expected, _ = attention(q, k, v, causal=True)
    own = slice(1, 3)
    y, _ = CachedAttention(keys, values, 0).of_heads(own).forward(q[:, own], k[:, own], v[:, own])
    np.testing.assert_allclose(y, expected[:, own], rtol=1e-12, atol=1e-14)
    assert (keys[:, own] == k[:, own]).all() and (values[:, own] == v[:, own]).all() and not keys[:, 0].any()


def test_the_patterns_of_a_cache_are_one_for_each_block():
    cache = filled(2)
    patterns = cache.patterns(dataclasses.replace(CONFIG, window_size=4), 3)
    assert [pattern.window for pattern in patterns] == [None, 4]
    assert [pattern.length for pattern in patterns] == [3] * CONFIG.n_layer
    assert all(pattern.keys is keys and pattern.values is values
               for pattern, keys, values in zip(patterns, *cache, strict=True))


@pytest.mark.parametrize("n_layer", [1, 2])
def test_a_cache_with_rings_has_room_for_all_columns(n_layer):
    config = GPTConfig(n_positions=9, n_embd=4, n_layer=n_layer, n_head=2, window_size=2)
    assert empty_cache(config, 1, 7, np.float64).columns == 7
