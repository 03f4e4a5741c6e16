"""Dropout: inverted, with a mask from the given generator."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, require_gradients, seeds
from npgpt.layers.dropout import dropout, dropout_backward

probabilities = st.floats(0, 0.7)


@given(st.lists(st.integers(2, 5), min_size=2, max_size=3), probabilities, seeds)
def test_gradient_with_a_fixed_mask(shape, p, seed):
    x, = draw(seed, shape)
    dropped = not dropout(np.ones(shape), p, np.random.default_rng(seed))[0].any()
    require_gradients(dropout, dropout_backward, x, p, rng=np.random.default_rng(seed), zero=("x",) if dropped else ())


@given(probabilities, seeds)
def test_entries_are_dropped_or_scaled_up(p, seed):
    y, _ = dropout(np.full((4, 5), 3.0), p, np.random.default_rng(seed))
    kept = 3.0 * (1 / (1 - p))
    assert set(y.flat) <= {0.0, kept}


def test_the_fraction_that_is_dropped_is_p_and_the_mean_stays():
    y, _ = dropout(np.ones(100_000), 0.3, np.random.default_rng(0))
    assert np.mean(y == 0) == pytest.approx(0.3, abs=0.005)       # 3.5 standard deviations
    assert y.mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("axis", range(3))
def test_masks_differ_along_every_axis(axis):
    """An axis that is alike everywhere, or a mask that repeats along it, would drop too much or too little together."""
    slices = np.moveaxis(dropout(np.ones((6, 7, 8)), 0.5, np.random.default_rng(0))[0], axis, 0)
    assert len({part.tobytes() for part in slices}) == len(slices)


def test_a_generator_draws_another_mask_in_the_next_call():
    rng = np.random.default_rng(0)
    assert (dropout(np.ones((6, 7)), 0.5, rng)[0] != dropout(np.ones((6, 7)), 0.5, rng)[0]).any()


def test_p_zero_changes_nothing_and_shares_nothing():
    x = np.ones((3, 4))
    y, _ = dropout(x, 0.0, np.random.default_rng(0))
    assert (y == x).all() and not np.shares_memory(x, y)


def test_backward_has_the_mask_and_the_scale_of_forward():
    y, cache = dropout(np.ones((6, 7)), 0.5, np.random.default_rng(1))
    assert (dropout_backward(np.ones((6, 7)), cache) == y).all()


def test_the_same_generator_state_drops_the_same_in_both_dtypes():
    a, _ = dropout(np.ones((6, 7), np.float32), 0.5, np.random.default_rng(1))
    b, _ = dropout(np.ones((6, 7), np.float64), 0.5, np.random.default_rng(1))
    assert (a == b).all()


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_a_p_that_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        dropout(np.ones(3), p, np.random.default_rng(0))
