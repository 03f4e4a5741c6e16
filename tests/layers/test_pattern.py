"""Attention patterns: which keys a query sees."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, require_gradients, seeds
from npgpt.layers.attention import attention
from npgpt.layers import pattern as patterns
from npgpt.layers.pattern import CAUSAL, bidirectional

B, H, T, D = 3, 2, 5, 4
lengths = st.lists(st.integers(1, T), min_size=B, max_size=B)


def draw_qkv(seed, T=T):
    return draw(seed, (B, H, T, D), (B, H, T, D), (B, H, T, D))


def padding_mask(lengths):
    """(B, T), True for the first tokens of every sequence."""
    return np.arange(T) < np.array(lengths)[:, None]


@given(seeds)
def test_causal_positions_see_themselves_and_those_before(seed):
    q, k, v = draw_qkv(seed)
    np.testing.assert_allclose(CAUSAL.forward(q, k, v)[0], attention(q, k, v, causal=True)[0], rtol=1e-12, atol=1e-14)


@given(seeds)
def test_bidirectional_positions_see_all(seed):
    q, k, v = draw_qkv(seed)
    np.testing.assert_allclose(bidirectional().forward(q, k, v)[0], attention(q, k, v)[0], rtol=1e-12, atol=1e-14)


@given(lengths, seeds)
def test_a_padded_sequence_has_the_outputs_and_gradients_that_it_has_alone(lengths, seed):
    q, k, v = draw_qkv(seed)
    pattern = bidirectional(padding_mask(lengths))
    y, cache = pattern.forward(q, k, v)
    dy = draw(seed, y.shape)[0] * padding_mask(lengths)[:, None, :, None]      # outputs at padding are not used
    gradients = pattern.backward(dy, cache)
    for b, length in enumerate(lengths):
        alone = [array[b:b + 1, :, :length] for array in (q, k, v)]
        expected, expected_cache = bidirectional().forward(*alone)
        np.testing.assert_allclose(y[b:b + 1, :, :length], expected, rtol=1e-12, atol=1e-14)
        for d, d_alone in zip(gradients, bidirectional().backward(dy[b:b + 1, :, :length], expected_cache)):
            np.testing.assert_allclose(d[b:b + 1, :, :length], d_alone, rtol=0, atol=1e-13)


def test_the_padding_mask_is_false_for_the_pad_token_alone():
    ids = np.array([[1, 2, 3], [3, 1, 2]])
    assert patterns.padding_mask(ids, 2).tolist() == [[True, False, True], [True, True, False]]
    assert patterns.padding_mask(ids, 0) is None and patterns.padding_mask(ids, None) is None


@given(lengths, seeds)
def test_padded_positions_get_no_weight_and_no_gradient(lengths, seed):
    """Whatever their keys and values are."""
    mask = padding_mask(lengths)
    q, k, v = draw_qkv(seed)
    y, cache = bidirectional(mask).forward(q, k, v)
    padding = np.broadcast_to(~mask[:, None, :, None], k.shape)
    for dz in bidirectional(mask).backward(draw(seed, y.shape)[0], cache)[1:]:
        assert not dz[padding].any()
    k[padding], v[padding] = 1e6, -1e6
    assert (bidirectional(mask).forward(q, k, v)[0] == y).all()


def test_an_empty_sequence_gives_zeros():
    mask = padding_mask([5, 0, 2])
    pattern = bidirectional(mask)
    y, cache = pattern.forward(*draw_qkv(seed=0))
    gradients = pattern.backward(draw(1, y.shape)[0], cache)
    assert all(not array[1].any() for array in (y, *gradients))
    assert all(np.isfinite(array).all() and array[0].any() for array in (y, *gradients))


@given(lengths, seeds)
def test_gradients_under_a_padding_mask(lengths, seed):
    lengths[0] = T                          # one sequence has keys to choose from, or all gradients of q and k are zero
    require_gradients(*bidirectional(padding_mask(lengths)), *draw_qkv(seed), name="padded", seed=seed)


@pytest.mark.parametrize("pattern", [CAUSAL, bidirectional(padding_mask([5, 3, 1]))], ids=["causal", "padded"])
def test_the_pattern_of_some_heads_gives_the_outputs_of_these_heads(pattern):
    q, k, v = draw_qkv(seed=0)
    y, _ = pattern.forward(q, k, v)
    own = slice(1, 2)
    np.testing.assert_allclose(pattern.of_heads(own).forward(q[:, own], k[:, own], v[:, own])[0], y[:, own], rtol=1e-12)


def test_dropout_acts_on_the_weights_where_a_generator_is_given():
    q, k, v = draw_qkv(seed=0)
    for pattern in (CAUSAL, bidirectional()):
        y, _ = pattern.forward(q, k, v, p=0.5)
        dropped, _ = pattern.forward(q, k, v, p=0.5, rng=np.random.default_rng(0))
        assert (pattern.forward(q, k, v)[0] == y).all() and (dropped != y).any()
