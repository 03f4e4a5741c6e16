"""Sampling: frequencies, and which tokens top-k and top-p keep."""
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import seeds
from npgpt.errors import InputError
from npgpt.generation.sampling import keep_top_k, keep_top_p, log_probabilities, logsumexp, next_token, penalise_repetition
from npgpt.layers.softmax import softmax

LOGITS = np.log([0.4, 0.05, 0.3, 0.15, 0.1])
sizes = st.integers(1, 12)


def random_logits(V, seed):
    return 3 * np.random.default_rng(seed).standard_normal(V)


def kept(logits):
    return set(np.flatnonzero(logits > -np.inf).tolist())


def require_frequencies(probabilities, **settings):
    """In 4000 draws, every token has its frequency within 4 standard deviations."""
    N = 4000
    rng = np.random.default_rng(0)
    drawn = np.bincount([next_token(LOGITS, rng, **settings) for _ in range(N)], minlength=len(LOGITS)) / N
    deviations = np.sqrt(probabilities * (1 - probabilities) / N)
    assert (abs(drawn - probabilities) <= 4 * deviations).all(), drawn


def test_frequencies_follow_the_softmax():
    require_frequencies(np.array([0.4, 0.05, 0.3, 0.15, 0.1]))


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_temperature_divides_the_logits(temperature):
    require_frequencies(softmax(LOGITS / temperature)[0], temperature=temperature)


def test_top_k_keeps_the_ratios_of_the_others():
    require_frequencies(np.array([0.4, 0, 0.3, 0.15, 0]) / 0.85, top_k=3)


def test_top_p_keeps_the_ratios_of_the_others():
    require_frequencies(np.array([0.4, 0, 0.3, 0, 0]) / 0.7, top_p=0.6)


def test_top_p_is_applied_after_top_k():
    """Of 0.4 and 0.3 the first has 4/7: enough for p = 0.5, not for p = 0.6."""
    require_frequencies(np.array([1.0, 0, 0, 0, 0]), top_k=2, top_p=0.5)
    require_frequencies(np.array([0.4, 0, 0.3, 0, 0]) / 0.7, top_k=2, top_p=0.6)


def test_top_p_is_applied_after_the_temperature():
    """At temperature 1/2 the probabilities are squared: the likeliest has 16/28.5."""
    require_frequencies(np.array([1.0, 0, 0, 0, 0]), temperature=0.5, top_p=0.55)


@given(sizes, st.integers(1, 14), seeds)
def test_top_k_keeps_the_k_largest_as_they_are(V, k, seed):
    logits = random_logits(V, seed)
    result = keep_top_k(logits, k)
    assert kept(result) == set(np.argsort(-logits)[:k].tolist())
    assert (result[result > -np.inf] == logits[result > -np.inf]).all()


def test_top_k_keeps_ties_with_the_last():
    assert kept(keep_top_k(np.array([1.0, 3.0, 2.0, 2.0, 0.0]), 2)) == {1, 2, 3}


@given(st.lists(st.integers(1, 20), min_size=1, max_size=8, unique=True), st.data())
def test_top_p_keeps_the_fewest_largest_that_reach_p(counts, data):
    """p lies between the sums of probabilities, so that rounding has no effect."""
    total = sum(counts)
    half = data.draw(st.integers(0, total - 1)) + 0.5
    largest_first = sorted(range(len(counts)), key=lambda i: -counts[i])
    sums = list(itertools.accumulate(counts[i] for i in largest_first))
    needed = next(n for n, reached in enumerate(sums, 1) if reached > half)
    logits = np.log(np.array(counts) / total)
    result = keep_top_p(logits, half / total)
    assert kept(result) == set(largest_first[:needed])
    assert (result[result > -np.inf] == logits[result > -np.inf]).all()


@pytest.mark.parametrize("p, expected", [(0.39, {0}), (0.41, {0, 2}), (0.69, {0, 2}), (0.71, {0, 2, 3}), (0.86, {0, 2, 3, 4}),
                                         (1.0, {0, 1, 2, 3, 4})])
def test_the_token_that_crosses_p_is_kept(p, expected):
    assert kept(keep_top_p(LOGITS, p)) == expected


@pytest.mark.parametrize("p, expected", [(0.25, {0}), (0.5, {0, 1}), (0.75, {0, 1, 2}), (5e-324, {0})])
def test_tokens_that_reach_p_exactly_need_no_other(p, expected):
    """Four tokens of probability 1/4 each: of equal ones the first is kept."""
    assert kept(keep_top_p(np.zeros(4), p)) == expected


@given(sizes, seeds)
def test_top_p_of_1_keeps_all_tokens_however_unlikely(V, seed):
    """Sums of rounded probabilities may reach 1 before the last of them."""
    logits = random_logits(V, seed) * 30
    assert kept(keep_top_p(logits, 1.0)) == set(range(V))


@pytest.mark.parametrize("keep", [lambda logits: keep_top_k(logits, 2), lambda logits: keep_top_p(logits, 0.5)])
def test_the_logits_are_not_changed(keep):
    logits = LOGITS.copy()
    keep(logits)
    next_token(logits, np.random.default_rng(0), 0.5, 3, 0.9)
    assert (logits == LOGITS).all()


