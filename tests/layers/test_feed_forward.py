"""Feed-forward: linear, activation, linear."""
import pytest
from hypothesis import given, strategies as st

from helpers import draw, require_gradients, seeds
from npgpt.checking.layer import check_layer
from npgpt.layers.activations import gelu, gelu_exact, relu, silu
from npgpt.layers.feed_forward import ACTIVATIONS, feed_forward, feed_forward_backward
from npgpt.layers.linear import linear

sizes = st.integers(1, 5)


def arguments(leading, channels, inner, seed):
    return draw(seed, (*leading, channels), (channels, inner), (inner,), (inner, channels), (channels,))


@given(st.lists(sizes, max_size=2), sizes, sizes, seeds)
def test_gradients_with_gelu(leading, channels, inner, seed):
    """Where all units are very negative, gradients are small beside y, and central differences have few correct digits."""
    require_gradients(feed_forward, feed_forward_backward, *arguments(leading, channels, inner, seed))


@given(sizes, sizes, sizes, seeds)
def test_gradients_with_relu(rows, channels, inner, seed):
    x, w_up, b_up, w_down, b_down = arguments([rows], channels, inner, seed)
    b_up += 5                              # every unit is positive somewhere: else its gradients are rightly zero
    require_gradients(feed_forward, feed_forward_backward, x, w_up, b_up, w_down, b_down, activation="relu")


@pytest.mark.parametrize("name, activation", [("gelu_new", gelu), ("gelu", gelu_exact), ("relu", relu), ("silu", silu), ("swish", silu)])
def test_it_is_linear_activation_linear(name, activation):
    x, w_up, b_up, w_down, b_down = arguments([2, 3], 4, 5, seed=0)
    expected = linear(activation(linear(x, w_up, b_up)[0])[0], w_down, b_down)[0]
    assert (feed_forward(x, w_up, b_up, w_down, b_down, activation=name)[0] == expected).all()


def test_an_unknown_activation_is_refused():
    with pytest.raises(KeyError, match="mish"):
        feed_forward(*arguments([1], 2, 3, seed=0), activation="mish")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_with_every_activation_that_has_a_name(activation):
    check_layer(feed_forward, feed_forward_backward, *draw(0, (2, 3), (3, 5), (5,), (5, 3), (3,)), activation=activation).require()
