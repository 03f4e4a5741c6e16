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
# Imports what all tests need, pytest's plugins too, then runs a test in each folder that it is told, in a process of its
# own: a new interpreter for every mutant would take most of the time. Answers with pytest's exit status.
RUNNER = """
import contextlib, gc, os, sys
import hypothesis.strategies, numpy.testing, pytest
with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
    pytest.main(["--version", "--noconftest"])
gc.freeze()                     # the garbage collector of the processes leaves alone what they share
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


def compiled_copy(folder):
    """Copy to a folder what a mutant needs, and compile the source there, so that only what it changes is compiled again."""
    for part in ("npgpt", "tests"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "setup.cfg", folder)
    subprocess.run(["nice", sys.executable, "-m", "compileall", "-q", folder / "npgpt"], check=True)


def apply(mutant, project, folder):
    """Make a folder with the mutant and, for all that it does not change, links to the project's copy."""
    shutil.copytree(project / "npgpt", folder / "npgpt", copy_function=os.link)
    for part in ("tests", "setup.cfg"):
        (folder / part).symlink_to(project / part)
    path = folder / "npgpt" / mutant.file
    source = path.read_text(encoding="utf-8")
    path.unlink()
    path.write_text(source.replace(mutant.right, mutant.wrong), encoding="utf-8")


@contextlib.contextmanager
def in_background(tmp_path_factory):
    """Runs all mutants, one after the other on each core that is left by the tests  ->  a function that gives the result of
    one, pytest's exit status and its output. A mutant that is asked for before its turn is run at once.
    """
    if not hasattr(os, "fork"):                     # its tests are skipped
        yield None
        return
    project = tmp_path_factory.mktemp("project")
    environment = {**os.environ, "NPGPT_TESTS": "mutants", "OPENBLAS_NUM_THREADS": "1",
                   "HYPOTHESIS_STORAGE_DIRECTORY": str(project / ".hypothesis")}      # what hypothesis caches is shared
    idle: queue.Queue = queue.Queue()
    cores = os.cpu_count()

    def run(mutant):
        copied.result()
        folder = tmp_path_factory.mktemp("mutant")
        apply(mutant, project, folder)
        runner = idle.get()
        try:
            print(folder, mutant.caught_by, sep="\t", file=runner.stdin, flush=True)
            status = int(runner.stdout.readline())
        finally:
            idle.put(runner)
        output = (folder / "output.txt").read_text(encoding="utf-8", errors="replace")
        shutil.rmtree(folder)
        return status, output

    with contextlib.ExitStack() as stack:
        for _ in range(cores):
            idle.put(stack.enter_context(subprocess.Popen(["nice", sys.executable, "-c", RUNNER], env=environment,
                                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)))
        pool = stack.enter_context(ThreadPoolExecutor(max(cores - 1, 1)))
        stack.callback(pool.shutdown, cancel_futures=True)
        copied = pool.submit(compiled_copy, project)
        futures = {mutant: pool.submit(run, mutant) for mutant in MUTANTS}
        yield lambda mutant: run(mutant) if futures[mutant].cancel() else futures[mutant].result()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_the_mutant_changes_one_place_and_names_a_test(mutant):
    file, _, name = mutant.caught_by.partition("::")
    assert (PROJECT / "npgpt" / mutant.file).read_text(encoding="utf-8").count(mutant.right) == 1
    assert f"def {name.partition('[')[0]}(" in (PROJECT / "tests" / file).read_text(encoding="utf-8")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the mutants are run by processes that fork")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_the_mutant_is_caught(mutant, results):
    """By a test that fails (exit status 1), not by one that is missing or cannot be run."""
    status, output = results(mutant)
    assert status == 1, output


def test_there_are_many():
    assert len(MUTANTS) >= 50
