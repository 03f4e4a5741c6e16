"""GELU in both forms, SiLU, tanh and ReLU."""
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, require_gradients, seeds
from npgpt.layers.activations import (
    gelu, gelu_backward, gelu_exact, gelu_exact_backward, relu, relu_backward, silu, silu_backward, tanh, tanh_backward)

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3)


SMOOTH = [(gelu_exact, gelu_exact_backward), (silu, silu_backward), (tanh, tanh_backward)]


@given(shapes, st.sampled_from([0.1, 1.0, 3.0]), seeds)
def test_gradient_of_gelu(shape, spread, seed):
    x, = draw(seed, shape)
    require_gradients(gelu, gelu_backward, spread * x)


@given(st.floats(-20, 20))
def test_gelu_is_the_papers_tanh_form(x):
    expected = 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    # For very negative x, 1 + tanh cancels: the error is relative to x, not to the result.
    assert abs(gelu(np.array([x]))[0][0] - expected) <= 1e-15 * max(abs(x), 1)


@pytest.mark.parametrize("x", [-1e4, -100.0, -10.0, 0.0, 10.0, 100.0, 1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gelu_of_large_values_is_x_or_zero(x, dtype):
    with np.errstate(all="raise", under="ignore"):
        y, cache = gelu(np.array([x], dtype))
        dx = gelu_backward(np.ones(1, dtype), cache)
    assert y[0] == pytest.approx(max(x, 0), abs=1e-15)
    assert dx[0] == pytest.approx(0.5 if x == 0 else float(x > 0), abs=1e-15)


def test_gelu_where_the_square_of_x_overflows():
    with np.errstate(over="ignore"):
        y, cache = gelu(np.array([-1e30, 1e30], np.float32))
        assert (y == np.array([0, 1e30], np.float32)).all() and gelu_backward(np.ones(2, np.float32), cache).tolist() == [0, 1]


@given(shapes, seeds)
def test_gradient_of_relu(shape, seed):
    x, = draw(seed, shape)
    x.flat[0] = abs(x.flat[0])              # with no positive entry the gradient is rightly zero
    require_gradients(relu, relu_backward, x)


def test_relu_keeps_positive_entries():
    y, cache = relu(np.array([-2.0, -0.0, 0.0, 3.0, -np.inf, np.nan]))
    assert y[:5].tolist() == [0, 0, 0, 3, 0] and np.isnan(y[5])
    assert relu_backward(np.ones(6), cache)[:5].tolist() == [0, 0, 0, 1, 0]


@given(st.sampled_from(SMOOTH), shapes, st.sampled_from([0.1, 1.0, 3.0]), seeds)
def test_gradients_of_the_exact_gelu_silu_and_tanh(pair, shape, spread, seed):
    x, = draw(seed, shape)
    require_gradients(*pair, spread * x)


@given(st.floats(-40, 40))
def test_the_exact_gelu_is_x_times_the_normal_distribution_function(x):
    expected = x * (1 + math.erf(x / math.sqrt(2))) / 2
    assert abs(gelu_exact(np.array([x]))[0][0] - expected) <= 4e-16 * max(abs(x), 1)


@given(st.floats(-40, 40))
def test_silu_is_x_times_its_sigmoid(x):
    assert silu(np.array([x]))[0][0] == pytest.approx(x / (1 + math.exp(-x)), rel=4e-15)


@given(st.floats(-40, 40))
def test_tanh_is_that_of_the_standard_library(x):
    assert tanh(np.array([x]))[0][0] == pytest.approx(math.tanh(x), rel=1e-15)


@pytest.mark.parametrize("x", [-1e30, -1e4, -100.0, 0.0, 100.0, 1e4, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("forward, backward", SMOOTH[:2])
def test_the_exact_gelu_and_silu_of_large_values_are_x_or_zero(forward, backward, x, dtype):
    with np.errstate(all="raise", under="ignore"):
        y, cache = forward(np.array([x], dtype))
        dx = backward(np.ones(1, dtype), cache)
    assert y[0] == pytest.approx(max(x, 0), abs=1e-15, rel=1e-6)
    assert dx[0] == pytest.approx(0.5 if x == 0 else float(x > 0), abs=1e-15)


@pytest.mark.parametrize("x", [-1e30, -30.0, 30.0, 1e30])
def test_tanh_of_large_values_is_one_or_minus_one(x):
    y, cache = tanh(np.array([x]))
    assert y[0] == np.sign(x) and tanh_backward(np.ones(1), cache)[0] == 0
