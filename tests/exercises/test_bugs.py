"""The exercises in which a mistake is to be found in the backward pass of a GPT."""
import inspect
import subprocess
import sys

import pytest

from npgpt.checking.catalogue import check_variant
from npgpt.errors import InputError
from npgpt.exercises.bugs import BUGS, broken, broken_gradients, bug_answer, bug_file, bug_solution

BLOCK = ["ln_1.gain", "ln_1.bias", "attn.w_qkv", "attn.b_qkv", "attn.w_proj", "attn.b_proj", "ln_2.gain", "ln_2.bias",
         "mlp.w_up", "mlp.b_up", "mlp.w_down", "mlp.b_down"]
NAMES = ["wte", "wpe", *[f"blocks.{i}.{name}" for i in range(2) for name in BLOCK], "ln_f.gain", "ln_f.bias"]
WRONG = {
    "bug-1": [name for name in NAMES if ".b_" in name],
    "bug-2": ["wpe"],
    "bug-3": NAMES[:NAMES.index("blocks.1.mlp.w_down")],
    "bug-4": NAMES[:NAMES.index("blocks.1.ln_1.gain")],
    "bug-5": NAMES[:NAMES.index("ln_f.gain")],
    "bug-6": NAMES[:NAMES.index("blocks.1.attn.w_proj")],
    "bug-7": ["wte"],
    "bug-8": ["wte"],
    "bug-9": NAMES,
}


@pytest.mark.parametrize("name", BUGS)
def test_the_wrong_gradients_lead_to_the_mistake(name):
    wrong = [comparison.argument for comparison in broken_gradients(name).comparisons if not comparison.right]
    assert wrong == WRONG[name]


def test_a_broken_function_is_repaired_even_after_an_error():
    code = {name: bug.function.__code__ for name, bug in BUGS.items()}
    for name, bug in BUGS.items():
        with pytest.raises(KeyboardInterrupt):
            with broken(bug):
                assert bug.function.__code__ != code[name]
                raise KeyboardInterrupt
        assert bug.function.__code__ is code[name]
    assert check_variant("gpt", ("complex",)).right


@pytest.mark.parametrize("name", BUGS)
def test_the_file_does_not_tell_and_the_answer_is_checked(name, tmp_path):
    path, bug = tmp_path / "bug.py", BUGS[name]
    text = bug_file(name, "FILE")
    assert bug.function.__name__ not in text and bug.right.strip() not in text and len(bug.hints) >= 2
    answers = {f'"{one}"': True for one in (bug.function.__name__, f"npgpt.{bug.function.__name__}()", *bug.same)}
    for written in ('"dropout_backward"', '""', "None", "(", "1 / 0"):
        answers[written] = False
    for written, right in answers.items():
        path.write_text(text.replace('ANSWER = ""', f"ANSWER = {written}"))
        found, lines = bug_answer(name, path)
        assert found == right and bool(lines) == (not right), written
        assert not any(bug.function.__name__ in line for line in lines)
    assert bug.right.strip() in bug_solution(name) and bug.right in inspect.getsource(bug.function)


def test_the_file_shows_the_gradients_when_it_is_run(tmp_path):
    (tmp_path / "bug.py").write_text(bug_file("bug-2", "FILE"))
    printed = subprocess.run([sys.executable, "bug.py"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in printed.splitlines() if line.endswith("WRONG")] == ["wpe"]


def test_an_unknown_mistake_is_refused():
    with pytest.raises(InputError, match="no mistake is called 'bug-0'; there are bug-1, "):
        broken_gradients("bug-0")
