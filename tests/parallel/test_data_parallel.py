"""Gradients on several threads, by parts of the batch or by parts of the layers, are those on one."""
import threading

import numpy as np
import pytest

from helpers import draw_tokens
from npgpt.checking.model import check_model, unit_scale_parameters
from npgpt.layers.cross_entropy import IGNORED
from npgpt.layers.feed_forward import feed_forward
from npgpt.model.config import GPTConfig
from npgpt.model.layers import PLAIN
from npgpt.parallel import blas, data_parallel, tensor_parallel
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch

DROPPING = LanguageModelling(GPTConfig(vocab_size=7, n_positions=5, n_embd=6, n_layer=2, n_head=2, n_inner=9))
TASK = LanguageModelling(DROPPING.config.without_dropout())
divided_or_not = pytest.mark.parametrize("B", [4, 1], ids=["data-parallel", "tensor-parallel"])


@pytest.fixture
def blas_switch():
    """The functions that set and get BLAS's threads."""
    return blas.find_blas_threads() or pytest.skip("the number of threads of this NumPy's BLAS cannot be set")


def draw_arguments(B, seed=0):
    return draw_tokens(TASK.config, B, 5, seed), unit_scale_parameters(TASK.table, np.random.default_rng(seed))


@pytest.mark.parametrize("threads", [2, 3, 4])
@pytest.mark.parametrize("B", [1, 2, 3, 7])
def test_parts_add_up_to_the_whole(B, threads):
    """Also where the parts differ in size and in how many targets count, and where one has none."""
    batch, parameters = draw_arguments(B)
    batch.targets[-1] = IGNORED
    batch.targets[0, :2] = IGNORED
    loss, gradients = TASK.loss_and_gradients(batch, parameters)
    with parallel_gradients(TASK, threads) as loss_and_gradients:
        parallel_loss, parallel = loss_and_gradients(batch, parameters)
    assert parallel_loss == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(parallel, gradients, rtol=0, atol=1e-13 * np.abs(gradients).max())


@divided_or_not
def test_a_fraction_scales_and_gradients_are_written_into_out(B):
    batch, parameters = draw_arguments(B)
    loss, gradients = TASK.loss_and_gradients(batch, parameters)
    with parallel_gradients(TASK, 2) as loss_and_gradients:
        for _ in range(2):                              # the second call finds the arrays of the first
            out = np.full_like(parameters, np.nan)
            parallel_loss, parallel = loss_and_gradients(batch, parameters, fraction=0.25, out=out)
            assert parallel is out and parallel_loss == pytest.approx(0.25 * loss, rel=1e-13)
            np.testing.assert_allclose(out, 0.25 * gradients, rtol=0, atol=1e-13 * np.abs(gradients).max())


@divided_or_not
def test_every_gradient_is_right_on_two_threads(B):
    with parallel_gradients(TASK, 2) as loss_and_gradients:
        check_model(TASK, draw_tokens(TASK.config, B, 4), methods=["complex"], loss_and_gradients=loss_and_gradients).require()


@divided_or_not
def test_the_same_seed_and_threads_give_the_same_bytes_with_dropout(B):
    batch, parameters = draw_arguments(B)
    with parallel_gradients(DROPPING, 2) as loss_and_gradients:
        one, again, other = (loss_and_gradients(batch, parameters, np.random.default_rng(seed))[1].copy() for seed in (1, 1, 2))
    assert one.tobytes() == again.tobytes() and (one != other).any()


def test_parts_have_dropout_masks_of_their_own():
    """Two equal sequences, one to each thread: with one mask for both, both parts would be equal."""
    (ids, targets), parameters = draw_arguments(1)
    twice = TokenBatch(np.repeat(ids, 2, axis=0), np.repeat(targets, 2, axis=0))
    with parallel_gradients(DROPPING, 2) as loss_and_gradients:
        both = loss_and_gradients(twice, parameters, np.random.default_rng(0))[1]
    first_rng = np.random.default_rng(np.random.default_rng(0).integers(2**63))
    first = DROPPING.loss_and_gradients(TokenBatch(ids, targets), parameters, first_rng)[1]
    assert not np.allclose(both, first)


def test_on_one_thread_it_is_the_tasks_own_function():
    with parallel_gradients(TASK, 1) as loss_and_gradients:
        assert loss_and_gradients == TASK.loss_and_gradients


def test_an_exception_in_a_thread_is_raised():
    batch, parameters = draw_arguments(4)
    batch.ids[-1, -1] = 99
    with parallel_gradients(TASK, 2) as loss_and_gradients, pytest.raises(IndexError, match="99"):
        loss_and_gradients(batch, parameters)


def test_blas_has_one_thread_meanwhile_and_its_own_number_afterwards(blas_switch):
    before = blas_switch.get()
    try:
        blas_switch.set(2)
        with parallel_gradients(TASK, 2):
            assert blas_switch.get() == 1
        assert blas_switch.get() == 2
        with pytest.raises(KeyError), parallel_gradients(TASK, 2):
            raise KeyError
        assert blas_switch.get() == 2
    finally:
        blas_switch.set(before)


def threads_of_a_layer(monkeypatch, B):
    """How many threads compute feed_forward for a batch, with two at hand."""
    seen = set()

    def watch(*arguments):
        seen.add(threading.get_ident())
        return feed_forward(*arguments)

    monkeypatch.setattr(tensor_parallel, "feed_forward", watch)
    monkeypatch.setattr(data_parallel, "PLAIN", PLAIN._replace(feed_forward=watch))
    with parallel_gradients(TASK, 2) as loss_and_gradients:
        loss_and_gradients(*draw_arguments(B))
    return len(seen)


def test_a_batch_with_fewer_examples_than_threads_has_its_layers_divided(monkeypatch, blas_switch):
    assert threads_of_a_layer(monkeypatch, B=1) == 2


def test_where_blas_cannot_be_limited_layers_are_left_to_its_own_threads(monkeypatch):
    monkeypatch.setattr(blas, "find_blas_threads", lambda: None)
    assert threads_of_a_layer(monkeypatch, B=1) == 1


def test_where_blas_cannot_be_limited_it_works_and_says_so_once(monkeypatch, capsys):
    monkeypatch.setattr(blas, "find_blas_threads", lambda: None)
    batch, parameters = draw_arguments(4)
    with parallel_gradients(TASK, 2) as loss_and_gradients:
        for _ in range(2):
            loss, _ = loss_and_gradients(batch, parameters)
    assert loss == pytest.approx(TASK.loss_and_gradients(batch, parameters)[0], rel=1e-13)
    assert capsys.readouterr().err.count("cannot be set") == 1


def test_a_batch_is_divided_if_it_has_an_example_for_each_thread():
    task = LanguageModelling(GPTConfig(vocab_size=5, n_positions=64, n_embd=8, n_layer=1, n_head=1))
    zeros = np.zeros((3, 64), int)
    assert [data_parallel.divides(TokenBatch(zeros, zeros), task, threads) for threads in (1, 2, 3, 4)] == [False, True, True, False]
