"""Runs mutants: each in a copy of the project, by the test that should catch it, in a process of its own."""
import compileall
import contextlib
import gc
import os
import shutil
import sys
from pathlib import Path

from mutants import Mutant

PROJECT = Path(__file__).parent.parent


def compiled_copy(folder: Path) -> None:
    """Copy to a folder what a mutant needs, and compile the source there, so that only what it changes is compiled again."""
    for part in ("npgpt", "tests"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "setup.cfg", folder)
    compileall.compile_dir(folder / "npgpt", quiet=1)


def begin(project: Path) -> None:
    """Import what all tests need, pytest's plugins too: processes that are forked then have it."""
    os.nice(10)                                     # the tests in the foreground go before; some of them measure time
    os.environ.update(NPGPT_TESTS="mutants", OPENBLAS_NUM_THREADS="1",
                      HYPOTHESIS_STORAGE_DIRECTORY=str(project / ".hypothesis"))      # what hypothesis caches is shared
    import hypothesis.strategies, numpy.testing, pytest
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        pytest.main(["--version", "--noconftest"])
    gc.freeze()                                     # the garbage collector leaves alone what the processes share


def run(mutant: Mutant, project: Path, folder: Path) -> tuple[int, str]:
    """The exit status of pytest and its output, with a mutant of the project's copy in a new folder."""
    apply(mutant, project, folder)
    child = os.fork()
    if child == 0:
        try:
            status = run_test(mutant.caught_by, folder)
            sys.stdout.flush()
            os._exit(status)
        finally:
            os._exit(99)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    output = (folder / "output.txt").read_text(encoding="utf-8", errors="replace")
    shutil.rmtree(folder)
    return status, output


def apply(mutant: Mutant, project: Path, folder: Path) -> None:
    """Make a folder with the mutant and, for all that it does not change, links to the project's copy."""
    shutil.copytree(project / "npgpt", folder / "npgpt", copy_function=os.link)
    for part in ("tests", "setup.cfg"):
        (folder / part).symlink_to(project / part)
    path = folder / "npgpt" / mutant.file
    source = path.read_text(encoding="utf-8")
    path.unlink()
    path.write_text(source.replace(mutant.right, mutant.wrong), encoding="utf-8")


def run_test(test: str, folder: Path) -> int:
    import pytest
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = str(folder)
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    return pytest.main(["-x", "-q", "-p", "no:cacheprovider", "tests/" + test])
