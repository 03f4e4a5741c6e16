"""Softmax cross-entropy on logits: ignored targets, weights, label smoothing."""
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, require_gradients, seeds
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


def draw_batch(shape, vocabulary, seed):
    """Logits, targets of which some are ignored but never the first, and a positive weight for each target."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(vocabulary, size=shape)
    targets.flat[1:][rng.random(targets.size - 1) < 0.4] = IGNORED
    return rng.standard_normal((*shape, vocabulary)), targets, rng.random(shape) + 0.1


def smoothed_loss(row, target, smoothing):
    """Of one row, against the probabilities to be learnt."""
    log_total = math.log(sum(map(math.exp, row)))
    wanted = [(1 - smoothing) * (v == target) + smoothing / len(row) for v in range(len(row))]
    return -sum(probability * (z - log_total) for probability, z in zip(wanted, row))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=2), st.integers(2, 7), st.booleans(),
       st.sampled_from([0.0, 0.1, 0.6]), seeds)
def test_gradient_with_weights_and_smoothing(shape, vocabulary, weighted, smoothing, seed):
    logits, targets, weights = draw_batch(shape, vocabulary, seed)
    require_gradients(cross_entropy, cross_entropy_backward, logits, targets, smoothing=smoothing, seed=seed,
                      weights=weights if weighted else None)


@given(st.integers(1, 5), st.integers(2, 7), seeds)
def test_weights_give_a_weighted_sum(rows, vocabulary, seed):
    logits, targets, weights = draw_batch([rows], vocabulary, seed)
    losses = [w * smoothed_loss(row, t, 0) for row, t, w in zip(logits, targets, weights) if t != IGNORED]
    assert float(cross_entropy(logits, targets, weights=weights)[0]) == pytest.approx(sum(losses), rel=1e-13)


@given(st.integers(1, 5), st.integers(2, 7), st.floats(0, 1), seeds)
def test_label_smoothing_shares_a_part_of_the_probability_among_all_classes(rows, vocabulary, smoothing, seed):
    logits, targets, _ = draw_batch([rows], vocabulary, seed)
    losses = [smoothed_loss(row, t, smoothing) for row, t in zip(logits, targets) if t != IGNORED]
    expected = sum(losses) / len(losses)
    assert float(cross_entropy(logits, targets, smoothing=smoothing)[0]) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 4), st.integers(1, 5), seeds)
def test_weights_can_average_over_each_sequence_first(B, T, seed):
    """One weight for each sequence, broadcast to its targets."""
    logits, targets, _ = draw_batch([B, T], 5, seed)
    targets[:, 0] = 0                                          # every sequence has a target that counts
    counts = (targets != IGNORED).sum(axis=1, keepdims=True)
    loss, cache = cross_entropy(logits, targets, weights=1 / (B * counts))
    alone = [cross_entropy(*rows) for rows in zip(logits, targets)]
    assert float(loss) == pytest.approx(np.mean([one for one, _ in alone]), rel=1e-13)
    expected = [cross_entropy_backward(1 / B, own) for _, own in alone]
    np.testing.assert_allclose(cross_entropy_backward(1.0, cache), expected, rtol=0, atol=1e-15)


@given(st.integers(2, 6), st.floats(0, 1), seeds)
def test_smoothing_keeps_the_ignored_rows_out(vocabulary, smoothing, seed):
    logits, targets, weights = draw_batch([6], vocabulary, seed)
    kept = targets != IGNORED
    loss, cache = cross_entropy(logits, targets, weights=weights, smoothing=smoothing)
    alone, alone_cache = cross_entropy(logits[kept], targets[kept], weights=weights[kept], smoothing=smoothing)
    dlogits = cross_entropy_backward(1.0, cache)
    assert loss == alone and not dlogits[~kept].any()
    assert (dlogits[kept] == cross_entropy_backward(1.0, alone_cache)).all()


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ValueError):
        cross_entropy(np.zeros((2, 3, 4)), np.zeros((2, 3), int), weights=np.ones(2))


def test_smoothing_takes_the_mean_of_the_targets_own_row():
    """Rows that do not count stand between those that do."""
    logits, = draw(0, (5, 4))
    targets = np.array([IGNORED, 2, IGNORED, 0, 3])
    counted = targets != IGNORED
    expected, _ = cross_entropy(logits[counted], targets[counted], smoothing=0.3)
    assert cross_entropy(logits, targets, smoothing=0.3)[0] == pytest.approx(expected, rel=1e-14)
