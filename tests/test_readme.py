"""What the README files show is what there is: every command is run, every experiment made, every listing compared."""
import contextlib
import math
import multiprocessing
import os
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

import npgpt
from readme_commands import (
    BLOCK, BREAKS, COMMANDS, INSTEAD, NAMES, NOT_RUN, OTHERS_LIBRARIES, PAGES, PARTS, PROJECT, SHORTER, TEXT, begin,
    commands, copy_project, is_run, run, run_alone)

PATH = re.compile(r"(?<=\s)\S*[/\\](?=npgpt[/\\])")          # of the copy, in what pdb prints
NUMBER = re.compile(r"([-+]?\d[\d,]*(?:\.\d*)?(?:e[-+]?\d+)?)")


class Results(NamedTuple):
    finished: Callable                   # command  ->  its finished process
    together: Path                       # the copy of the project in which commands that do not change the source are run


@contextlib.contextmanager
def in_background(tmp_path_factory, items):
    """Runs every command, because later ones need what earlier ones leave. One process runs them one after the other in one
    copy of the project; a second one runs those that change the source, each in a copy of its own.
    """
    together = tmp_path_factory.mktemp("readme")
    in_order, beside = (ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), begin) for _ in range(2))
    in_order.submit(copy_project, together)
    futures = {command: beside.submit(run_alone, command, tmp_path_factory.mktemp("experiment")) if command.changes
               else in_order.submit(run, command, together)
               for command in [*COMMANDS, *(command for command, _ in BREAKS)]}
    try:
        yield Results(lambda command: futures[command].result(), together)
    finally:
        in_order.shutdown(cancel_futures=True)
        beside.shutdown(cancel_futures=True)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.line[:60])
def test_the_command_runs_and_prints_what_is_shown(command, results):
    result = results.finished(command)
    assert result.returncode == (1 if command.fails else 0), result.stdout + result.stderr
    assert first_line_missing(command.shown, PATH.sub("", result.stdout)) is None, result.stdout


@pytest.mark.skipif(not (PROJECT / ".gitignore").exists(), reason="this is no clone of the repository")
def test_git_ignores_what_the_commands_make(results):
    for command in COMMANDS:
        results.finished(command)
    ignored = [line.strip("/") for line in (PROJECT / ".gitignore").read_text().splitlines()]
    made = {path.name for path in results.together.iterdir()} - set(PARTS)
    assert len(made) >= 5 and {name for name in made if not any(fnmatch(name, pattern) for pattern in ignored)} == set()


def test_a_debugger_can_be_left_quietly(results):
    left, = (command for command in COMMANDS if "(Pdb) q" in command.shown)
    assert "Traceback" not in results.finished(left).stderr


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
    """Whether two lines are the same except for spaces, seconds, line numbers, and the last digits of fractions."""
    if shown.endswith("..."):
        shown, printed = shown[:-3], printed[:len(shown) - 3]
    one, other = (NUMBER.split(re.sub(r"\.py\(\d+\)", ".py()", re.sub(r"; \d+ s$", "", line))) for line in (shown, printed))
    return words(one) == words(other) and all(map(same_number, one[1::2], other[1::2]))


def words(parts):
    """What stands between the numbers of a line that NUMBER has split."""
    return ["".join(text.split()) for text in parts[::2]]


def same_number(one, other):
    fractions = any(sign in one + other for sign in ".e")
    return one == other or fractions and math.isclose(float(one.replace(",", "")), float(other.replace(",", "")),
                                                      rel_tol=0.02, abs_tol=1e-6)


def test_lines_are_compared_by_what_they_say():
    assert same_line("gain  6   2.5e-16  ok", "gain 6 1.1e-16  ok")
    assert not same_line("gain  6  2.5e-16  ok", "gain  6  2.5e-2  WRONG")
    assert same_line("at (3,) it is 0.2044", "at (3,) it is 0.2045")
    assert not same_line("at (3,) it is 0.2044", "at (3,) it is 4.089")
    assert first_line_missing("a\n...\nd\n", "a\nb\nc\nd\n") is None
    assert first_line_missing("a\nd\n", "a\nb\nc\nd\n") == "d" and first_line_missing("...\nd\na\n", "a\nd\n") == "a"


