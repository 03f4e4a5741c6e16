"""The error function, against that of Python's standard library."""
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.layers.erf import CHUNK, FARTHEST, NEAR, ONE, erf, normal_cdf

# Both sides of the borders between the approximations, and all sizes down to the smallest numbers.
BORDERS = [border * factor for border in (NEAR, 4.0, ONE) for factor in (1 - 1e-15, 1, 1 + 1e-15)]
EVERYWHERE = np.concatenate([np.linspace(0, 8, 3001), np.logspace(-300, 0, 601), BORDERS])


def test_it_is_accurate_everywhere():
    for x in (EVERYWHERE, -EVERYWHERE):
        np.testing.assert_allclose(erf(x), [math.erf(z) for z in x], rtol=6e-16, atol=0)


@given(st.floats(-10, 10, width=32))
def test_it_is_accurate_in_float32(x):
    y = erf(np.array([x], np.float32))
    assert y.dtype == np.float32 and y[0] == pytest.approx(math.erf(x), rel=5e-7)


def test_the_normal_distribution_function_is_accurate_in_both_precisions():
    x = np.concatenate([np.linspace(-9, 9, 4001), [FARTHEST, -FARTHEST, 0.0, 1e-30]])
    expected = [0.5 * math.erfc(-z / math.sqrt(2)) for z in x]
    np.testing.assert_allclose(normal_cdf(x), expected, rtol=0, atol=4e-16)
    y = normal_cdf(x.astype(np.float32))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=0, atol=2e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits_of_the_normal_distribution_function(dtype):
    y = normal_cdf(np.array([np.inf, -np.inf, 1e38, -1e38, np.nan], dtype))
    assert y[:4].tolist() == [1, 0, 1, 0] and np.isnan(y[4])


def test_limits():
    y = erf(np.array([0.0, -0.0, np.inf, -np.inf, 1e308, -1e308, np.nan]))
    assert y[:6].tolist() == [0, 0, 1, -1, 1, -1] and np.signbit(y[1]) and np.isnan(y[6])


def test_the_complex_step_gives_its_derivative():
    """2/sqrt(pi) exp(-x^2)"""
    x = np.linspace(-7, 7, 1001)
    derivative = erf(x + 1e-30j).imag / 1e-30
    np.testing.assert_allclose(derivative, 2 / math.sqrt(math.pi) * np.exp(-x * x), rtol=0, atol=2e-15)


def test_arrays_of_any_shape_are_computed_in_chunks():
    x = np.random.default_rng(0).standard_normal((3, CHUNK // 2 + 1)).T
    before = x.copy()
    assert erf(x).shape == x.shape and (x == before).all()
    np.testing.assert_allclose(erf(x), np.vectorize(math.erf)(x), rtol=6e-16)
    assert erf(np.empty((0, 2))).shape == (0, 2)
