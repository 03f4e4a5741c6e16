"""Correlations and the mean squared error. The figures here are scipy's and scikit-learn's."""
import json
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, seeds
from npgpt.scoring.regression import ranks, regression_report


def test_the_figures_are_those_of_scipy_and_scikit_learn():
    report = regression_report([1, 2, 2, 4, 5.5], [1.5, 1, 3, 3, 9])
    assert np.allclose(report, [0.870454617820564, 0.7631578947368421, 3.1, 5], rtol=1e-14)


@given(seeds, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_pearson_is_1_for_a_rising_line_and_minus_1_for_a_falling_one(seed, slope, offset):
    x, = draw(seed, (5,))
    assert np.isclose(regression_report(x, slope * x + offset).pearson, 1)
    assert np.isclose(regression_report(x, offset - slope * x).pearson, -1)


@given(seeds)
def test_spearman_sees_the_order_alone(seed):
    x, y = draw(seed, (6,), (6,))
    assert np.isclose(regression_report(x, np.exp(x)).spearman, 1)
    assert np.isclose(regression_report(x, y).spearman, regression_report(x**3, np.exp(y)).spearman)


@given(st.lists(st.integers(-3, 3), min_size=1))
def test_equal_numbers_share_the_mean_of_their_ranks(numbers):
    places = np.sort(numbers)
    assert ranks(np.array(numbers)).tolist() == [float(np.flatnonzero(places == x).mean() + 1) for x in numbers]


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_tiny_and_huge_numbers_have_a_correlation(scale):
    assert np.isclose(regression_report(np.array([1, 2, 4]) * scale, [1, 2, 3]).pearson, 0.9819805060619657)


@pytest.mark.parametrize("actual, predicted", [
    ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [0.1, 0.1, 0.1]), ([1], [2]), ([1, 2, 3], [1, 2, math.nan])])
def test_a_correlation_with_a_constant_or_nan_is_undefined_and_said_to_be(actual, predicted):
    report = regression_report(actual, predicted)
    assert math.isnan(report.pearson) and math.isnan(report.spearman) and "NaN" in str(report).splitlines()[-1]
    figures = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert figures["pearson"] is None and figures["examples"] == len(actual)
