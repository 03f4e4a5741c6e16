"""AdamW against the paper, and the factor that clips gradients."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, seeds
from npgpt.training.adamw import adamw, clip_scale

betas = st.floats(0.5, 0.999)


def textbook(p, gradients, learning_rates, beta1, beta2, eps, weight_decay):
    """Loshchilov and Hutter 2019, algorithm 2, as printed: p after one update for each learning rate, and m and v."""
    m = v = np.zeros_like(p)
    for t, (g, learning_rate) in enumerate(zip(gradients, learning_rates), 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        p = p - learning_rate * (m_hat / (np.sqrt(v_hat) + eps) + weight_decay * p)
    return p, m, v


def updated(p, gradients, learning_rates, **settings):
    """The same by adamw, on copies."""
    p, m, v = p.copy(), np.zeros_like(p), np.zeros_like(p)
    for t, (g, learning_rate) in enumerate(zip(gradients, learning_rates), 1):
        adamw(p, g, m, v, t, learning_rate, **settings)
    return p, m, v


@given(st.integers(1, 9), st.integers(1, 5), betas, betas, st.sampled_from([1e-8, 0.1]), st.floats(0, 1), seeds)
def test_several_updates_are_those_of_the_paper(size, steps, beta1, beta2, eps, weight_decay, seed):
    p, *gradients = draw(seed, *[(size,)] * (steps + 1))
    learning_rates = np.random.default_rng(seed).uniform(0, 0.1, steps).tolist()
    settings = {"beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
    results, expected = (update(p, gradients, learning_rates, **settings) for update in (updated, textbook))
    for array, right in zip(results, expected):
        np.testing.assert_allclose(array, right, rtol=1e-12, atol=1e-12)


SETTINGS = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": 0.0}


def test_float32_stays_float32_and_differs_by_rounding_only():
    p, *gradients = draw(0, *[(1000,)] * 5)
    settings = SETTINGS | {"weight_decay": 0.1}
    expected, _, _ = textbook(p, gradients, [0.05] * 4, **settings)
    result, m, v = updated(p.astype(np.float32), [g.astype(np.float32) for g in gradients], [0.05] * 4, **settings)
    assert result.dtype == m.dtype == v.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_epsilon_is_added_after_the_root_of_the_corrected_moment():
    """It matters where gradients are about as small as epsilon. Added before the bias correction, it would make this step
    5 times smaller; inside the root, 5000 times.
    """
    p, _, _ = updated(np.zeros(3), [np.full(3, 1e-8)], [0.1], **SETTINGS)
    np.testing.assert_allclose(p, -0.1 * 1e-8 / (1e-8 + 1e-8), rtol=1e-12)


@given(seeds)
def test_the_first_update_changes_every_parameter_by_the_learning_rate(seed):
    """Because of the bias correction: m_hat is g, and v_hat is g^2."""
    p, g = draw(seed, (20,), (20,))
    after, _, _ = updated(p, [g], [0.01], **SETTINGS)
    np.testing.assert_allclose(after, p - 0.01 * np.sign(g), rtol=0, atol=1e-4)


def test_without_gradients_parameters_decay():
    after, _, _ = updated(np.ones(4), [np.zeros(4)] * 3, [0.5] * 3, **SETTINGS | {"weight_decay": 0.1})
    np.testing.assert_allclose(after, 0.95**3, rtol=1e-15)


@given(st.floats(0.1, 10), seeds)
def test_a_scale_is_the_same_as_scaled_gradients_and_scratch_changes_nothing(scale, seed):
    p, *gradients = draw(seed, *[(20,)] * 3)
    expected = updated(p, [scale * g for g in gradients], [0.1] * 2, **SETTINGS)
    for scratch in (None, np.full(20, np.nan)):
        for array, right in zip(updated(p, gradients, [0.1] * 2, scale=scale, scratch=scratch, **SETTINGS), expected):
            np.testing.assert_allclose(array, right, rtol=0, atol=1e-12 * max(scale**2, 1))


def test_gradients_are_not_changed():
    p, g = draw(0, (20,), (20,))
    before = g.copy()
    updated(p, [g], [0.1], **SETTINGS)
    assert (g == before).all()


@pytest.mark.parametrize("norm, limit, scale", [(5.0, 1.0, 0.2), (5.0, 4.0, 0.8), (5.0, 5.0, 1.0), (5.0, 6.0, 1.0),
                                                (5.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.0, 0.0, 1.0)])
def test_only_a_norm_above_the_limit_is_scaled_down_and_0_is_no_limit(norm, limit, scale):
    assert clip_scale(norm, limit) == scale
