"""Which examples hypothesis draws"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

PRINTING = """
from hypothesis import given, strategies as st

@given(st.integers())
def test_printing(number):
    print(number)
"""


def drawn(folder, *options):
    """What a test draws, run with these options of pytest and the project's conftest.py."""
    shutil.copy(Path(__file__).parent / "conftest.py", folder)
    (folder / "test_it.py").write_text(PRINTING)
    result = subprocess.run([sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", *options, "test_it.py"],
                            cwd=folder, env={**os.environ, "NPGPT_TESTS": "quick"}, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    return [line for line in result.stdout.splitlines() if line.strip("-").isdigit()]


def test_examples_are_the_same_in_every_run_unless_a_seed_is_given(tmp_path):
    usual, again, one, other = (drawn(tmp_path, *options) for options in (
        (), (), ("--hypothesis-seed=1",), ("--hypothesis-seed=2",)))
    assert usual == again and len({tuple(numbers) for numbers in (usual, one, other)}) == 3
    assert drawn(tmp_path, "--hypothesis-seed=1") == one
