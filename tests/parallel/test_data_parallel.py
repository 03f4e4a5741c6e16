"""Threads: a batch in parts, and layers in parts, have the loss and the gradient of the whole."""
import threading

import numpy as np
import pytest

from npgpt.checking.model import check_model, unit_scale_parameters
from npgpt.layers.cross_entropy import IGNORED
from npgpt.layers.feed_forward import feed_forward
from npgpt.parallel import blas
from npgpt.model import shared
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import loss_and_gradients
from npgpt.model.layers import PLAIN
from npgpt.training import parallel
from npgpt.parallel.data_parallel import parallel_gradients

CONFIG = GPTConfig(vocab_size=7, n_positions=5, n_embd=6, n_layer=2, n_head=2, n_inner=9).without_dropout()
DROPPING = GPTConfig(vocab_size=7, n_positions=5, n_embd=6, n_layer=2, n_head=2, n_inner=9)


def draw(B, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(7, size=(B, 5)), rng.integers(7, size=(B, 5)), unit_scale_parameters(CONFIG, rng)


@pytest.mark.parametrize("threads", [2, 3, 4])
@pytest.mark.parametrize("B", [1, 2, 3, 7])
def test_parts_add_up_to_the_whole(B, threads):
    """Also where the parts differ in size, in how many targets count, and where one has none."""
    ids, targets, parameters = draw(B)
    targets[-1] = IGNORED
    targets[0, :2] = IGNORED
    loss, gradients = loss_and_gradients(ids, targets, parameters, CONFIG)
    with parallel_gradients(threads) as split:
        split_loss, split_gradients = split(ids, targets, parameters, CONFIG)
    assert split_loss == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(split_gradients, gradients, rtol=0, atol=1e-13 * np.abs(gradients).max())


@pytest.mark.parametrize("batch_size", [3, 1], ids=["a batch that is split", "layers that are shared"])
def test_every_gradient_is_right_with_threads(batch_size):
    with parallel_gradients(2) as split:
        check_model(CONFIG, batch_size, length=4, methods=["complex"], gradients=split).require()


@pytest.mark.parametrize("batch_size", [4, 1], ids=["a batch that is split", "layers that are shared"])
def test_the_same_generator_and_threads_give_the_same_bytes_with_dropout(batch_size):
    ids, targets, parameters = draw(batch_size)
    with parallel_gradients(2) as split:
        one, again, other = (split(ids, targets, parameters, DROPPING, np.random.default_rng(seed))[1] for seed in (1, 1, 2))
    assert one.tobytes() == again.tobytes() and (one != other).any()


def test_parts_drop_different_entries():
    """Two equal sequences, one to each thread: with one mask for both, both parts would be equal."""
    ids, targets, parameters = draw(1)
    ids, targets = np.repeat(ids, 2, axis=0), np.repeat(targets, 2, axis=0)
    with parallel_gradients(2) as split:
        both = split(ids, targets, parameters, DROPPING, np.random.default_rng(0))[1]
    rng = np.random.default_rng(0)
    first = loss_and_gradients(ids[:1], targets[:1], parameters, DROPPING, np.random.default_rng(rng.integers(2**63)))[1]
    assert not np.allclose(both, first)


def test_one_thread_is_the_plain_function():
    with parallel_gradients(1) as split:
        assert split is loss_and_gradients


def test_what_a_worker_raises_is_raised_here():
    ids, targets, parameters = draw(4)
    ids[-1, -1] = 99
    with parallel_gradients(2) as split, pytest.raises(IndexError, match="99"):
        split(ids, targets, parameters, CONFIG)


def test_blas_is_held_to_one_thread_for_the_while_and_put_back():
    switch = blas.find_blas_threads()
    if switch is None:
        pytest.skip("this NumPy's BLAS has no switch")
    before = switch.get()
    try:
        switch.set(2)
        with parallel_gradients(2):
            assert switch.get() == 1
        assert switch.get() == 2
        with pytest.raises(KeyError), parallel_gradients(2):
            raise KeyError
        assert switch.get() == 2
    finally:
        switch.set(before)


def threads_of_layers(monkeypatch, batch_size):
    """In how many threads feed_forward runs while two threads work on a batch."""
    seen = set()

    def watch(*arguments):
        seen.add(threading.get_ident())
        return feed_forward(*arguments)

    monkeypatch.setattr(shared, "feed_forward", watch)
    monkeypatch.setattr(parallel, "PLAIN", PLAIN._replace(feed_forward=watch))
    with parallel_gradients(2) as gradients_of:
        gradients_of(*draw(batch_size), CONFIG)
    return len(seen)


def test_a_batch_smaller_than_the_threads_has_its_layers_shared(monkeypatch):
    if blas.find_blas_threads() is None:
        pytest.skip("this NumPy's BLAS has no switch")
    assert threads_of_layers(monkeypatch, batch_size=1) == 2


def test_a_blas_that_cannot_be_held_shares_its_products_itself(monkeypatch):
    monkeypatch.setattr(blas, "find_blas_threads", lambda: None)
    assert threads_of_layers(monkeypatch, batch_size=1) == 1


def test_without_a_switch_it_works_and_says_so_once(monkeypatch, capsys):
    monkeypatch.setattr(blas, "find_blas_threads", lambda: None)
    ids, targets, parameters = draw(4)
    with parallel_gradients(2) as split:
        for _ in range(2):
            loss, _ = split(ids, targets, parameters, CONFIG)
    assert loss == pytest.approx(loss_and_gradients(ids, targets, parameters, CONFIG)[0], rel=1e-13)
    assert capsys.readouterr().err.count("cannot be held") == 1
