"""Linear: y = x w + b."""
import numpy as np
from hypothesis import given, strategies as st

from helpers import draw, require_gradients, seeds
from npgpt.layers.linear import linear, linear_backward

sizes = st.integers(1, 5)


@given(st.lists(sizes, max_size=3), sizes, sizes, seeds)
def test_gradients_of_x_w_and_b(leading, inputs, outputs, seed):
    require_gradients(linear, linear_backward, *draw(seed, (*leading, inputs), (inputs, outputs), (outputs,)))


def test_each_output_is_a_weighted_sum_of_inputs_plus_a_bias():
    x, w, b = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0, -1.0], [3.0, 5.0, 0.5]]), np.array([10.0, 20.0, 30.0])
    y, _ = linear(x, w, b)
    assert y.tolist() == [[1 + 6 + 10, 10 + 20, -1 + 1 + 30]]


@given(st.integers(2, 5), seeds)
def test_a_row_of_x_has_a_gradient_from_its_own_row_of_y_only(rows, seed):
    x, w, b, dy = draw(seed, (rows, 3), (3, 4), (4,), (rows, 4))
    dy[1:] = 0
    dx, _, _ = linear_backward(dy, linear(x, w, b)[1])
    assert dx[0].any() and not dx[1:].any()


def test_without_bias_the_rest_is_as_with_a_bias_of_zeros():
    x, w, dy = draw(0, (2, 3, 4), (4, 5), (2, 3, 5))
    (y, cache), (y_zeros, cache_zeros) = linear(x, w, None), linear(x, w, np.zeros(5))
    (dx, dw, db), (dx_zeros, dw_zeros, _) = linear_backward(dy, cache), linear_backward(dy, cache_zeros)
    assert db is None
    for actual, expected in ((y, y_zeros), (dx, dx_zeros), (dw, dw_zeros)):
        np.testing.assert_array_equal(actual, expected)
