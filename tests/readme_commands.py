"""The commands and experiments of the README files, and how they are run.

All of it happens in a copy of the project, in the order of the pages, so that later commands find what earlier ones left.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parent.parent
FOLDERS = ("", "npgpt/layers/", "npgpt/model/", "npgpt/", "npgpt/tasks/", "npgpt/scoring/", "npgpt/exercises/", "tests/",
           "benchmarks/")
NAMES = [f"{folder}README.md" for folder in FOLDERS]
PAGES = {name: (PROJECT / name).read_text(encoding="utf-8") for name in NAMES}
TEXT = "\n".join(PAGES.values())
PARTS = ("npgpt", "tests", "setup.cfg", "LICENSE")
# What pytest reads from the environment and prints otherwise for: a reader's terminal has none of it.
CHANGES_THE_OUTPUT = {"CI", "BUILD_NUMBER", "PYTEST_ADDOPTS", "PY_COLORS", "FORCE_COLOR"}

# Run with these arguments added, because as printed they would take minutes.
SHORTER = {
    "npgpt train": "--steps 3 --n-embd 16",
    "npgpt train --resume out --steps 3200": "--steps 5",
    "npgpt finetune --data packages.train.jsonl --epochs 5": "--epochs 1",
}
# Run in the place of a command that needs the network: the model that npgpt train has made.
INSTEAD = {
    "hf download openai-community/gpt2 config.json model.safetensors tokenizer.json --local-dir gpt2":
        "python -c 'import shutil; shutil.copytree(\"out\", \"gpt2\")'",
}
# Not run here, and why.
NOT_RUN = {
    r"python3 -m venv \.venv|\.venv/bin/pip install .+": "needs the network; .ci/ runs the second such line",
    r"(\.venv/bin/)?python -m pytest": "is this suite",
    r"python -m build": "needs the network; test_packaging.py builds both distributions",
    r"(\.venv/bin/)?python -m benchmarks.*": "takes minutes; its arguments are parsed in benchmarks/test_benchmarks.py",
}
OTHERS_LIBRARIES = "import torch"        # examples that import it are compiled, not run: the tests need NumPy alone

BLOCK = re.compile(r"```(\w*)\n(.*?)```|`([^`\n]+)`", re.DOTALL)
BREAK = re.compile(r"^\| (\w+\.py) \| `([^`]+)` \| `([^`]+)` \| (\w+): (.*) \|$", re.MULTILINE)


class Command(NamedTuple):
    """A command of a page."""
    line: str
    shown: str = ""                      # its output there
    changes: tuple = ()                  # to the source, before it is run: file, what it contains, the replacement

    @property
    def fails(self) -> bool:
        """Whether it ends with status 1: checks that find something do, and a program that pdb's q ends."""
        return any(sign in self.shown for sign in ("WRONG", "FAILED", "(Pdb) q"))


def commands():
    """Every command, in the order of the pages."""
    changes, example = (), None
    for language, text, inline in BLOCK.findall(TEXT):
        if example:
            yield example._replace(shown="" if language or inline else text)
            example = None
        if re.match(r"(npgpt|python) ", inline):
            yield Command(inline)
        elif language == "sh":
            yield from (Command(step) for line in text.splitlines() for step in line.split(" && "))
        elif language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, shown = part.partition("\n")
                yield Command(line, shown, changes)
        elif language == "python" and not text.startswith("def ") and OTHERS_LIBRARIES not in text:
            example = Command(f"python -c {shlex.quote(text)}")
        changes = changes_of(text) if language == "diff" else ()


def changes_of(diff):
    """A diff block's first line is the file; then come lines to remove, each with the lines that replace it."""
    name, *lines = diff.splitlines()
    pairs = re.findall(r"^-(.*\n)((?:\+.*\n)*)", "\n".join(lines) + "\n", re.MULTILINE)
    return tuple((name, right, re.sub(r"^\+", "", wrong, flags=re.MULTILINE)) for right, wrong in pairs)


def is_run(command):
    return not any(re.fullmatch(pattern, command.line) for pattern in NOT_RUN)


SHOWN = {command.line for command in commands() if command.shown}
COMMANDS = [command for command in dict.fromkeys(commands())
            if is_run(command) and (command.shown or command.line not in SHOWN)]
BREAKS = [(Command(f"npgpt gradcheck {layer} --method complex",
                   changes=((f"npgpt/layers/{file}", right, wrong),)), arguments)
          for file, right, wrong, layer, arguments in BREAK.findall(TEXT)]


def begin():
    """The tests in the foreground go before; some of them measure time."""
    if hasattr(os, "nice"):
        os.nice(10)


def copy_project(folder):
    for part in PARTS:
        if (PROJECT / part).is_dir():
            shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(PROJECT / part, folder / part)


def run_alone(command, project):
    copy_project(project)
    for name, right, wrong in command.changes:
        source = (project / name).read_text(encoding="utf-8")
        assert source.count(right) == 1, f"{name} has {right!r} {source.count(right)} times"
        (project / name).write_text(source.replace(right, wrong), encoding="utf-8")
    return run(command, project)


def run(command, project):
    line = command.line.removeprefix(".venv/bin/")
    program, *arguments = shlex.split(INSTEAD.get(line, f"{line} {SHORTER.get(line, '')}"))
    typed = "".join(f"{line}\n" for line in re.findall(r"^\(Pdb\) (.*)$", command.shown, re.MULTILINE))
    environment = {**{name: value for name, value in os.environ.items() if name not in CHANGES_THE_OUTPUT},
                   "PYTHONPATH": str(project), "PYTHONIOENCODING": "utf-8", "COLUMNS": "80",
                   "NPGPT_TESTS": "quick", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *["-m", "npgpt"] * (program == "npgpt"), *arguments], cwd=project,
                          env=environment, input=typed, capture_output=True, encoding="utf-8")
