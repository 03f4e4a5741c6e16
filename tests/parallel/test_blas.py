"""BLAS's threads are held for the while, where there is a switch."""
import numpy as np
import pytest

from npgpt.parallel import blas
from npgpt.parallel.blas import BlasThreads, blas_threads, find_blas_threads


@pytest.fixture
def switch(monkeypatch):
    """A switch that stands at 7."""
    state = [7]
    switch = BlasThreads(lambda count: state.append(count), lambda: state[-1])
    monkeypatch.setattr(blas, "find_blas_threads", lambda: switch)
    return switch


def test_threads_are_held_for_the_while_and_put_back(switch):
    with blas_threads(1) as held:
        assert held and switch.get() == 1
        with blas_threads(3):
            assert switch.get() == 3
        assert switch.get() == 1
    assert switch.get() == 7


def test_what_is_raised_passes_and_leaves_the_switch_as_it_was(switch):
    with pytest.raises(KeyError), blas_threads(1):
        raise KeyError
    assert switch.get() == 7


def test_without_a_switch_nothing_is_held(monkeypatch):
    monkeypatch.setattr(blas, "find_blas_threads", lambda: None)
    with blas_threads(1) as held:
        assert held is False


def test_a_library_that_cannot_be_loaded_has_no_switch(monkeypatch, tmp_path):
    monkeypatch.setattr(blas, "loaded_libraries", lambda: [tmp_path / "libblas.so"])
    assert find_blas_threads() is None


def test_the_switch_of_the_blas_that_numpy_loaded_is_real():
    if find_blas_threads() is None:
        pytest.skip("this NumPy's BLAS has no switch")
    a = np.ones((2, 2))
    with blas_threads(1):
        assert find_blas_threads().get() == 1 and (a @ a == 2).all()
