"""npgpt exercise"""
import json
import os

import pytest

RECORD = ".npgpt-exercises.json"
SOLUTION = "    return dy * cache[0]\n"


def solve(file, solution=SOLUTION):
    file.write_text(file.read_text().replace("    raise NotImplementedError\n", solution))


def states(npgpt):
    """The exercises that the list shows as begun or done."""
    listed = npgpt("exercise").out.splitlines()
    return {line.split()[0]: line.split()[-1] for line in listed if line.endswith(("begun", "done"))}


def test_an_exercise_is_written_solved_and_listed_as_done(npgpt, tmp_path):
    assert states(npgpt) == {}
    written = npgpt("exercise", "relu")
    assert written.status == 0 and "npgpt exercise --check relu_exercise.py" in written.out
    assert states(npgpt) == {"relu": "begun"} and not (tmp_path / RECORD).exists()

    empty = npgpt("exercise", "--check", "relu_exercise.py")
    assert empty.status == 1 and "still to be written" in empty.out and empty.err == ""

    solve(tmp_path / "relu_exercise.py", "    return dy * ~cache[0]\n")
    wrong = npgpt("exercise", "--check", "relu_exercise.py")
    assert wrong.status == 1 and "WRONG" in wrong.out and "a hint: npgpt exercise --hint relu_exercise.py" in wrong.out
    assert states(npgpt) == {"relu": "begun"}

    file = tmp_path / "relu_exercise.py"
    file.write_text(file.read_text().replace("~cache", "cache"))
    right = npgpt("exercise", "--check", "relu_exercise.py")
    assert right.status == 0 and right.out.startswith("all right") and "return dy * positive" in right.out
    assert states(npgpt) == {"relu": "done"}
    file.unlink()
    assert states(npgpt) == {}


def test_a_mistake_is_looked_for_and_found(npgpt, tmp_path):
    npgpt("exercise", "bug-2")
    file = tmp_path / "bug_2_exercise.py"
    assert npgpt("exercise", "--check", file.name).status == 1
    file.write_text(file.read_text().replace('ANSWER = ""', 'ANSWER = "gpt_backward"'))
    found = npgpt("exercise", "--check", file.name)
    assert found.status == 0 and "-dx.sum(axis=0)" in found.out and states(npgpt) == {"bug-2": "done"}


def test_each_hint_says_more_and_the_last_one_is_repeated(npgpt, tmp_path):
    npgpt("exercise", "relu")
    first, second, third = (npgpt("exercise", "--hint", "relu_exercise.py").out for _ in range(3))
    assert first.startswith("hint 1 of 2: ") and second.startswith("hint 2 of 2 (the last one): ") and third == second
    assert json.loads((tmp_path / RECORD).read_text()) == {"relu": {"hints": 2}}


def test_only_the_check_runs_the_file(npgpt, tmp_path):
    npgpt("exercise", "relu")
    file = tmp_path / "relu_exercise.py"
    file.write_text(file.read_text() + "\nopen('run', 'w').close()\n")
    npgpt("exercise"), npgpt("exercise", "--hint", file.name)
    assert not (tmp_path / "run").exists()
    npgpt("exercise", "--check", file.name)
    assert (tmp_path / "run").exists()


def test_hints_and_solutions_are_noted_beside_the_file_wherever_it_is(npgpt, tmp_path):
    npgpt("exercise", "relu")
    (tmp_path / "mine").mkdir()
    file = (tmp_path / "relu_exercise.py").rename(tmp_path / "mine" / "my relu.py")
    solve(file)
    assert npgpt("exercise", "--check", "mine/my relu.py").status == 0
    assert "--hint" not in npgpt("exercise", "--hint", "mine/my relu.py").out
    assert json.loads((file.parent / RECORD).read_text()) == {"relu": {"done": True, "hints": 1}}
    assert not (tmp_path / RECORD).exists()


def test_what_is_noted_goes_through_a_symbolic_link_and_never_over_a_pipe(npgpt, refused, tmp_path):
    npgpt("exercise", "relu")
    (tmp_path / RECORD).symlink_to("elsewhere.json")
    npgpt("exercise", "--hint", "relu_exercise.py")
    assert (tmp_path / RECORD).is_symlink() and "relu" in json.loads((tmp_path / "elsewhere.json").read_text())
    (tmp_path / RECORD).unlink()
    os.mkfifo(tmp_path / RECORD)
    assert f"{RECORD} is not a file" in refused("exercise", "--hint", "relu_exercise.py")


def test_a_file_is_never_overwritten(npgpt, refused, tmp_path):
    npgpt("exercise", "relu")
    solve(tmp_path / "relu_exercise.py")
    assert "relu_exercise.py exists already" in refused("exercise", "relu")
    (tmp_path / "tanh_exercise.py").symlink_to(tmp_path / "elsewhere.py")
    assert "tanh_exercise.py exists already" in refused("exercise", "tanh")


@pytest.mark.parametrize("arguments, complaint", [
    (["lstm"], "no exercise is called 'lstm'; there are linear, "),
    (["linear", "--check", "linear_exercise.py"], "not both"),
    (["--check", "text.txt"], "text.txt is not the file of an exercise"),
    (["--hint", "text.txt"], "text.txt is not the file of an exercise"),
    (["--check", "other.py"], "no exercise is called 'lstm'"),
    (["--check", "missing.py"], "missing.py: No such file"),
    (["--check", "binary.py"], "binary.py is not a text file"),
    (["--check", ""], "must not be empty")])
def test_an_argument_that_makes_no_sense_is_refused(refused, text, tmp_path, arguments, complaint):
    (tmp_path / "other.py").write_text('"""Exercise lstm: ..."""\n')
    (tmp_path / "binary.py").write_bytes(b"\0\1")
    assert complaint in refused("exercise", *arguments)


@pytest.mark.parametrize("record", [
    "[]", "{", '{"relu": {"hints": "many"}}', '{"relu": 3}', '{"relu": {"hints": -2, "done": 1}}'])
def test_a_damaged_record_does_no_harm(npgpt, tmp_path, record):
    npgpt("exercise", "relu")
    (tmp_path / RECORD).write_text(record)
    listed = npgpt("exercise")
    assert listed.status == 2 and RECORD in listed.err or "begun" in listed.out
    hinted = npgpt("exercise", "--hint", "relu_exercise.py")
    assert hinted.status == 2 or hinted.out.startswith("hint 1 of ")
