"""Every mutant of mutants.py is caught by the test that should catch it."""
import contextlib
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from mutant_runner import PROJECT, begin, compiled_copy, run
from mutants import MUTANTS


@contextlib.contextmanager
def in_background(tmp_path_factory, items):
    """Runs the mutants that tests ask for, as many at a time as there are cores  ->  {mutant: future of its result}"""
    if not hasattr(os, "fork"):                     # the tests are skipped
        yield None
        return
    folder = tmp_path_factory.mktemp("mutants")
    project = folder / "project"
    compiled_copy(project)
    pool = ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"), begin, (project,))
    mutants = [item.callspec.params["mutant"] for item in items]
    try:
        yield {mutant: pool.submit(run, mutant, project, folder / str(i)) for i, mutant in enumerate(mutants)}
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_the_mutant_changes_one_place_and_names_a_test(mutant):
    file, _, name = mutant.caught_by.partition("::")
    assert (PROJECT / "npgpt" / mutant.file).read_text(encoding="utf-8").count(mutant.right) == 1
    assert f"def {name.partition('[')[0]}(" in (PROJECT / "tests" / file).read_text(encoding="utf-8")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the mutants are run by processes that fork")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_the_mutant_is_caught(mutant, results):
    """By a test that fails (exit status 1), not by one that is missing or cannot be run."""
    status, output = results[mutant].result()
    assert status == 1, output


def test_there_are_many():
    assert len(MUTANTS) >= 50
