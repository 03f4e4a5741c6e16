"""Binary cross-entropy and mean squared error."""
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, require_gradients, seeds
from npgpt.layers.binary_cross_entropy import binary_cross_entropy, binary_cross_entropy_backward
from npgpt.layers.mean_squared_error import mean_squared_error, mean_squared_error_backward

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=3)


def draw_labels(shape, seed):
    return np.random.default_rng(seed).integers(2, size=shape)


@given(shapes, seeds)
def test_gradient_of_binary_cross_entropy(shape, seed):
    logits, = draw(seed, shape)
    require_gradients(binary_cross_entropy, binary_cross_entropy_backward, logits, draw_labels(shape, seed), seed=seed)


@given(shapes, seeds)
def test_gradient_of_binary_cross_entropy_with_probabilities_as_targets(shape, seed):
    targets = np.random.default_rng(seed).random(shape)
    require_gradients(binary_cross_entropy, binary_cross_entropy_backward, *draw(seed, shape), targets=targets, seed=seed)


@given(shapes, seeds)
def test_binary_cross_entropy_is_the_mean_negative_log_probability_of_the_labels(shape, seed):
    logits, = draw(seed, shape)
    labels = draw_labels(shape, seed)
    yes = 1 / (1 + np.exp(-logits))
    expected = -np.log(np.where(labels == 1, yes, 1 - yes)).mean()
    assert float(binary_cross_entropy(logits, labels)[0]) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_logits_have_the_right_binary_cross_entropy(dtype):
    logits = np.array([1e4, 1e4, -1e4, -1e4, 0], dtype)
    with np.errstate(all="raise", under="ignore"):
        loss, cache = binary_cross_entropy(logits, np.array([1, 0, 1, 0, 1]))
        dlogits = binary_cross_entropy_backward(1.0, cache)
    assert float(loss) == pytest.approx((2e4 + math.log(2)) / 5, rel=1e-6)
    np.testing.assert_allclose(dlogits, [0, 0.2, -0.2, 0, -0.1], rtol=1e-6)


@given(shapes, seeds)
def test_gradient_of_mean_squared_error(shape, seed):
    predictions, targets = draw(seed, shape, shape)
    require_gradients(mean_squared_error, mean_squared_error_backward, predictions, targets=targets, seed=seed)


def test_mean_squared_error():
    assert mean_squared_error(np.array([1.0, 2, 4]), np.array([1, 4, 3]))[0] == 5 / 3


@pytest.mark.parametrize("loss", [binary_cross_entropy, mean_squared_error])
def test_shapes_that_differ_are_refused(loss):
    with pytest.raises(ValueError, match="differ in shape"):
        loss(np.zeros((3, 1)), np.zeros(3))
