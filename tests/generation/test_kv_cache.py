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
    cache.widen(8)
    assert cache.columns == 8 and {(array.shape, array.dtype) for array in cache.arrays()} == {((3, 3, 8, 2), np.dtype(float))}
    assert all((array[:, :, :5] == old).all() for array, old in zip(cache.arrays(), before.arrays(), strict=True))


def test_writing_into_a_part_writes_into_the_whole():
    cache = filled(3)
    part = cache.text(1, first=2)
    assert {array.shape for array in part.arrays()} == {(1, 3, 3, 2)}
    part.values[1][...] = 7
    assert (cache.values[1][1, :, 2:] == 7).all()
    assert sum((array == 7).sum() for array in cache.arrays()) == part.values[1].size
    two = cache.texts(2)
    assert all(np.shares_memory(*pair) for pair in zip(two.arrays(), cache.arrays())) and len(two.keys[0]) == 2


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
    assert all(pattern.keys is keys and pattern.values is values for pattern, keys, values in zip(patterns, *cache, strict=True))
