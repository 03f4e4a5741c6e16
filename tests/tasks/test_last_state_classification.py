"""A second task: trainer, threads, evaluation, checker and optimiser know tasks, not language models."""
import dataclasses
import math

import numpy as np
import pytest

from last_state_classification import LastStateClassification
from npgpt.checking.model import check_model, unit_scale_parameters
from npgpt.model.config import GPTConfig
from npgpt.model.layers import PLAIN
from npgpt.model.parameters import initial_parameters, named_leaves, named_views
from npgpt.parallel.blas import find_blas_threads
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.training.optimiser import Optimiser
from npgpt.training.evaluation import evaluate
from npgpt.training.trainer import TrainingSettings, initial_state, train

CONFIG = GPTConfig(vocab_size=7, n_positions=4, n_embd=6, n_layer=2, n_head=2, n_inner=9).without_dropout()
DROPPING = dataclasses.replace(CONFIG, embd_pdrop=0.2, attn_pdrop=0.2, resid_pdrop=0.2)
TASK = LastStateClassification(CONFIG, K=3)


def draw_arguments(B, seed=0):
    rng = np.random.default_rng(seed)
    return TASK.training_batch(0, B, rng), unit_scale_parameters(TASK.table, rng)


@pytest.mark.parametrize("config", [CONFIG, DROPPING], ids=["without dropout", "with dropout"])
def test_every_gradient_by_complex_step(config):
    report = check_model(LastStateClassification(config, K=3), draw_arguments(4)[0], methods=["complex"]).require()
    assert {comparison.argument for comparison in report.comparisons} >= {"wte", "blocks.1.mlp.w_down", "heads.0.0", "heads.0.1"}
    assert report.worst("complex") <= 1e-12


@pytest.mark.parametrize("B", [1, 5], ids=["tensor-parallel", "data-parallel"])
def test_gradients_on_threads_are_those_on_one(B):
    batch, parameters = draw_arguments(B)
    loss, gradients = TASK.loss_and_gradients(batch, parameters)
    with parallel_gradients(TASK, threads=2) as loss_and_gradients:
        parallel_loss, parallel = loss_and_gradients(batch, parameters)
        check_model(TASK, batch, methods=["complex"], loss_and_gradients=loss_and_gradients).require()
    assert parallel_loss == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(parallel, gradients, rtol=0, atol=1e-13 * np.abs(gradients).max())


def test_a_large_batch_is_divided_and_a_single_sequence_has_its_layers_divided(monkeypatch):
    if find_blas_threads() is None:
        pytest.skip("the number of threads of this NumPy's BLAS cannot be set")
    seen, plain = [], TASK.loss_and_gradients

    def watch(batch, parameters, rng, fraction, out, layers=PLAIN):
        seen.append((len(batch[0]), layers is PLAIN))
        return plain(batch, parameters, rng, fraction, out, layers)

    monkeypatch.setattr(TASK, "loss_and_gradients", watch)
    with parallel_gradients(TASK, threads=2) as loss_and_gradients:
        loss_and_gradients(*draw_arguments(1))
        loss_and_gradients(*draw_arguments(5))
    assert seen[0] == (1, False) and sorted(seen[1:]) == [(2, True), (3, True)]


@pytest.mark.parametrize("threads", [1, 2])
def test_the_trainer_learns_the_rule(threads):
    """The class is the first id modulo 3: the last position must look back at it."""
    settings = TrainingSettings(steps=300, batch_size=16, learning_rate=0.02, warmup=5, weight_decay=0)
    state = initial_state(initial_parameters(TASK.table), TASK, settings)
    before = evaluate(TASK, state.parameters, TASK.validation_batches())
    with parallel_gradients(TASK, threads) as loss_and_gradients:
        steps = list(train(state, TASK, settings, loss_and_gradients))
    after = evaluate(TASK, state.parameters, TASK.validation_batches())
    assert steps[0].loss == pytest.approx(math.log(3), rel=0.05) == before
    assert steps[-1].loss < 0.1 and after < 0.1


def test_evaluation_is_the_mean_over_all_sequences():
    _, parameters = draw_arguments(1)
    batches = [draw_arguments(B, seed=B)[0] for B in (1, 4, 2)]
    whole = tuple(np.concatenate(arrays) for arrays in zip(*batches))
    assert evaluate(TASK, parameters, batches) == pytest.approx(float(TASK.loss(whole, parameters)), rel=1e-13)


def test_the_optimiser_decays_the_heads_matrix_and_not_its_bias():
    parameters = np.ones(len(initial_parameters(TASK.table)))
    Optimiser(parameters, TASK.table, weight_decay=0.1).update(parameters, np.zeros_like(parameters), 0.5)
    views = named_views(parameters, TASK.table)
    assert (views["heads.0.0"] == 0.95).all() and (views["heads.0.1"] == 1).all()
    assert all((views[name] == (0.95 if row.decays else 1)).all() for name, row in named_leaves(TASK.table))
