"""Every mutant of mutants.py is caught by the test that should catch it."""
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mutants import MUTANTS

PROJECT = Path(__file__).parent.parent
ENVIRONMENT = {"NPGPT_TESTS": "mutants", "OPENBLAS_NUM_THREADS": "1"}


def run_against(mutant, folder):
    """Apply a mutant to a copy of the project and run the test that should catch it  ->  the finished process"""
    for part in ("npgpt", "tests", "setup.cfg"):
        copy = shutil.copytree if (PROJECT / part).is_dir() else shutil.copy
        copy(PROJECT / part, folder / part)
    path = folder / "npgpt" / mutant.file
    path.write_text(path.read_text(encoding="utf-8").replace(mutant.right, mutant.wrong), encoding="utf-8")
    return subprocess.run([sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/{mutant.caught_by}"],
                          cwd=folder, env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(folder)},
                          capture_output=True, text=True)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """All mutants at once, as many at a time as there are cores."""
    folders = [tmp_path_factory.mktemp("mutant") for _ in MUTANTS]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(MUTANTS, pool.map(run_against, MUTANTS, folders)))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.bug)
def test_the_mutant_is_caught(mutant, results):
    """By a test that fails (exit status 1), not by one that is missing or cannot be run."""
    assert (PROJECT / "npgpt" / mutant.file).read_text(encoding="utf-8").count(mutant.right) == 1
    assert results[mutant].returncode == 1, results[mutant].stdout


def test_there_are_many():
    assert len(MUTANTS) >= 25
