"""BLAS's threads are limited while a context lasts, where the library has functions for it."""
import ctypes
from pathlib import Path

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


LIBRARIES = ["/Users/me/mini conda/lib/libopenblas.0.dylib", "/opt/lib/libmkl_rt.2.so", "/opt/lib/libblis.so.4", "/usr/lib/libm.so"]


def test_libraries_that_are_not_beside_numpy_are_found_on_linux(monkeypatch, tmp_path):
    """As with conda, or a distribution's NumPy."""
    lines = [f"7f00-7f01 r-xp 00000000 08:02 135                        {name}" for name in LIBRARIES]
    (tmp_path / "maps").write_text("\n".join([*lines, lines[0], "7ffe-7fff rw-p 00000000 00:00 0    [stack]", "7fff-8000 rw-p 0 00:00 0"]))
    monkeypatch.setattr(blas, "MAPS", tmp_path / "maps")
    assert set(map(Path, LIBRARIES[:3])) <= set(blas.loaded_libraries())
    assert not {Path(LIBRARIES[3]), Path("[stack]")} & set(blas.loaded_libraries())


def test_libraries_that_are_not_beside_numpy_are_found_on_macos(monkeypatch, tmp_path):
    class Loader:
        def __init__(self, name):
            assert name is None
            self._dyld_get_image_name = lambda i: [None, *map(str.encode, LIBRARIES)][i]

        def _dyld_image_count(self):
            return 1 + len(LIBRARIES)
    monkeypatch.setattr(blas, "MAPS", tmp_path / "maps")
    monkeypatch.setattr(ctypes, "CDLL", Loader)
    found = blas.loaded_libraries()
    assert set(map(Path, LIBRARIES[:3])) <= set(found) and Path(LIBRARIES[3]) not in found


@pytest.mark.parametrize("error", [TypeError, OSError, AttributeError])
def test_where_no_library_can_be_listed_only_those_beside_numpy_are_found(monkeypatch, tmp_path, error):
    """As on Windows, where None is no library."""
    def refuse(name):
        raise error
    beside = [path for path in blas.loaded_libraries() if Path(np.__file__).parent.parent in path.parents]
    monkeypatch.setattr(blas, "MAPS", tmp_path / "maps")
    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert blas.loaded_libraries() == list(dict.fromkeys(beside))
