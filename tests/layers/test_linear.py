"""Linear: y = x w + b."""
import numpy as np
from hypothesis import given, strategies as st

from npgpt.checking.layer import check_layer
from npgpt.layers.linear import linear, linear_backward

sizes = st.integers(1, 5)
seeds = st.integers(0, 10**6)


@given(st.lists(sizes, max_size=3), sizes, sizes, seeds)
def test_gradients_of_x_w_and_b(leading, inputs, outputs, seed):
    rng = np.random.default_rng(seed)
    x, w, b = rng.standard_normal((*leading, inputs)), rng.standard_normal((inputs, outputs)), rng.standard_normal(outputs)
    check_layer(linear, linear_backward, x, w, b).require()


def test_each_output_is_a_weighted_sum_of_inputs_plus_a_bias():
    x, w, b = np.array([[1.0, 2.0]]), np.array([[1.0, 0.0, -1.0], [3.0, 5.0, 0.5]]), np.array([10.0, 20.0, 30.0])
    y, _ = linear(x, w, b)
    assert y.tolist() == [[1 + 6 + 10, 10 + 20, -1 + 1 + 30]]


@given(st.integers(2, 5), seeds)
def test_a_row_of_x_reaches_only_its_own_row_of_y(rows, seed):
    rng = np.random.default_rng(seed)
    x, w, b = rng.standard_normal((rows, 3)), rng.standard_normal((3, 4)), rng.standard_normal(4)
    dy = np.zeros((rows, 4))
    dy[0] = rng.standard_normal(4)
    dx, _, _ = linear_backward(dy, linear(x, w, b)[1])
    assert dx[0].any() and not dx[1:].any()
