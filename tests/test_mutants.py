"""Every mutant of mutants.py is caught by the test that should catch it."""
import contextlib
import os
import queue
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mutants import MUTANTS

PROJECT = Path(__file__).parent.parent
ENVIRONMENT = {"NPGPT_TESTS": "mutants", "OPENBLAS_NUM_THREADS": "1"}
# Imports what all tests need, then runs a test in each folder that it is told, in a process of its own: a new interpreter
# for every mutant would take most of the time. Answers with pytest's exit status.
RUNNER = """
import os, sys
import hypothesis.strategies, numpy, pytest
for line in sys.stdin:
    folder, test = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        sys.path.insert(0, folder)
        os.environ["PYTHONPATH"] = folder
        output = os.open("output.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "tests/" + test])
        sys.stdout.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def mutated(mutant, folder):
    """A copy of the project with the mutant. Unchanged files are links, which is faster."""
    for part in ("npgpt", "tests"):
        shutil.copytree(PROJECT / part, folder / part, copy_function=link_or_copy)
    link_or_copy(PROJECT / "setup.cfg", folder / "setup.cfg")
    path = folder / "npgpt" / mutant.file
    source = path.read_text(encoding="utf-8")
    path.unlink()
    path.write_text(source.replace(mutant.right, mutant.wrong), encoding="utf-8")


def link_or_copy(source, target):
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copy2(source, target)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """All mutants, as many at a time as there are cores  ->  {mutant: (pytest's exit status, its output)}"""
    with contextlib.ExitStack() as stack:
        runners: queue.Queue = queue.Queue()
        for _ in range(os.cpu_count()):
            runners.put(stack.enter_context(subprocess.Popen([sys.executable, "-c", RUNNER], env={**os.environ, **ENVIRONMENT},
                                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)))

        def run(mutant):
            folder = tmp_path_factory.mktemp("mutant")
            mutated(mutant, folder)
            runner = runners.get()
            print(folder, mutant.caught_by, sep="\t", file=runner.stdin, flush=True)
            status = int(runner.stdout.readline())
            runners.put(runner)
            output = (folder / "output.txt").read_text(encoding="utf-8", errors="replace")
            shutil.rmtree(folder)
            return status, output

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return dict(zip(MUTANTS, pool.map(run, MUTANTS)))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_the_mutant_changes_one_place_and_names_a_test(mutant):
    file, _, name = mutant.caught_by.partition("::")
    assert (PROJECT / "npgpt" / mutant.file).read_text(encoding="utf-8").count(mutant.right) == 1
    assert f"def {name.partition('[')[0]}(" in (PROJECT / "tests" / file).read_text(encoding="utf-8")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the mutants are run by processes that fork")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_the_mutant_is_caught(mutant, results):
    """By a test that fails (exit status 1), not by one that is missing or cannot be run."""
    status, output = results[mutant]
    assert status == 1, output


def test_there_are_many():
    assert len(MUTANTS) >= 50
