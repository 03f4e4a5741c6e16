"""The optimiser: AdamW on the flat vector, in slices and on threads, with weight decay as the table says."""
import math
import threading

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, seeds
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import named_leaves, named_views, parameter_count
from npgpt.training import optimiser as module
from npgpt.training.optimiser import Optimiser
from npgpt.training.adamw import adamw

TABLE = language_model_table(GPTConfig(vocab_size=5, n_positions=3, n_embd=4, n_layer=2, n_head=2))
LARGER = language_model_table(GPTConfig(vocab_size=280_000, n_positions=3, n_embd=8, n_layer=1, n_head=2))


def draw_arguments(table, seed=0, steps=3):
    """Parameters, gradients and learning rates."""
    parameters, *gradients = draw(seed, *[(parameter_count(table),)] * (steps + 1))
    return parameters, gradients, np.random.default_rng(seed).uniform(0, 0.1, steps).tolist()


def updated(table, parameters, gradients, learning_rates, scale=1.0, **settings):
    """Parameters after the updates, and the optimiser."""
    parameters = parameters.copy()
    optimiser = Optimiser(parameters, table, **settings)
    for gradient, learning_rate in zip(gradients, learning_rates):
        optimiser.update(parameters, gradient, learning_rate, scale)
    return parameters, optimiser


def require_adamw(table, seed, dtype, tolerance, beta1, beta2, weight_decay):
    """That every parameter is what adamw makes of it, with weight decay or without."""
    parameters, gradients, learning_rates = draw_arguments(table, seed)
    parameters, gradients = parameters.astype(dtype), [gradient.astype(dtype) for gradient in gradients]
    after, optimiser = updated(table, parameters, gradients, learning_rates, beta1=beta1, beta2=beta2, weight_decay=weight_decay)
    assert after.dtype == optimiser.m.dtype == optimiser.v.dtype == dtype and optimiser.t == len(gradients)
    views = [named_views(vector, table) for vector in (after, parameters, optimiser.m, optimiser.v)]
    for name, row in named_leaves(table):
        result, p, m, v = (view[name] for view in views)
        expected_m, expected_v = np.zeros_like(p), np.zeros_like(p)
        for t, (gradient, learning_rate) in enumerate(zip(gradients, learning_rates), 1):
            adamw(p, named_views(gradient, table)[name], expected_m, expected_v, t, learning_rate, beta1, beta2, 1e-8,
                  weight_decay if row.decays else 0.0)
        for array, expected in ((result, p), (m, expected_m), (v, expected_v)):
            np.testing.assert_allclose(array, expected, rtol=tolerance, atol=tolerance, err_msg=name)


@given(seeds, st.floats(0.5, 0.95), st.floats(0.5, 0.999), st.floats(0, 1))
def test_updates_are_those_of_adamw_and_decay_as_the_table_says(seed, beta1, beta2, weight_decay):
    require_adamw(TABLE, seed, np.float64, 1e-12, beta1, beta2, weight_decay)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_large_models_are_updated_to_the_last_entry(dtype, tolerance):
    require_adamw(LARGER, 0, dtype, tolerance, 0.9, 0.99, 0.1)


@pytest.mark.parametrize("table", [TABLE, LARGER], ids=["few slices", "many slices"])
def test_threads_change_nothing(table):
    parameters, gradients, learning_rates = draw_arguments(table)
    results = [updated(table, parameters, gradients, learning_rates, threads=threads) for threads in (1, 2, 3)]
    assert len({after.tobytes() for after, _ in results}) == 1
    assert len({optimiser.m.tobytes() + optimiser.v.tobytes() for _, optimiser in results}) == 1
    norms = [optimiser.norm(gradients[0]) for _, optimiser in results]
    assert norms == pytest.approx([norms[0]] * 3, rel=1e-15)


def test_a_large_model_is_updated_by_several_threads(monkeypatch):
    seen, everybody = set(), threading.Barrier(2, timeout=10)

    def watch(*arguments, **settings):
        if threading.get_ident() not in seen:
            seen.add(threading.get_ident())
            everybody.wait()
        adamw(*arguments, **settings)
    monkeypatch.setattr(module, "adamw", watch)
    updated(LARGER, *draw_arguments(LARGER, steps=1), threads=2)
    assert len(seen) == 2


def test_closed_it_has_no_threads_and_computes_the_same():
    before = set(threading.enumerate())
    parameters, gradients, learning_rates = draw_arguments(LARGER, steps=2)
    expected, _ = updated(LARGER, parameters, gradients, learning_rates)
    optimiser = Optimiser(parameters, LARGER, threads=3)
    optimiser.update(parameters, gradients[0], learning_rates[0])
    assert set(threading.enumerate()) - before             # as many as were needed, up to three
    optimiser.close()
    assert not set(threading.enumerate()) - before
    optimiser.update(parameters, gradients[1], learning_rates[1])
    assert (parameters == expected).all()


def test_without_gradients_only_matrices_and_tables_shrink():
    parameters = np.ones(parameter_count(TABLE))
    after, _ = updated(TABLE, parameters, [np.zeros_like(parameters)] * 3, [0.5] * 3, weight_decay=0.1)
    for (name, row), view in zip(named_leaves(TABLE), named_views(after, TABLE).values()):
        np.testing.assert_allclose(view, 0.95**3 if row.decays else 1, rtol=1e-15, err_msg=name)


def test_gradients_are_not_changed():
    parameters, gradients, learning_rates = draw_arguments(TABLE)
    before = [gradient.copy() for gradient in gradients]
    updated(TABLE, parameters, gradients, learning_rates, scale=0.5)
    assert all((gradient == copy).all() for gradient, copy in zip(gradients, before))


@given(seeds, st.floats(0.1, 10))
def test_a_scale_is_the_same_as_scaled_gradients(seed, scale):
    parameters, gradients, learning_rates = draw_arguments(TABLE, seed)
    scaled, _ = updated(TABLE, parameters, gradients, learning_rates, scale)
    expected, _ = updated(TABLE, parameters, [gradient * scale for gradient in gradients], learning_rates)
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-13)


@given(seeds, st.integers(1, 3))
def test_the_norm_is_euclidean(seed, threads):
    gradient, = draw(seed, (parameter_count(TABLE),))
    expected = math.sqrt(math.fsum(g * g for g in gradient))
    assert Optimiser(gradient, TABLE, threads=threads).norm(gradient) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, -1])
def test_the_norm_of_nan_or_infinite_gradients_is_nan_or_infinite(bad, place):
    gradient = np.ones(parameter_count(TABLE))
    gradient[place] = bad
    assert not math.isfinite(Optimiser(gradient, TABLE).norm(gradient))
