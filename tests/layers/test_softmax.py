"""Softmax along the last axis, with a boolean mask."""
import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from helpers import draw, require_gradients, seeds
from npgpt.layers.softmax import softmax, softmax_backward



@given(st.lists(st.integers(1, 4), max_size=2), st.integers(2, 6), seeds)
def test_gradient(leading, size, seed):
    require_gradients(softmax, softmax_backward, *draw(seed, (*leading, size)), seed=seed)


@given(st.integers(1, 4), st.integers(3, 6), seeds)
def test_gradient_under_a_mask(rows, size, seed):
    """Some entries are masked; one row entirely; and one row has at least two that are not."""
    rng = np.random.default_rng(seed)
    mask = rng.random((rows + 2, size)) < 0.6
    mask[0], mask[1, :2] = False, True
    require_gradients(softmax, softmax_backward, rng.standard_normal((rows + 2, size)), mask=mask, seed=seed)


def test_a_single_entry_has_weight_one_whatever_its_score():
    require_gradients(softmax, softmax_backward, np.array([[3.0], [-2.0]]), zero=("x",))


@given(st.integers(1, 6), seeds)
def test_values_follow_the_definition(size, seed):
    x, = draw(seed, (size,))
    np.testing.assert_allclose(softmax(x)[0], np.exp(x) / np.exp(x).sum(), rtol=1e-14)


@given(st.integers(2, 6), seeds)
def test_masking_entries_is_the_same_as_leaving_them_out(size, seed):
    rng = np.random.default_rng(seed)
    x, mask = rng.standard_normal(size), rng.random(size) < 0.5
    mask[0] = True
    y, _ = softmax(x, mask)
    assert not y[~mask].any()
    np.testing.assert_allclose(y[mask], softmax(x[mask])[0], rtol=1e-14)


def test_a_score_of_zero_is_not_a_masked_one():
    assert softmax(np.zeros(4))[0].tolist() == [0.25] * 4


def test_a_row_that_is_masked_entirely_gives_zeros_forward_and_backward():
    y, cache = softmax(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[True, True], [False, False]]))
    dx = softmax_backward(np.ones((2, 2)) * [[1.0, 5.0]], cache)
    assert y[1].tolist() == [0, 0] and dx[1].tolist() == [0, 0]
    assert y[0].sum() == pytest.approx(1, rel=1e-15) and dx[0].any()


@given(st.integers(2, 6), st.floats(-1e3, 1e3), seeds)
def test_adding_a_constant_to_a_row_changes_nothing(size, shift, seed):
    x, = draw(seed, (size,))
    np.testing.assert_allclose(softmax(x + shift)[0], softmax(x)[0], rtol=1e-12)      # x + 1e3 loses 3 digits


@given(st.integers(2, 6), seeds)
def test_a_row_of_the_gradient_sums_to_zero(size, seed):
    x, dy = draw(seed, (3, size), (3, size))
    dx = softmax_backward(dy, softmax(x)[1])
    assert np.abs(dx.sum(axis=-1)).max() < 1e-15


@given(hnp.arrays(np.float32, (3, 5), elements=st.floats(-1e4, 1e4, width=32)))
def test_extreme_scores_give_weights_that_sum_to_one(x):
    y, cache = softmax(x)
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-6)
    assert np.isfinite(softmax_backward(y, cache)).all()


def test_minus_infinity_counts_as_masked():
    assert softmax(np.array([0.0, -np.inf, 0.0]))[0].tolist() == [0.5, 0, 0.5]
