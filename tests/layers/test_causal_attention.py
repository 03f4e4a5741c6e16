"""Causal attention in blocks of queries is causal attention."""
import numpy as np
import pytest

from npgpt.checking.layer import check_layer
from npgpt.layers import causal_attention as module
from npgpt.layers.attention import attention, attention_backward
from npgpt.layers.causal_attention import causal_attention, causal_attention_backward

@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 3, so that short sequences have several, the last one often cut short."""
    monkeypatch.setattr(module, "BLOCK", 3)


def draw(T, seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in ((2, T, 4), (2, T, 4), (2, T, 5), (2, T, 5))]


@pytest.mark.parametrize("T", range(1, 11))
def test_values_and_gradients_are_those_of_plain_attention(T):
    q, k, v, dy = draw(T, seed=T)
    y, caches = causal_attention(q, k, v)
    expected, cache = attention(q, k, v, causal=True)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-15 * np.abs(expected).max() * 4)
    for d, plain in zip(causal_attention_backward(dy, caches), attention_backward(dy, cache)):
        np.testing.assert_allclose(d, plain, rtol=0, atol=1e-14 * np.abs(dy).max())


@pytest.mark.parametrize("T", [2, 3, 4, 7])
def test_gradients(T):
    check_layer(causal_attention, causal_attention_backward, *draw(T, seed=0)[:3]).require()


def test_gradients_with_dropout():
    check_layer(causal_attention, causal_attention_backward, *draw(7, seed=0)[:3], 0.2, np.random.default_rng(0)).require()
