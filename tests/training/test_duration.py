"""Duration: the time that is foretold is the time that is taken."""
import dataclasses

import numpy as np
import pytest

from npgpt.model.config import GPTConfig
from npgpt.model.presets import preset
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.tasks.masked_language_modelling import MaskedLanguageModelling
from npgpt.training import duration
from npgpt.training.duration import (PER_UPDATE, gradient_operations, operations, reduced, step_seconds, task_step_seconds,
                                     update_operations)
from npgpt.training.settings import TrainingSettings

SMALL = GPTConfig(vocab_size=103, n_positions=64, n_embd=128, n_layer=4, n_head=4)
LARGE = GPTConfig(n_embd=1600, n_layer=48, n_head=25)


def test_operations_are_those_of_the_matrix_products():
    """Counted by hand: a multiplication and an addition for each weight and token, three times; attention has no mask."""
    B, T, C, V, F = 2, 5, 6, 7, 11
    config = GPTConfig(vocab_size=V, n_positions=T, n_embd=C, n_layer=3, n_head=2, n_inner=F)
    products = [(B * T, C, 3 * C), (B * T, C, C), (B * T, C, F), (B * T, F, C), (B * T, C, T), (B * T, T, C)] * 3 + [(B * T, C, V)]
    assert gradient_operations(config, B) == 3 * sum(2 * m * k * n for m, k, n in products)


def test_of_a_banded_layer_only_the_band_is_counted():
    """Two of five layers attend to W positions instead of T, in two products."""
    dense = GPTConfig(vocab_size=7, n_positions=20, n_embd=6, n_layer=5, n_head=2)
    for window, saved in ((3, 17), (20, 0), (99, 0)):
        banded = dataclasses.replace(dense, window_size=window)
        assert gradient_operations(dense, 4) - gradient_operations(banded, 4) == 2 * 2 * 6 * 4 * 20 * 6 * saved


@pytest.mark.parametrize("config", [preset("gpt3-175b"), GPTConfig(n_embd=2**20, n_head=1), GPTConfig(n_inner=3 * 2**20)])
def test_of_a_model_with_huge_layers_a_narrower_one_is_measured(config):
    part, _ = reduced(config, 4, 2)
    assert operations(part, 2) <= duration.LARGEST and part.n_embd < config.n_embd
    assert part.inner / part.n_embd == config.inner / config.n_embd


def test_a_small_model_is_measured_as_it_is():
    assert reduced(SMALL, 12, 2) == (SMALL, 12)


@pytest.mark.parametrize("batch_size, threads", [(12, 2), (1, 2), (8, 3), (512, 1)])
def test_a_large_model_is_measured_in_part_but_at_its_width_and_with_an_example_for_each_thread(batch_size, threads):
    part, examples = reduced(LARGE, batch_size, threads)
    assert operations(part, examples) <= duration.LARGEST < operations(LARGE, batch_size)
    assert (part.n_embd, part.n_head) == (1600, 25) and examples == min(batch_size, threads)


def test_only_the_batch_is_reduced_where_that_is_enough():
    config = GPTConfig(vocab_size=65, n_positions=256, n_embd=384, n_layer=6, n_head=6)
    part, examples = reduced(config, 8, 2)
    assert part == config and 2 <= examples < 8


@pytest.mark.parametrize("config, batch_size, accumulate", [(SMALL, 12, 1), (SMALL, 12, 5), (LARGE, 4, 1), (LARGE, 4, 3)])
def test_a_part_is_scaled_up_by_its_operations(monkeypatch, config, batch_size, accumulate):
    """On a machine that makes 10^9 of them in a second."""
    monkeypatch.setattr(duration, "measured_seconds", lambda config, size, threads, dtype: operations(config, size) / 1e9)
    settings = TrainingSettings(batch_size=batch_size, accumulate=accumulate)
    expected = accumulate * gradient_operations(config, batch_size) + update_operations(config)
    assert step_seconds(config, settings, 2, np.dtype("float32")) == pytest.approx(expected / 1e9, rel=1e-12)


@pytest.mark.parametrize("name, batch_size, threads, measured", [
    ("bert-base", 32, 2, 2), ("bert-base", 32, 3, 3), ("bert-base", 1, 2, 1), ("bert-small", 32, 2, 32)])
def test_of_a_large_batch_of_any_task_some_examples_are_measured_and_scaled_up(monkeypatch, name, batch_size, threads, measured):
    config, sizes = preset(name), []

    def operations_of(task, size, threads, dtype):
        sizes.append(size)
        return 6 * config.n_positions * size + PER_UPDATE
    monkeypatch.setattr(duration, "median_seconds", operations_of)
    settings = TrainingSettings(batch_size=batch_size, accumulate=3)
    seconds = task_step_seconds(MaskedLanguageModelling(config), settings, threads, np.dtype("float32"))
    assert sizes == [measured]
    assert seconds == pytest.approx(3 * 6 * config.n_positions * batch_size + PER_UPDATE, rel=1e-12)


def test_steps_are_measured_without_the_first_one(monkeypatch):
    """Each gradient takes longer than the one before, on a clock of their own."""
    now, gradients, calls = 0.0, LanguageModelling.loss_and_gradients, []

    def take_time(self, *arguments, **settings):
        nonlocal now
        calls.append(len(calls))
        now += [100.0, 0.25, 0.5, 0.75][len(calls) - 1]
        return gradients(self, *arguments, **settings)
    monkeypatch.setattr(LanguageModelling, "loss_and_gradients", take_time)
    monkeypatch.setattr("time.perf_counter", lambda: now)
    assert duration.measured_seconds(SMALL, 1, 1, np.dtype("float32")) == pytest.approx(0.375)
    assert len(calls) == duration.LEAST


def test_breakpoints_are_not_for_the_measurement(monkeypatch):
    def layer(*arguments, original=LanguageModelling.loss_and_gradients, **settings):
        breakpoint()
        return original(*arguments, **settings)
    monkeypatch.setattr(LanguageModelling, "loss_and_gradients", layer)
    monkeypatch.setattr("sys.breakpointhook", lambda: pytest.fail("stopped"))
    monkeypatch.setattr(duration, "SECONDS", 0.0)
    assert duration.measured_seconds(SMALL, 1, 1, np.dtype("float32")) > 0