@pytest.mark.parametrize("command, arguments", BREAKS)
def test_the_break_is_found_where_it_is_said(command, arguments, results):
    printed = results.finished(command).stdout.splitlines()
    assert {line[27:53].strip() for line in printed if line.endswith("WRONG")} == set(arguments.split(", "))


def test_training_says_what_is_shown_with_other_numbers(results):
    training = next(command for command in COMMANDS if command.line == ".venv/bin/npgpt train")
    listing = re.search(r"```\n(text .*?)```", PAGES["README.md"], re.DOTALL)[1]
    shown = re.findall(r"^(?:text|model|steps?) .*$", listing, re.MULTILINE)
    printed = results.finished(training).stderr.splitlines()
    said = [[words(NUMBER.split(line.replace("threads", "thread"))) for line in lines] for lines in (shown, printed)]
    assert len(shown) >= 4 and all(line in said[1] for line in said[0])


def test_nothing_is_left_out():
    languages = {language for language, _, inline in BLOCK.findall(TEXT) if not inline}
    assert languages == {"sh", "console", "diff", "python", ""}
    assert len(BREAKS) >= 10 and len([command for command in COMMANDS if command.changes]) >= 7
    skipped = [command.line for command in commands() if not is_run(command)]
    assert all(any(re.fullmatch(pattern, line) for line in skipped) for pattern in NOT_RUN)
    assert SHORTER.keys() | INSTEAD.keys() <= {command.line.removeprefix(".venv/bin/") for command in COMMANDS}


def test_examples_with_other_libraries_compile():
    shown = [text for language, text, _ in BLOCK.findall(TEXT) if language == "python" and OTHERS_LIBRARIES in text]
    assert shown and all(compile(code, "README.md", "exec") for code in shown)


def test_the_layer_shown_is_the_source():
    source = (PROJECT / "npgpt/layers/linear.py").read_text(encoding="utf-8")
    shown = next(text for _, text, _ in BLOCK.findall(TEXT) if text.startswith("def linear("))
    assert shown.strip() in source


def links(name):
    """The files and folders that a page links to, relative to the project."""
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", PAGES[name])
    return {Path(os.path.normpath(Path(name).parent / target)).as_posix() for target in targets}


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name):
    assert not [path for path in links(name) if not (PROJECT / path).exists()]
    headings = re.findall(r"^#+ (.*)$", PAGES[name], re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGES[name])) <= anchors


@pytest.mark.parametrize("name", NAMES)
def test_the_code_that_is_quoted_is_in_the_source(name):
    for target, code in re.findall(r"\]\((\S+\.py)\): `([^`]+)`", PAGES[name]):
        source = ((PROJECT / name).parent / target).read_text(encoding="utf-8")
        assert all(part in source for part in code.split("...")), f"{code} in {target}"
    everything = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "npgpt").rglob("*.py"))
    assert all(f"def {function}(" in everything for function in re.findall(r"[Ss]ee `(?:\w+\.)?(\w+)`", PAGES[name]))


def test_every_source_file_is_in_the_reading_order():
    shown = set().union(*map(links, NAMES))
    files = [path for part in ("npgpt", "benchmarks") for path in (PROJECT / part).rglob("*.py")]
    assert not {path.relative_to(PROJECT).as_posix() for path in files if path.name != "__init__.py"} - shown


def test_every_room_is_in_the_packages_own_list():
    rooms = {path.parent.name for path in (PROJECT / "npgpt").glob("*/__init__.py")}
    assert not {room for room in rooms if f"{room}/" not in npgpt.__doc__}


def test_the_first_page_is_short_and_leads_to_all_others():
    assert len(PAGES["README.md"].encode()) <= 8192
    assert set(NAMES[1:]) <= links("README.md")
