"""Threads: calls that run at once, and the partition of a range."""
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, strategies as st

from npgpt.parallel.threads import available_cores, partition, together


@pytest.fixture
def pool():
    with ThreadPoolExecutor(3) as pool:
        yield pool


def test_results_come_in_the_order_of_the_calls(pool):
    first_may_end = threading.Event()

    def call(number):
        if number == 0:
            assert first_may_end.wait(10)
        if number == 2:
            first_may_end.set()
        return number
    assert together(pool, call, [(0,), (1,), (2,)]) == [0, 1, 2]


def test_calls_run_at_once_and_the_first_in_the_calling_thread(pool):
    barrier = threading.Barrier(3, timeout=10)

    def call():
        barrier.wait()
        return threading.current_thread()
    threads = together(pool, call, [(), (), ()])
    assert len(set(threads)) == 3 and threads[0] is threading.current_thread()


@pytest.mark.parametrize("fails", [0, 1, 2])
def test_an_exception_of_a_call_is_raised_when_all_have_ended(pool, fails):
    failed, ended = threading.Event(), []

    def call(number):
        if number == fails:
            failed.set()
            raise KeyError(number)
        assert failed.wait(10)
        ended.append(number)
    with pytest.raises(KeyError, match=str(fails)):
        together(pool, call, [(0,), (1,), (2,)])
    assert sorted([*ended, fails]) == [0, 1, 2]


@given(st.integers(1, 50), st.integers(1, 60))
def test_a_partition_covers_everything_once_in_parts_that_differ_by_one_at_most(count, threads):
    parts = partition(count, threads)
    assert [i for part in parts for i in range(count)[part]] == list(range(count))
    sizes = [part.stop - part.start for part in parts]
    assert len(parts) == min(count, threads) and max(sizes) - min(sizes) <= 1


def test_there_is_at_least_one_core():
    assert 1 <= available_cores() <= os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes cannot be bound to cores here")
def test_cores_that_the_process_may_not_use_do_not_count(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 6})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert available_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert available_cores() == 64
