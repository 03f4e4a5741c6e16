"""Causal attention in tiles of queries is equal to attention(causal=True)."""
import numpy as np
import pytest

from helpers import draw, require_gradients
from npgpt.layers import causal_attention as module
from npgpt.layers.attention import attention, attention_backward
from npgpt.layers.causal_attention import causal_attention, causal_attention_backward


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Tiles of 3 queries, so that short sequences have several, of which the last is often smaller."""
    monkeypatch.setattr(module, "QUERY_TILE", 3)


def draw_qkv(T, past=0, seed=0):
    return draw(seed, (2, T, 4), (2, past + T, 4), (2, past + T, 5))


@pytest.mark.parametrize("past", [0, 2])
@pytest.mark.parametrize("T", range(1, 11))
def test_values_and_gradients_are_those_of_plain_attention(T, past):
    q, k, v = draw_qkv(T, past, seed=T)
    y, caches = causal_attention(q, k, v)
    dy, = draw(T, y.shape)
    expected, cache = attention(q, k, v, causal=True)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-15 * np.abs(expected).max() * 4)
    for d, plain in zip(causal_attention_backward(dy, caches), attention_backward(dy, cache)):
        np.testing.assert_allclose(d, plain, rtol=0, atol=1e-14 * np.abs(dy).max())


@pytest.mark.parametrize("shape", [(1, 9), (7, 9), (2, 1, 9), (2, 7, 1)])
def test_a_mask_hides_further_keys_whatever_it_is_broadcast_from(shape):
    q, k, v = draw_qkv(T=7, past=2)
    mask = np.random.default_rng(0).random(shape) < 0.7
    y, caches = causal_attention(q, k, v, mask)
    expected, cache = attention(q, k, v, mask, causal=True)
    np.testing.assert_allclose(y, expected, rtol=0, atol=4e-15 * np.abs(expected).max())
    for d, plain in zip(causal_attention_backward(y, caches), attention_backward(y, cache)):
        np.testing.assert_allclose(d, plain, rtol=0, atol=1e-14 * np.abs(y).max())


@pytest.mark.parametrize("past", [0, 2])
@pytest.mark.parametrize("T", [2, 3, 4, 7])
def test_gradients(T, past):
    require_gradients(causal_attention, causal_attention_backward, *draw_qkv(T, past))


def test_dropout_acts_alike_on_every_tile_of_queries():
    """All scores are equal and all values 1, so that query t gives the mean of t + 1 entries that are 0 or 2."""
    q = np.zeros((5000, 8, 1))
    y, _ = causal_attention(q, q, np.ones_like(q), p=0.5, rng=np.random.default_rng(0))
    np.testing.assert_allclose(y.mean(axis=0), 1, atol=0.07)                          # 5 standard deviations of query 0
    np.testing.assert_allclose(y[..., 0].var(axis=0), 1 / np.arange(1, 9), rtol=0.1)


def test_gradients_with_dropout():
    require_gradients(causal_attention, causal_attention_backward, *draw_qkv(7), p=0.2, rng=np.random.default_rng(0))
