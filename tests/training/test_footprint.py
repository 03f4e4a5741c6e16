"""Footprint: the memory that is foretold is the memory that is taken."""
import numpy as np
import pytest

from npgpt.model.config import GPTConfig
from npgpt.model.parameters import initial_parameters, parameter_count
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch
from npgpt.text.corpus import Corpus
from npgpt.training.evaluation import evaluate
from npgpt.training.footprint import Footprint, footprint, peak_allocated
from npgpt.training.trainer import TrainingSettings, initial_state, train

SIZES = {"vocab_size": 100, "n_positions": 64, "n_embd": 64, "n_layer": 2, "n_head": 4}
CONFIG = GPTConfig(**SIZES).without_dropout()


def allocated(work) -> int:
    """Without what only a first call allocates."""
    work()
    return peak_allocated(work)


def taken(config, B, dtype, threads=1):
    """Bytes that a pass allocates, its gradients included."""
    task = LanguageModelling(config)
    parameters = initial_parameters(task.table, 0, dtype)
    ids = np.random.default_rng(0).integers(config.vocab_size, size=(B, config.n_positions))
    with parallel_gradients(task, threads) as loss_and_gradients:
        return allocated(lambda: loss_and_gradients(TokenBatch(ids, ids), parameters, np.random.default_rng(0)))


@pytest.mark.parametrize("B, dtype, changes", [
    (8, np.float32, {}),
    (8, np.float64, {}),
    (8, np.float32, {"n_layer": 12, "n_embd": 32}),
    (1, np.float32, {"n_embd": 512}),                               # gradients outweigh the rest
    (2, np.float32, {"n_positions": 500, "n_head": 16}),            # and here attention's weights
    (1, np.float32, {"n_positions": 1900, "n_head": 2}),            # longer than what is measured
    (2, np.float32, {"n_positions": 500, "n_head": 16, "n_layer": 5, "window_size": 50}),
    (8, np.float32, {"n_inner": 1000}),
    (8, np.float32, {"n_inner": 16}),
    (8, np.float32, {"vocab_size": 9000}),                          # the loss, before the backward pass
    (1, np.float32, {"vocab_size": 9000}),
    (8, np.float32, {"embd_pdrop": 0.1, "attn_pdrop": 0.1, "resid_pdrop": 0.1}),
])
def test_a_pass_takes_what_is_foretold(B, dtype, changes):
    config = GPTConfig(**{**SIZES, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0, **changes})
    foretold = footprint(LanguageModelling(config), B, 1, dtype)
    assert foretold.gradients + foretold.activations == pytest.approx(taken(config, B, dtype), rel=0.03)


@pytest.mark.parametrize("B, changes", [(1, {"n_embd": 512}), (2, {"n_embd": 256, "n_layer": 6}), (1, {"vocab_size": 9000})])
def test_a_tensor_parallel_pass_takes_what_is_foretold(B, changes):
    config = GPTConfig(**{**SIZES, **changes}).without_dropout()
    foretold = footprint(LanguageModelling(config), B, 2, np.float32)
    assert foretold.gradients + foretold.activations == pytest.approx(taken(config, B, np.float32, threads=2), rel=0.05)


@pytest.mark.parametrize("B, threads, accumulate, vectors", [(8, 1, 1, 1), (8, 4, 1, 4), (8, 4, 3, 5), (2, 4, 1, 1)])
def test_threads_have_a_gradient_vector_each_and_accumulation_one_more(B, threads, accumulate, vectors):
    vector = 8 * parameter_count(LanguageModelling(CONFIG).table)
    foretold = footprint(LanguageModelling(CONFIG), B, threads, np.float64, accumulate)
    assert (foretold.parameters, foretold.gradients, foretold.moments) == (vector, vectors * vector, 2 * vector)


def test_accumulating_takes_one_gradient_vector_more_however_many_batches():
    task = LanguageModelling(CONFIG, Corpus(np.zeros(1000, int), np.zeros(10, int)))

    def make_a_step(accumulate: int) -> None:
        settings = TrainingSettings(steps=1, batch_size=1, accumulate=accumulate)
        list(train(initial_state(initial_parameters(task.table), task, settings), task, settings))

    one, two, four = (allocated(lambda: make_a_step(accumulate)) for accumulate in (1, 2, 4))
    vector = 4 * parameter_count(task.table)
    assert two - one == pytest.approx(vector, rel=0.05) and four == pytest.approx(two, rel=0.01)


def test_the_batches_of_an_update_are_all_drawn_before_the_first_is_used():
    task = LanguageModelling(CONFIG, Corpus(np.zeros(1000, int), np.zeros(10, int)))
    drawn = peak_allocated(lambda: [task.training_batch(i, 100, np.random.default_rng(0)) for i in range(30)])
    one, thirty = (footprint(LanguageModelling(CONFIG), 100, 1, np.float32, accumulate).activations for accumulate in (1, 30))
    assert thirty - one == pytest.approx(drawn * 29 / 30, rel=0.1)


def test_evaluation_holds_one_batch_at_a_time():
    task = LanguageModelling(CONFIG)
    parameters = initial_parameters(task.table)
    one, four = (allocated(lambda: evaluate(task, parameters, task.batches(np.zeros(n * 8 * 64 + 1, int), 8))) for n in (1, 4))
    assert four == pytest.approx(one, rel=0.02)


def test_evaluation_does_not_keep_what_only_a_backward_pass_needs():
    """Four times as many layers take hardly more."""
    tasks = [LanguageModelling(GPTConfig(**{**SIZES, "n_layer": n})) for n in (2, 8)]
    few, many = (allocated(lambda: task.loss(next(task.batches(np.zeros(8 * 64 + 1, int), 8)), parameters))
                 for task in tasks for parameters in [initial_parameters(task.table)])
    assert many < 1.1 * few


def test_the_total_has_the_process_too():
    assert Footprint(1, 2, 3, 4).total > 30 * 2**20 + 10


def test_a_model_that_cannot_fit_is_not_measured():
    foretold = footprint(LanguageModelling(GPTConfig(n_embd=2**20, n_head=1, vocab_size=100)), 3 * 10**6, 1, np.float32)
    assert foretold.activations == 0 and foretold.total > 2**50
