"""Numerical derivatives of functions whose derivatives are known."""
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.checking.derivatives import central_difference, complex_step, numerical_gradient

points = st.floats(-2, 2)


@given(points)
def test_the_complex_step_is_exact_to_rounding(x):
    derivative = complex_step(lambda z: np.exp(np.sin(z)).sum(), np.array([x]), np.ones(1))
    assert derivative == pytest.approx(math.exp(math.sin(x)) * math.cos(x), rel=1e-14, abs=1e-16)


@given(points)
def test_central_differences_are_accurate_to_about_nine_digits(x):
    derivative = central_difference(lambda z: np.exp(np.sin(z)).sum(), np.array([x]), np.ones(1))
    assert derivative == pytest.approx(math.exp(math.sin(x)) * math.cos(x), abs=1e-9)


@pytest.mark.parametrize("method", ["complex", "central"])
def test_a_gradient_has_the_derivative_along_every_coordinate(method):
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(numerical_gradient(lambda z: (z * z).sum(), x, method), 2 * x, atol=1e-8)


def test_the_derivative_along_a_direction_is_a_sum_over_coordinates():
    v = np.array([3.0, -1.0])
    assert complex_step(lambda z: z[0] * z[1], np.array([5.0, 7.0]), v) == 3 * 7 - 5
