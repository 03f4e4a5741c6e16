"""Attention: which keys a query sees, what it returns, and the gradients."""
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, require_gradients, seeds
from npgpt.layers.attention import attention, attention_backward, causal_mask

sizes = st.integers(1, 4)
several = st.integers(2, 5)


def plain_attention(q, k, v, sees):
    """Attention of (T, D), (S, D), (S, E), computed query by query and key by key."""
    y = np.zeros((len(q), v.shape[1]))
    for t in range(len(q)):
        weights = [math.exp(q[t] @ k[s] / math.sqrt(q.shape[1])) if sees(t, s) else 0.0 for s in range(len(k))]
        for s in range(len(k)):
            if weights[s]:
                y[t] += weights[s] / sum(weights) * v[s]
    return y


@given(sizes, sizes, sizes, sizes, seeds)
def test_a_query_returns_the_mean_of_the_values_weighted_by_softmax(T, S, D, E, seed):
    q, k, v = draw(seed, (T, D), (S, D), (S, E))
    np.testing.assert_allclose(attention(q, k, v)[0], plain_attention(q, k, v, lambda t, s: True), rtol=1e-12, atol=1e-14)


@given(sizes, sizes, sizes, seeds)
def test_causal_queries_are_the_last_positions_and_see_none_after_themselves(T, past, D, seed):
    q, k, v = draw(seed, (T, D), (T + past, D), (T + past, D))
    expected = plain_attention(q, k, v, lambda t, s: s <= t + past)
    np.testing.assert_allclose(attention(q, k, v, causal=True)[0], expected, rtol=1e-12, atol=1e-14)


@given(sizes, sizes, sizes, seeds)
def test_a_mask_says_which_keys_a_query_sees(T, S, D, seed):
    """Rows of the mask that are False everywhere give zeros."""
    q, k, v = draw(seed, (T, D), (S, D), (S, D))
    mask = np.random.default_rng(seed).random((T, S)) < 0.5
    np.testing.assert_allclose(attention(q, k, v, mask=mask)[0], plain_attention(q, k, v, lambda t, s: mask[t, s]),
                               rtol=1e-12, atol=1e-14)


def test_a_mask_and_causal_act_together():
    q, k, v = draw(0, (4, 3), (4, 3), (4, 2))
    mask = np.array([True, False, True, True])
    np.testing.assert_allclose(attention(q, k, v, mask=mask, causal=True)[0],
                               plain_attention(q, k, v, lambda t, s: mask[s] and s <= t), rtol=1e-12)


def test_with_more_queries_than_keys_the_first_queries_see_nothing():
    q, k, v = draw(0, (3, 2), (1, 2), (1, 2))
    y, _ = attention(q, k, v, causal=True)
    assert not y[:2].any() and (y[2] == v[0]).all()
    assert causal_mask(3, 1).tolist() == [[False], [False], [True]]


@given(st.lists(sizes, max_size=2), several, several, several, seeds)
def test_gradients_unmasked_and_across_sequences(leading, T, S, D, seed):
    q, k, v = draw(seed, (*leading, T, D), (*leading, S, D), (*leading, S, D + 1))
    require_gradients(attention, attention_backward, q, k, v, seed=seed)


@given(sizes, several, st.integers(0, 3), several, seeds)
def test_gradients_causal(B, T, past, D, seed):
    q, k, v = draw(seed, (B, T, D), (B, T + past, D), (B, T + past, D))
    require_gradients(attention, attention_backward, q, k, v, causal=True, seed=seed)


@given(sizes, several, several, seeds)
def test_gradients_under_any_mask(B, T, S, seed):
    q, k, v = draw(seed, (B, T, 3), (B, S, 3), (B, S, 2))
    mask = np.random.default_rng(seed).random((B, T, S)) < 0.7
    mask[0, 0, :2], mask[-1, -1] = True, False        # one query sees two keys or more, and one sees none
    require_gradients(attention, attention_backward, q, k, v, mask=mask, seed=seed)


@given(several, several, seeds)
def test_gradients_with_dropout_on_the_weights(T, D, seed):
    """Unmasked and with many keys, so that dropout never makes a gradient zero."""
    q, k, v = draw(seed, (2, T, D), (2, 7, D), (2, 7, D))
    require_gradients(attention, attention_backward, q, k, v, p=0.3, rng=np.random.default_rng(seed), seed=seed)


@pytest.mark.parametrize("causal", [False, True])
def test_dropout_zeroes_weights_or_scales_them_up_in_each_call_others(causal):
    """The values are unit vectors, so that y is the weights."""
    q, k = draw(0, (6, 3), (6, 3))
    weights, rng = attention(q, k, np.eye(6), causal=causal)[0], np.random.default_rng(0)
    one, other = (attention(q, k, np.eye(6), causal=causal, p=0.5, rng=rng)[0] for _ in range(2))
    for dropped in (one, other):
        kept = dropped != 0
        np.testing.assert_allclose(dropped, 2 * weights * kept, rtol=1e-12)
        assert 0 < kept.sum() < (weights != 0).sum()
    assert ((one != 0) != (other != 0)).any()


def test_a_single_key_has_weight_one_so_that_queries_and_keys_have_no_gradient():
    q, k, v = draw(0, (2, 1, 3), (2, 1, 3), (2, 1, 4))
    require_gradients(attention, attention_backward, q, k, v, zero=("q", "k"))


@given(several, seeds)
def test_adding_a_vector_to_all_keys_changes_nothing_so_their_gradients_sum_to_zero(T, seed):
    q, k, v, dy = draw(seed, (T, 3), (5, 3), (5, 2), (T, 2))
    _, dk, _ = attention_backward(dy, attention(q, k, v)[1])
    assert np.abs(dk.sum(axis=0)).max() < 1e-14


@pytest.mark.parametrize("shapes", [((2, 3), (4, 5), (4, 5)), ((2, 3), (4, 3), (5, 3)), ((2, 2, 3), (1, 4, 3), (1, 4, 3))])
def test_shapes_that_do_not_fit_are_refused(shapes):
    with pytest.raises(ValueError, match="do not fit"):
        attention(*draw(0, *shapes))


def test_extreme_scores_stay_finite():
    q, k, v = (np.full((1, 4, 2), value, np.float32) for value in (100, -100, 1))
    y, cache = attention(q, k, v, causal=True)
    assert (y == 1).all() and all(np.isfinite(d).all() for d in attention_backward(y, cache))


def test_scores_that_overflow_still_give_weights():
    """In float32 all scores are infinite here: equal, so the weights are equal."""
    q, k, v = (np.full((3, 2), size, np.float32) for size in (1e30, 1e30, 1))
    with np.errstate(over="ignore"):
        y, cache = attention(q, k, v, causal=True)
    assert (y == 1).all() and (cache.weights[2] == np.float32(1 / 3)).all()
