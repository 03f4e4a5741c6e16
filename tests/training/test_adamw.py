"""AdamW against the paper, one parameter at a time; and clipping."""
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.model.config import GPTConfig
from npgpt.model.parameters import decays, named_views, parameter_count
from npgpt.training.adamw import AdamW, clip_scale, norm

CONFIG = GPTConfig(vocab_size=5, n_positions=3, n_embd=4, n_layer=2, n_head=2)
LARGER = GPTConfig(vocab_size=70_000, n_positions=3, n_embd=8, n_layer=1, n_head=2)      # more than half a million parameters
seeds = st.integers(0, 10**6)


def textbook(parameters, gradients, rates, decay, beta1, beta2, eps=1e-8):
    """Loshchilov and Hutter 2019, algorithm 2, as it is printed: p after one update for each rate, in float64."""
    p, m, v = parameters.astype(np.float64), 0.0, 0.0
    for t, (g, rate) in enumerate(zip(gradients, rates), 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        p = p - rate * (m_hat / (np.sqrt(v_hat) + eps) + decay * p)
    return p


def draw(config, seed, steps):
    rng = np.random.default_rng(seed)
    parameters, *gradients = rng.standard_normal((steps + 1, parameter_count(config)))
    return parameters, gradients, rng.uniform(0, 0.1, steps)


def require_textbook(config, seed, dtype, rtol, **settings):
    before, gradients, rates = draw(config, seed, 4)
    parameters = before.astype(dtype)
    optimiser = AdamW(parameters, config, **settings)
    for gradient, rate in zip(gradients, rates):
        optimiser.update(parameters, gradient.astype(dtype), float(rate))
    assert parameters.dtype == dtype
    weight_decay = settings.pop("weight_decay")
    slots = named_views(np.arange(len(before)), config)
    for name, view in named_views(parameters, config).items():
        slot = slots[name]
        expected = textbook(before[slot], [g[slot] for g in gradients], rates, weight_decay * decays(name), **settings)
        np.testing.assert_allclose(view, expected, rtol=rtol, atol=rtol, err_msg=name)


@given(seeds, st.floats(0.5, 0.95), st.floats(0.5, 0.999), st.floats(0, 1))
def test_several_updates_are_those_of_the_paper_and_decay_goes_by_name(seed, beta1, beta2, weight_decay):
    require_textbook(CONFIG, seed, np.float64, 1e-12, beta1=beta1, beta2=beta2, weight_decay=weight_decay)


def test_large_models_are_updated_to_the_last_entry():
    require_textbook(LARGER, 0, np.float64, 1e-12, beta1=0.9, beta2=0.99, weight_decay=0.1)


@pytest.mark.parametrize("config", [CONFIG, LARGER])
def test_threads_change_nothing(config):
    before, gradients, rates = draw(config, 0, 3)
    results = []
    for threads in (1, 2, 3):
        parameters = before.copy()
        optimiser = AdamW(parameters, config, threads=threads)
        for gradient, rate in zip(gradients, rates):
            optimiser.update(parameters, gradient, float(rate))
        results.append(parameters.tobytes())
    assert results[0] == results[1] == results[2]


def test_float32_stays_float32_and_differs_by_rounding_only():
    require_textbook(LARGER, 0, np.float32, 1e-5, beta1=0.9, beta2=0.99, weight_decay=0.1)


def test_epsilon_is_added_to_the_root_after_its_correction():
    """It matters where gradients are about as small as epsilon: here the first step would be 3 times as long."""
    parameters = np.zeros(parameter_count(CONFIG))
    optimiser = AdamW(parameters, CONFIG, beta1=0.9, beta2=0.99, weight_decay=0.0, eps=1e-8)
    optimiser.update(parameters, np.full_like(parameters, 1e-8), 0.1)
    np.testing.assert_allclose(parameters, -0.1 * 1e-8 / (1e-8 + 1e-8), rtol=1e-12)


@given(seeds)
def test_the_first_update_moves_every_parameter_by_the_rate(seed):
    parameters, (gradient, *_), _ = draw(CONFIG, seed, 1)
    after = parameters.copy()
    AdamW(after, CONFIG, weight_decay=0.0).update(after, gradient, 0.01)
    np.testing.assert_allclose(after, parameters - 0.01 * np.sign(gradient), rtol=0, atol=1e-4)


def test_without_a_gradient_only_matrices_and_embeddings_shrink():
    parameters = np.ones(parameter_count(CONFIG))
    optimiser = AdamW(parameters, CONFIG, weight_decay=0.1)
    for _ in range(3):
        optimiser.update(parameters, np.zeros_like(parameters), 0.5)
    for name, view in named_views(parameters, CONFIG).items():
        np.testing.assert_allclose(view, 0.95**3 if decays(name) else 1, rtol=1e-15, err_msg=name)


def test_the_gradient_is_only_read():
    parameters, (gradient, *_), _ = draw(CONFIG, 0, 1)
    before = gradient.copy()
    AdamW(parameters, CONFIG).update(parameters, gradient, 0.1)
    assert (gradient == before).all()


@given(seeds, st.floats(0.1, 10))
def test_a_scale_is_the_same_as_scaled_gradients(seed, scale):
    parameters, gradients, _ = draw(CONFIG, seed, 3)
    told, done = parameters.copy(), parameters.copy()
    told_optimiser, done_optimiser = AdamW(told, CONFIG), AdamW(done, CONFIG)
    for gradient in gradients:
        told_optimiser.update(told, gradient, 0.1, scale)
        done_optimiser.update(done, gradient * scale, 0.1)
    np.testing.assert_allclose(told, done, rtol=0, atol=1e-13)       # the scale is multiplied in at other places


@given(st.integers(1, 100), seeds)
def test_the_norm_is_euclids(size, seed):
    gradient = np.random.default_rng(seed).standard_normal(size)
    assert norm(gradient) == pytest.approx(math.sqrt(math.fsum(g * g for g in gradient)), rel=1e-14)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_norm_of_what_is_no_number_is_none_either(bad):
    assert not math.isfinite(norm(np.array([1.0, bad])))


@pytest.mark.parametrize("length, limit, scale", [(5.0, 1.0, 0.2), (5.0, 4.0, 0.8), (5.0, 5.0, 1.0), (5.0, 6.0, 1.0),
                                                  (5.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.0, 0.0, 1.0)])
def test_only_a_gradient_longer_than_the_limit_is_shortened_and_0_is_no_limit(length, limit, scale):
    assert clip_scale(length, limit) == scale
