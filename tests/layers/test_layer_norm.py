"""Layer norm: mean 0, variance 1, then gain and bias."""
import math
import statistics

import numpy as np
from hypothesis import given, strategies as st

from helpers import draw, require_gradients, seeds
from npgpt.layers.layer_norm import layer_norm, layer_norm_backward

sizes = st.integers(1, 5)


@given(st.lists(sizes, max_size=3), st.integers(3, 7), st.sampled_from([1e-5, 1e-2, 0.5]), seeds)
def test_gradients_of_x_gain_and_bias(leading, channels, eps, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((*leading, channels)) + 1
    gain, bias = 1 + 0.3 * rng.standard_normal(channels), rng.standard_normal(channels)
    require_gradients(layer_norm, layer_norm_backward, x, gain, bias, eps=eps, seed=seed)


def test_gradients_of_two_channels_with_a_large_eps():
    """Without eps, two channels become plus and minus one, and x has no gradient."""
    x, gain, bias = np.array([[3.0, 4.0], [0.5, -2.0]]), np.array([2.0, 0.7]), np.array([0.5, -1.0])
    require_gradients(layer_norm, layer_norm_backward, x, gain, bias, eps=0.5)


def test_one_channel_is_its_own_mean_so_that_only_the_bias_has_a_gradient():
    x, gain, bias = np.array([[3.0], [4.0]]), np.array([2.0]), np.array([0.5])
    require_gradients(layer_norm, layer_norm_backward, x, gain, bias, zero=("x", "gain"))


@given(st.integers(1, 5), st.integers(2, 7), seeds)
def test_values_follow_the_papers_equation(rows, channels, seed):
    """One row at a time, with the standard library's own statistics: pvariance divides by the number of entries."""
    x, gain, bias = draw(seed, (rows, channels), (channels,), (channels,))
    y, _ = layer_norm(x, gain, bias, eps=0.1)
    for row, result in zip(x, y):
        expected = gain * (row - statistics.fmean(row)) / math.sqrt(statistics.pvariance(row.tolist()) + 0.1) + bias
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-14 * np.abs(expected).max() + 1e-15)


@given(st.floats(0.5, 100), st.floats(-100, 100), seeds)
def test_scale_and_shift_of_the_input_change_nothing(scale, shift, seed):
    """With eps 0. The shift loses digits: it is up to 200 times the standard deviation of x."""
    x, = draw(seed, (3, 8))
    one, zero = np.ones(8), np.zeros(8)
    np.testing.assert_allclose(layer_norm(scale * x + shift, one, zero, 0.0)[0], layer_norm(x, one, zero, 0.0)[0], atol=1e-11)


@given(st.integers(2, 7), seeds)
def test_the_gradient_of_x_sums_to_zero_along_a_row(channels, seed):
    """Because a shift of the row changes nothing."""
    x, gain, bias, dy = draw(seed, (4, channels), (channels,), (channels,), (4, channels))
    dx, _, _ = layer_norm_backward(dy, layer_norm(x, gain, bias)[1])
    assert np.abs(dx.sum(axis=-1)).max() < 1e-12 * max(np.abs(dx).max(), 1)


def test_eps_is_1e_5_unless_given():
    """As in GPT-2. It counts where the variance is as small, here 1e-6."""
    y, _ = layer_norm(np.array([1e-3, -1e-3]), np.ones(2), np.zeros(2))
    np.testing.assert_allclose(y, np.array([1e-3, -1e-3]) / math.sqrt(1e-6 + 1e-5), rtol=1e-12)


def test_a_constant_row_gives_the_bias():
    y, _ = layer_norm(np.full((2, 3), 7.0, np.float32), np.ones(3, np.float32), np.array([1, 2, 3], np.float32))
    assert y.tolist() == [[1, 2, 3]] * 2


def test_large_values_stay_finite():
    y, cache = layer_norm(np.array([[1e4, -1e4, 1e4]], np.float32), np.ones(3, np.float32), np.zeros(3, np.float32))
    assert np.isfinite(y).all() and np.isfinite(layer_norm_backward(y, cache)[0]).all()


def test_rows_near_the_largest_float_stay_finite():
    """Their variance overflows to infinity, so the output is the bias, not NaN."""
    x = np.array([[1e38, 1e38, -1e38], [1e38, 2e38, 3e38]], np.float32)
    with np.errstate(over="ignore"):
        y, cache = layer_norm(x, np.ones(3, np.float32), np.array([1, 2, 3], np.float32))
    assert np.isfinite(y).all() and np.isfinite(layer_norm_backward(y, cache)[0]).all()
