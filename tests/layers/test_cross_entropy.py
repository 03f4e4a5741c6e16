"""Softmax cross-entropy on logits, with ignored targets."""
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import require_gradients, seeds
from npgpt.layers.cross_entropy import IGNORED, cross_entropy, cross_entropy_backward



@given(st.lists(st.integers(1, 4), min_size=1, max_size=2), st.integers(2, 7), st.booleans(), seeds)
def test_gradient(shape, vocabulary, some_ignored, seed):
    rng = np.random.default_rng(seed)
    targets = rng.integers(vocabulary, size=shape)
    if some_ignored:
        targets.flat[1:][rng.random(targets.size - 1) < 0.4] = IGNORED
    require_gradients(cross_entropy, cross_entropy_backward, rng.standard_normal((*shape, vocabulary)), targets, seed=seed)


@given(st.integers(1, 5), st.integers(2, 7), seeds)
def test_the_loss_is_the_mean_negative_log_probability(rows, vocabulary, seed):
    rng = np.random.default_rng(seed)
    logits, targets = rng.standard_normal((rows, vocabulary)), rng.integers(vocabulary, size=rows)
    losses = [-math.log(math.exp(row[target]) / sum(map(math.exp, row))) for row, target in zip(logits, targets)]
    assert float(cross_entropy(logits, targets)[0]) == pytest.approx(sum(losses) / rows, rel=1e-13)


@given(st.integers(1, 50))
def test_equal_logits_have_the_loss_ln_v(vocabulary):
    assert float(cross_entropy(np.zeros((2, vocabulary)), np.zeros(2, int))[0]) == pytest.approx(math.log(vocabulary), abs=1e-15)


@given(st.integers(1, 4), st.integers(1, 4), seeds)
def test_padding_with_ignored_targets_changes_nothing(rows, padding, seed):
    rng = np.random.default_rng(seed)
    logits, targets = rng.standard_normal((rows, 5)), rng.integers(5, size=rows)
    padded = np.concatenate([logits, rng.standard_normal((padding, 5))])
    loss, cache = cross_entropy(logits, targets)
    padded_loss, padded_cache = cross_entropy(padded, np.concatenate([targets, np.full(padding, IGNORED)]))
    dpadded = cross_entropy_backward(1.0, padded_cache)
    assert padded_loss == loss
    assert (dpadded[:rows] == cross_entropy_backward(1.0, cache)).all() and not dpadded[rows:].any()


def test_where_no_target_counts_loss_and_gradient_are_zero():
    loss, cache = cross_entropy(np.ones((2, 3)), np.full(2, IGNORED))
    assert loss == 0 and not cross_entropy_backward(1.0, cache).any()


def test_another_id_can_be_the_ignored_one():
    logits = np.random.default_rng(0).standard_normal((3, 4))
    assert cross_entropy(logits, np.array([1, 0, 2]), ignored=0)[0] == cross_entropy(logits, np.array([1, IGNORED, 2]))[0]


@given(st.integers(2, 6), seeds)
def test_a_row_of_the_gradient_sums_to_zero(vocabulary, seed):
    rng = np.random.default_rng(seed)
    _, cache = cross_entropy(rng.standard_normal((4, vocabulary)), rng.integers(vocabulary, size=4))
    assert np.abs(cross_entropy_backward(1.0, cache).sum(axis=-1)).max() < 1e-15


@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_extreme_logits_have_the_right_loss(logit):
    logits = np.array([[logit, 0.0, 0.0]], np.float32)
    loss, cache = cross_entropy(logits, np.array([0]))
    assert float(loss) == pytest.approx(0 if logit > 0 else 1e4 + math.log(2), rel=1e-6)
    assert np.isfinite(cross_entropy_backward(1.0, cache)).all()


def test_a_logit_of_minus_infinity_has_probability_zero():
    loss, cache = cross_entropy(np.array([[0.0, -np.inf, 0.0]]), np.array([0]))
    assert float(loss) == pytest.approx(math.log(2))
    assert cross_entropy_backward(1.0, cache).tolist() == [[-0.5, 0, 0.5]]


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_target_outside_the_vocabulary_is_refused(wrong):
    with pytest.raises(ValueError, match=r"\[0, 3\)"):
        cross_entropy(np.zeros((2, 3)), np.array([0, wrong]))
