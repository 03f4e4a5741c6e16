"""Other systems: npgpt works where functions of this one do not exist."""
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = str(Path(__file__).resolve().parents[1])

# What Windows and macOS lack, and that ctypes cannot open the process itself, or finds no mallopt in it.
WITHOUT = """
import ctypes, os, signal, sys
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for module, names in ((os, "sched_getaffinity sysconf getloadavg O_NOFOLLOW O_NONBLOCK fork mkfifo getuid killpg setsid"),
                      (signal, "SIGKILL SIGHUP SIGPIPE SIGALRM setitimer pthread_sigmask")):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)

def load(name, *arguments, original=ctypes.CDLL, **settings):
    if name is None:
        {outcome}
    return original(name, *arguments, **settings)
ctypes.CDLL = load
"""
# The peers of the benchmarks that need other libraries are imported up to there.
EVERY_MODULE = f"""
sys.path.insert(0, {PROJECT!r})
sys.modules["torch"] = sys.modules["transformers"] = None
import importlib, pkgutil, benchmarks, npgpt
names = [module.name for package in (npgpt, benchmarks)
         for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    if name != "npgpt.__main__":
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in ("torch", "transformers"):
                raise
"""
RUN = """
from npgpt.__main__ import main
from npgpt.training import duration
duration.SECONDS = 0
small = ["--n-layer", "1", "--n-head", "1", "--n-embd", "4", "--n-positions", "4", "--batch-size", "2"]
for command in (["train", "--data", "text.txt", *small, "--steps", "2"], ["train", "--data", "text.txt", *small, "--dry-run"],
                ["train", "--resume", "out", "--steps", "3"], ["generate", "--max-new-tokens", "3"], ["plot"]):
    assert main(command) == 0, command
"""


@pytest.mark.parametrize("outcome", ["raise TypeError", "return object()"], ids=["Windows", "macOS"])
@pytest.mark.parametrize("program", [EVERY_MODULE, RUN], ids=["import", "run"])
def test_functions_that_other_systems_lack_are_done_without(tmp_path, program, outcome):
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 10)
    result = subprocess.run([sys.executable, "-c", WITHOUT.format(outcome=outcome) + program], cwd=tmp_path, text=True,
                            capture_output=True)
    assert result.returncode == 0, result.stderr
