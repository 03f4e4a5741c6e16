"""Footprint: what is said of memory is what is taken."""
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.scaling import peak_allocated
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import loss_and_gradients
from npgpt.model.parameters import initial_parameters, parameter_count
from npgpt.training.evaluation import evaluate
from npgpt.training.footprint import Footprint, footprint, visible_keys
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.training.trainer import TrainingSettings, initial_state, train

SIZES = {"vocab_size": 100, "n_positions": 64, "n_embd": 64, "n_layer": 2, "n_head": 4}
CONFIG = GPTConfig(**SIZES).without_dropout()


def allocated(work: Callable[[], object]) -> int:
    """The most bytes that the work holds at once, beyond those there before; what a first call alone makes is left out."""
    work()
    return peak_allocated(work)


@pytest.mark.parametrize("B, dtype, changes", [
    (8, np.float32, {}),
    (8, np.float64, {}),
    (8, np.float32, {"n_layer": 12, "n_embd": 32}),
    (1, np.float32, {"n_embd": 512}),                               # gradients outweigh the rest
    (2, np.float32, {"n_positions": 500, "n_head": 16}),            # and here attention's weights
    (8, np.float32, {"n_inner": 1000}),
    (8, np.float32, {"n_inner": 16}),
    (8, np.float32, {"vocab_size": 9000}),                          # the loss, before there are gradients
    (1, np.float32, {"vocab_size": 9000}),
    (8, np.float32, {"embd_pdrop": 0.1, "attn_pdrop": 0.1, "resid_pdrop": 0.1}),
])
def test_a_pass_takes_what_is_said(B, dtype, changes):
    config = GPTConfig(**{**SIZES, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0, **changes})
    parameters = initial_parameters(config, 0, dtype)
    ids = np.random.default_rng(0).integers(config.vocab_size, size=(B, config.n_positions))
    taken = allocated(lambda: loss_and_gradients(ids, ids, parameters, config, np.random.default_rng(0)))
    said = footprint(config, B, 1, dtype)
    assert said.gradients + said.activations == pytest.approx(taken, rel=0.03)


@pytest.mark.parametrize("B, changes", [(1, {"n_embd": 512}), (2, {"n_embd": 256, "n_layer": 6}), (1, {"vocab_size": 9000})])
def test_a_pass_of_threads_that_share_layers_takes_what_is_said(B, changes):
    config = GPTConfig(**{**SIZES, **changes}).without_dropout()
    parameters = initial_parameters(config)
    ids = np.random.default_rng(0).integers(config.vocab_size, size=(B, config.n_positions))
    with parallel_gradients(2) as gradients_of:
        taken = allocated(lambda: gradients_of(ids, ids, parameters, config))
    said = footprint(config, B, 2, np.float32)
    assert said.gradients + said.activations == pytest.approx(taken, rel=0.05)


@pytest.mark.parametrize("B, threads, accumulate, vectors", [(8, 1, 1, 1), (8, 4, 1, 4), (8, 4, 3, 5), (2, 4, 1, 1)])
def test_threads_have_a_gradient_each_and_batches_that_add_up_a_sum(B, threads, accumulate, vectors):
    vector = 8 * parameter_count(CONFIG)
    said = footprint(CONFIG, B, threads, np.float64, accumulate)
    assert (said.parameters, said.gradients, said.moments) == (vector, vectors * vector, 2 * vector)


def test_accumulating_takes_one_gradient_more_however_many_batches():
    tokens = np.zeros(1000, int)

    def make_a_step(accumulate: int) -> None:
        settings = TrainingSettings(steps=1, batch_size=1, accumulate=accumulate)
        list(train(initial_state(initial_parameters(CONFIG), CONFIG, settings), CONFIG, settings, tokens))

    one, two, four = (allocated(lambda: make_a_step(accumulate)) for accumulate in (1, 2, 4))
    vector = 4 * parameter_count(CONFIG)
    assert two - one == pytest.approx(vector, rel=0.05) and four == pytest.approx(two, rel=0.01)


def test_evaluation_holds_one_batch_at_a_time():
    parameters = initial_parameters(CONFIG)
    one, four = (allocated(lambda: evaluate(parameters, CONFIG, np.zeros(n * 8 * 64 + 1, int), 8)) for n in (1, 4))
    assert four == pytest.approx(one, rel=0.02)


def test_the_total_has_the_process_too():
    assert Footprint(1, 2, 3, 4).total > 30 * 2**20 + 10


@pytest.mark.parametrize("T, keys", [(1, 1), (64, 64), (128, 96), (96, (64 * 64 + 32 * 96) // 96)])
def test_a_query_meets_the_keys_up_to_the_end_of_its_block(T, keys):
    assert visible_keys(T) == keys
