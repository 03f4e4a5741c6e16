"""What the README shows is what there is: every command in it is run, every experiment made, every listing compared.

All of it happens in a copy of the project, in the README's order, so that what one command leaves is there for the next.
"""
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

import npgpt
from benchmarks.__main__ import make_parser as benchmark_parser

PROJECT = Path(__file__).parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")
PARTS = ("npgpt", "tests", "setup.cfg", "LICENSE")
# What pytest reads from the environment and prints otherwise for: a reader's terminal has none of it.
CHANGES_THE_OUTPUT = {"CI", "BUILD_NUMBER", "PYTEST_ADDOPTS", "PY_COLORS", "FORCE_COLOR"}
THOROUGH = os.environ.get("NPGPT_TESTS") == "thorough"

# Run with these arguments added, because as printed they would take minutes.
SHORTER = {
    "npgpt train": "--steps 3 --n-embd 16",
    "npgpt train --resume out --steps 2500": "--steps 5",
    "npgpt evaluate": "--data LICENSE",
}
if not THOROUGH:
    SHORTER["npgpt gradcheck"] = "--method complex"
# Not run here, and why.
NOT_RUN = {
    r"python3 -m venv \.venv|\.venv/bin/pip install .+": "needs the network; .ci/ runs the line that ends in pytest, in a fresh clone",
    r"\.venv/bin/python -m pytest": "is this suite",
    r"\.venv/bin/python -m benchmarks.*": "takes minutes; its arguments are parsed below",
}
OTHERS_LIBRARIES = "import torch"        # examples that import it are compiled, not run: the tests need NumPy alone

BLOCK = re.compile(r"```(\w*)\n(.*?)```|`([^`\n]+)`", re.DOTALL)
BREAK = re.compile(r"^\| (\w+\.py) \| `([^`]+)` \| `([^`]+)` \| (\w+): (.*) \|$", re.MULTILINE)
PATH = re.compile(r"(?<=\s)\S*[/\\](?=npgpt[/\\])")          # of the copy, in what pdb prints
NUMBER = re.compile(r"([-+]?\d[\d,]*(?:\.\d*)?(?:e[-+]?\d+)?)")


class Command(NamedTuple):
    """A command of the README."""
    line: str
    shown: str = ""                      # its output there
    changes: tuple = ()                  # to the source, before it is run: file, what stands there, what takes its place

    @property
    def fails(self) -> bool:
        """Whether it ends with status 1, as checks do that find something, and what one leaves by pdb's q."""
        return any(sign in self.shown for sign in ("WRONG", "FAILED", "(Pdb) q"))


def commands():
    """Every command, in the README's order."""
    changes, example = (), None
    for language, text, inline in BLOCK.findall(README):
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
    """A diff block's first line is the file, then come lines that go, each with those that take its place."""
    name, *lines = diff.splitlines()
    pairs = re.findall(r"^-(.*\n)((?:\+.*\n)*)", "\n".join(lines) + "\n", re.MULTILINE)
    return tuple((name, right, re.sub(r"^\+", "", wrong, flags=re.MULTILINE)) for right, wrong in pairs)


def is_run(command):
    return not any(re.fullmatch(pattern, command.line) for pattern in NOT_RUN)


