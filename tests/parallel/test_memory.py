"""Memory: what is freed stays in the process."""
import subprocess
import sys

import pytest

PROLOGUE = """
import resource, numpy as np
from npgpt.parallel import memory


def faults(work, rounds=10):
    seen = [resource.getrusage(resource.RUSAGE_SELF).ru_minflt]
    for _ in range(rounds):
        work()
        seen.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    return sorted(np.diff(seen))[rounds // 2]
"""


def printed(program):
    """By a process of its own, because malloc's settings last as long as the process."""
    return subprocess.run([sys.executable, "-c", PROLOGUE + program], capture_output=True, text=True, check=True).stdout.split()


def test_freed_memory_is_kept_so_that_a_steady_step_has_no_page_faults():
    kept, faults = printed("""
from npgpt.model.parameters import initial_parameters
from npgpt.model.presets import preset
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.tasks.language_modelling import LanguageModelling
kept = memory.keep_freed_memory()
task = LanguageModelling(preset("small"))
parameters = initial_parameters(task.table)
batch = np.zeros((2, 12, 64), int)
with parallel_gradients(task, 2) as loss_and_gradients:
    print(kept, faults(lambda: loss_and_gradients(batch, parameters)))
""")
    if kept == "False":
        pytest.skip("no glibc")
    assert int(faults) < 50        # with memory returned to the system it is some 2000


def test_scratch_is_kept_and_large_arrays_are_not():
    """Arrays of 16 MB come without page faults, which they would not by default; those of 128 MB are returned."""
    known, by_default, kept, large, untouched = printed("""
print(memory.set_malloc({}))
scratch = lambda: [np.ones(2**21), np.ones(2**21)]
print(faults(scratch))
memory.keep_freed_scratch()
print(faults(scratch), faults(lambda: np.ones(2**24)))
memory.keep_freed_memory()
memory.keep_freed_scratch()
print(faults(lambda: np.ones(2**24)))
""")
    if known == "False":
        pytest.skip("no glibc")
    assert int(kept) < 10 < int(by_default)
    assert int(untouched) < 10 < int(large)