@given(sizes, seeds, st.sampled_from([np.float32, np.float64]))
def test_the_same_seed_draws_the_same_tokens(V, seed, dtype):
    logits = random_logits(V, seed).astype(dtype)
    rngs = np.random.default_rng(seed), np.random.default_rng(seed)
    first, same = ([next_token(logits, rng) for _ in range(20)] for rng in rngs)
    assert first == same and all(type(token) is int and 0 <= token < V for token in first)


@given(sizes, seeds, st.sampled_from([np.float32, np.float64]), st.sampled_from([5e-324, 1e-300, 1e-50, 1e-9]))
def test_with_a_temperature_near_0_the_largest_is_drawn(V, seed, dtype, temperature):
    logits = random_logits(V, seed).astype(dtype)
    assert next_token(logits, np.random.default_rng(seed), temperature=temperature) == logits.argmax()


@given(sizes, seeds)
def test_top_1_draws_the_largest(V, seed):
    logits = random_logits(V, seed)
    assert next_token(logits, np.random.default_rng(seed), temperature=100.0, top_k=1) == logits.argmax()


class Edge:
    """A generator that always draws the same number."""
    def __init__(self, number):
        self.number = number

    def random(self):
        return self.number


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_smallest_and_largest_random_numbers_draw_possible_tokens(dtype):
    logits = np.array([-np.inf, 0, 1, -np.inf], dtype)
    assert next_token(logits, Edge(0.0)) == 1
    assert next_token(logits, Edge(1 - 2**-53)) == 2


@given(st.integers(1, 300), seeds, st.sampled_from([np.float32, np.float64]))
def test_weights_whose_rounded_sum_is_not_1_draw_possible_tokens(V, seed, dtype):
    assert next_token(random_logits(V, seed).astype(dtype), Edge(1 - 2**-53)) < V


def test_a_penalty_divides_positive_logits_and_multiplies_negative_ones():
    logits = np.array([2.0, -2.0, 0.0, 1.0, -1.0])
    assert penalise_repetition(logits, [0, 1, 1, 2], 2.0).tolist() == [1.0, -4.0, 0.0, 1.0, -1.0]
    assert logits.tolist() == [2.0, -2.0, 0.0, 1.0, -1.0]


@given(sizes, seeds, st.floats(1, 100), st.sampled_from([np.float32, np.float64]))
def test_no_penalised_token_becomes_likelier_and_the_others_stay(V, seed, penalty, dtype):
    logits = random_logits(V, seed).astype(dtype)
    ids = np.random.default_rng(seed).integers(V, size=3).tolist()
    penalised = penalise_repetition(logits, ids, penalty)
    assert penalised.dtype == dtype and (penalised <= logits).all()
    others = np.setdiff1d(np.arange(V), ids)
    assert (penalised[others] == logits[others]).all()


@given(sizes, seeds, st.sampled_from([1e-30, 1.0, 1e30]))
def test_log_probabilities_are_those_of_the_softmax(V, seed, scale):
    logits = random_logits(V, seed) * scale
    result = log_probabilities(np.stack([logits, logits + 1]))
    np.testing.assert_allclose(np.exp(result).sum(axis=-1), 1, rtol=1e-12)
    np.testing.assert_allclose(result[0] - result[0].max(), logits - logits.max(), rtol=1e-12, atol=1e-12)
    assert (logits - logsumexp(logits)).tolist() == pytest.approx(result[0].tolist(), rel=1e-12, abs=1e-12)


def test_log_probabilities_of_float32_logits_are_summed_in_float64():
    logits = np.random.default_rng(0).standard_normal(50257).astype(np.float32)
    z = logits - logits.max()
    np.testing.assert_allclose(log_probabilities(logits), z - np.float64(math.log(math.fsum(np.exp(z)))), rtol=0, atol=1e-12)


@pytest.mark.parametrize("logits", [[1.0, math.nan], [1.0, math.inf], [math.inf, -math.inf], [-math.inf, -math.inf]])
def test_logsumexp_of_logits_that_are_no_distribution_is_nan_or_infinite(logits):
    with np.errstate(all="ignore"):
        assert not math.isfinite(logsumexp(np.array(logits)))


@pytest.mark.parametrize("settings, named", [
    ({"temperature": 0.0}, "temperature must be above 0"), ({"temperature": -1.0}, "temperature"),
    ({"temperature": math.nan}, "temperature"), ({"temperature": math.inf}, "temperature"),
    ({"top_k": 0}, "top-k must be 1 or more"), ({"top_k": -1}, "top-k"),
    ({"top_p": 0.0}, r"top-p must lie in \(0, 1\]"), ({"top_p": 1.01}, "top-p"), ({"top_p": math.nan}, "top-p")])
def test_a_setting_out_of_range_is_named(settings, named):
    with pytest.raises(InputError, match=named):
        next_token(LOGITS, np.random.default_rng(0), **settings)
