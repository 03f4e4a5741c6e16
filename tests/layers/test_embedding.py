"""Embedding and unembedding: ids to vectors, vectors to logits; sinusoidal positions."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, require_gradients, seeds
from npgpt.layers.embedding import (embedding, embedding_backward, sinusoidal_positions, unembedding,
                                    unembedding_backward)

sizes = st.integers(1, 5)


@given(st.lists(sizes, min_size=1, max_size=3), sizes, sizes, seeds)
def test_gradient_of_the_table(shape, vocabulary, channels, seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(vocabulary, size=shape)
    require_gradients(embedding, embedding_backward, ids, rng.standard_normal((vocabulary, channels)))


@given(st.integers(1, 300), st.integers(1, 400), sizes, seeds)
def test_the_row_of_a_repeated_id_gets_the_sum_of_the_gradients_of_every_occurrence(count, vocabulary, channels, seed):
    """As np.add.at computes it."""
    rng = np.random.default_rng(seed)
    ids, dy = rng.integers(vocabulary, size=count), rng.standard_normal((count, channels))
    expected = np.zeros((vocabulary, channels))
    np.add.at(expected, ids, dy)
    dtable = embedding_backward(dy, embedding(ids, expected)[1])
    np.testing.assert_allclose(dtable, expected, rtol=0, atol=1e-13 * max(np.abs(expected).max(), 1))         # the sum may cancel


def test_no_ids_no_gradient():
    _, cache = embedding(np.zeros((0, 3), int), np.ones((4, 2)))
    assert not embedding_backward(np.zeros((0, 3, 2)), cache).any()


@pytest.mark.parametrize("wrong", [-1, 4])
def test_an_id_outside_the_table_is_refused(wrong):
    with pytest.raises(IndexError, match=r"\[0, 4\)"):
        embedding(np.array([0, wrong]), np.ones((4, 2)))


@given(st.lists(sizes, max_size=3), sizes, sizes, seeds)
def test_gradients_of_unembedding(leading, vocabulary, channels, seed):
    require_gradients(unembedding, unembedding_backward, *draw(seed, (*leading, channels), (vocabulary, channels)))


def test_a_logit_is_the_dot_product_with_the_tokens_row():
    table = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    assert unembedding(np.array([5.0, 7.0]), table)[0].tolist() == [5, 14, 36]


@given(st.integers(1, 20), st.integers(1, 9))
def test_sinusoidal_positions_follow_the_papers_formula(length, channels):
    table = sinusoidal_positions(np.arange(length), channels, np.float64)
    for t in range(length):
        for c in range(channels):
            angle = t / 10000 ** (c // 2 * 2 / channels)
            assert abs(table[t, c] - (np.sin(angle) if c % 2 == 0 else np.cos(angle))) < 1e-13


def test_positions_may_have_any_shape():
    table = sinusoidal_positions(np.arange(7), 4, np.float64)
    t = np.array([[3, 0], [6, 3]])
    assert (sinusoidal_positions(t, 4, np.float64) == table[t]).all()
    assert (sinusoidal_positions(np.array(5), 4, np.float64) == table[5]).all()


def test_sinusoidal_positions_have_the_dtype_asked_for():
    assert sinusoidal_positions(np.arange(3), 4, np.dtype(np.float32)).dtype == np.float32
