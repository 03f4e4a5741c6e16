"""BLAS's threads are limited while a context lasts, where the library has functions for it."""
import numpy as np
import pytest

from npgpt.parallel import blas
from npgpt.parallel.blas import BlasThreads, blas_threads, find_blas_threads


@pytest.fixture
def switch(monkeypatch):
    """Functions that set and get a number, at first 7."""
    state = [7]
    switch = BlasThreads(lambda count: state.append(count), lambda: state[-1])
    monkeypatch.setattr(blas, "find_blas_threads", lambda: switch)
    return switch


def test_threads_are_limited_while_the_context_lasts_and_restored(switch):
    with blas_threads(1) as limited:
        assert limited and switch.get() == 1
        with blas_threads(3):
            assert switch.get() == 3
        assert switch.get() == 1
    assert switch.get() == 7


def test_after_an_exception_the_number_is_restored_too(switch):
    with pytest.raises(KeyError), blas_threads(1):
        raise KeyError
    assert switch.get() == 7


def test_where_the_number_cannot_be_set_nothing_is_limited(monkeypatch):
    monkeypatch.setattr(blas, "find_blas_threads", lambda: None)
    with blas_threads(1) as limited:
        assert limited is False


def test_a_library_that_cannot_be_loaded_is_ignored(monkeypatch, tmp_path):
    monkeypatch.setattr(blas, "loaded_libraries", lambda: [tmp_path / "libblas.so"])
    assert find_blas_threads.__wrapped__() is None              # without the cache


def test_the_threads_of_the_blas_that_numpy_loaded_can_be_set():
    if find_blas_threads() is None:
        pytest.skip("the number of threads of this NumPy's BLAS cannot be set")
    a = np.ones((2, 2))
    with blas_threads(1):
        assert find_blas_threads().get() == 1 and (a @ a == 2).all()