SHOWN = {command.line for command in commands() if command.shown}
COMMANDS = [command for command in dict.fromkeys(commands()) if is_run(command) and (command.shown or command.line not in SHOWN)]
BREAKS = [(Command(f"npgpt gradcheck {layer} --method complex", changes=((f"npgpt/layers/{file}", right, wrong),)), arguments)
          for file, right, wrong, layer, arguments in BREAK.findall(README)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Of every command, the finished process, when it has finished. All are run in one copy of the project, one after
    the other; beside them, each in a copy of its own, those that change the source.
    """
    together = tmp_path_factory.mktemp("readme")
    with ThreadPoolExecutor(1) as walk, ThreadPoolExecutor(1) as beside:
        walk.submit(copy_project, together)
        yield {command: beside.submit(run_alone, command, tmp_path_factory.mktemp("experiment")) if command.changes
               else walk.submit(run, command, together)
               for command in [*COMMANDS, *(command for command, _ in BREAKS)]}
        walk.shutdown(cancel_futures=True)
        beside.shutdown(cancel_futures=True)


def copy_project(folder):
    for part in PARTS:
        (shutil.copytree if (PROJECT / part).is_dir() else shutil.copy2)(PROJECT / part, folder / part)


def run_alone(command, project):
    copy_project(project)
    for name, right, wrong in command.changes:
        source = (project / name).read_text(encoding="utf-8")
        assert source.count(right) == 1, f"{name} has {right!r} {source.count(right)} times"
        (project / name).write_text(source.replace(right, wrong), encoding="utf-8")
    return run(command, project)


def run(command, project):
    line = command.line.removeprefix(".venv/bin/")
    program, *arguments = shlex.split(f"{line} {SHORTER.get(line, '')}")
    typed = "".join(f"{line}\n" for line in re.findall(r"^\(Pdb\) (.*)$", command.shown, re.MULTILINE))
    environment = {**{name: value for name, value in os.environ.items() if name not in CHANGES_THE_OUTPUT},
                   "PYTHONPATH": str(project), "PYTHONIOENCODING": "utf-8", "COLUMNS": "80",
                   "NPGPT_TESTS": "quick", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *["-m", "npgpt"] * (program == "npgpt"), *arguments], cwd=project, env=environment,
                          input=typed, capture_output=True, encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.line[:60])
def test_the_command_runs_and_prints_what_is_shown(command, results):
    result = results[command].result()
    assert result.returncode == (1 if command.fails else 0), result.stdout + result.stderr
    shown = command.shown
    if command.line == "npgpt gradcheck" and not THOROUGH:
        shown = without_central_differences(shown)
    assert first_line_missing(shown, PATH.sub("", result.stdout)) is None, result.stdout


def without_central_differences(table):
    table = re.sub(r" \S+  (ok)$", r" -  \1", table, flags=re.MULTILINE)
    return re.sub(r" and \S+ by central differences \(allowed \S+\)$", "", table, flags=re.MULTILINE)


def first_line_missing(shown, printed):
    """The first line that is shown and was not printed; None where all were. `...` stands for any lines or none."""
    shown = re.sub(r"^\(Pdb\) .*\n", "(Pdb) ", shown, flags=re.MULTILINE)              # what is typed is not echoed
    shown = re.sub(r"^(.*\S.*\.\.\.)$", r"\1\n...", shown, flags=re.MULTILINE)
    lines, skip = iter(line for line in printed.splitlines() if line.strip()), False
    for line in shown.splitlines():
        if line == "..." or not line.strip():
            skip = skip or line == "..."
        elif same_line(line, next(lines, "")) or skip and any(same_line(line, other) for other in lines):
            skip = False
        else:
            return line
    return None


def same_line(shown, printed):
    """Whether two lines are the same but for spaces, seconds, line numbers, and the last digits of fractions."""
    if shown.endswith("..."):
        shown, printed = shown[:-3], printed[:len(shown) - 3]
    one, other = (NUMBER.split(re.sub(r"\.py\(\d+\)", ".py()", re.sub(r"; \d+ s$", "", line))) for line in (shown, printed))
    return (["".join(text.split()) for text in one[::2]] == ["".join(text.split()) for text in other[::2]]
            and all(map(same_number, one[1::2], other[1::2])))


def same_number(one, other):
    fractions = any(sign in one + other for sign in ".e")
    return one == other or fractions and math.isclose(float(one.replace(",", "")), float(other.replace(",", "")),
                                                      rel_tol=0.02, abs_tol=1e-6)


def test_lines_are_compared_by_what_they_say():
    assert same_line("gain  6   2.5e-16  ok", "gain 6 1.1e-16  ok") and not same_line("gain  6  2.5e-16  ok", "gain  6  2.5e-2  WRONG")
    assert same_line("at (3,) it is 0.2044", "at (3,) it is 0.2045") and not same_line("at (3,) it is 0.2044", "at (3,) it is 4.089")
    assert first_line_missing("a\n...\nd\n", "a\nb\nc\nd\n") is None
    assert first_line_missing("a\nd\n", "a\nb\nc\nd\n") == "d" and first_line_missing("...\nd\na\n", "a\nd\n") == "a"


@pytest.mark.parametrize("command, arguments", BREAKS, ids=lambda value: value.changes[0][0] if isinstance(value, Command) else value)
def test_the_break_is_found_where_it_is_said(command, arguments, results):
    printed = results[command].result().stdout.splitlines()
    assert {line[27:53].strip() for line in printed if line.endswith("WRONG")} == set(arguments.split(", "))


def test_nothing_is_left_out():
    languages = {language for language, _, inline in BLOCK.findall(README) if not inline}
    assert languages == {"sh", "console", "diff", "python", ""}
    assert len(BREAKS) >= 9 and len([command for command in COMMANDS if command.changes]) >= 7
    skipped = [command.line for command in commands() if not is_run(command)]
    assert all(any(re.fullmatch(pattern, line) for line in skipped) for pattern in NOT_RUN)
    assert SHORTER.keys() <= {command.line.removeprefix(".venv/bin/") for command in COMMANDS}


def test_benchmarks_take_the_arguments_shown():
    shown = re.findall(r"^\.venv/bin/python -m benchmarks (.*)$", README, re.MULTILINE)
    assert shown and all(benchmark_parser().parse_args(shlex.split(line)) for line in shown)


def test_examples_with_other_libraries_compile():
    shown = [text for language, text, _ in BLOCK.findall(README) if language == "python" and OTHERS_LIBRARIES in text]
    assert shown and all(compile(code, "README.md", "exec") for code in shown)


def test_the_layer_shown_is_the_source():
    source = (PROJECT / "npgpt/layers/layer_norm.py").read_text(encoding="utf-8")
    shown = next(text for language, text, _ in BLOCK.findall(README) if language == "python" and text.startswith("def layer_norm("))
    assert shown.strip() in source


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(((?:npgpt|tests|benchmarks)[^)]*)\)", README))))
def test_every_link_leads_somewhere(path):
    assert (PROJECT / path).exists()


ROOMS = ("layers", "model", "text", "training", "generation", "checking", "interop")


def test_every_source_file_is_in_the_walk():
    shown = set(re.findall(r"\]\((npgpt/[^)]*)\)", README))
    files = {path.relative_to(PROJECT).as_posix() for room in ROOMS for path in (PROJECT / "npgpt" / room).glob("*.py")}
    assert {path for path in files if not path.endswith("__init__.py")} <= shown


def test_every_source_file_is_in_the_reading_order():
    files = {path.stem for room in (*ROOMS, "looking") for path in (PROJECT / "npgpt" / room).glob("*.py")}
    assert files - {"__init__"} <= set(re.findall(r"\w+", npgpt.__doc__))
