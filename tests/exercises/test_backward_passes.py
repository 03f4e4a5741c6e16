"""The exercises in which a backward pass is written: right and wrong solutions, and what is said about them."""
import ast
import inspect
import re
from pathlib import Path

import pytest

from npgpt.checking.catalogue import CASES
from npgpt.exercises.answer import answer
from npgpt.exercises.exercise_file import exercise_file
from npgpt.exercises.series import LAYERS

EMPTY = "    raise NotImplementedError\n"
MISTAKES = [(exercise, mistake) for exercise in LAYERS.values() for mistake in exercise.mistakes]


@pytest.fixture
def check(tmp_path):
    """Write text into the place of the empty function and check the file  ->  whether it is right, and what is said"""
    def check(name, body=EMPTY):
        path = tmp_path / f"{name}_exercise.py"
        path.write_text(exercise_file(LAYERS[name], path.name).replace(EMPTY, body), encoding="utf-8")
        right, lines = answer(LAYERS[name], path)
        return right, "\n".join(lines).replace(f"{tmp_path}/", "")
    return check


def own(exercise, right="", wrong=""):
    """npgpt's own backward function, called from the empty one. It may have a mistake."""
    source = inspect.getsource(exercise.backward)
    assert not right or source.count(right) == 1, f"{exercise.name} has {right!r} {source.count(right)} times"
    upstream, *_ = inspect.signature(exercise.backward).parameters
    source = source.replace(right, wrong) if right else source
    return (f"    return own({upstream}, cache)\n\n\nimport sys\n\n"
            f"names = dict(vars(sys.modules['{exercise.backward.__module__}']))\n"
            f"exec({source!r}, names)\nown = names['{exercise.backward.__name__}']\n")


def test_every_layer_has_an_exercise():
    layers = {case.layer for case in CASES if case.forward.__module__.startswith("npgpt.layers.")}
    assert layers | {"block", "post_ln_block"} <= LAYERS.keys()


@pytest.mark.parametrize("name", LAYERS)
def test_the_file_has_the_forward_pass_the_task_and_no_answer(name):
    exercise = LAYERS[name]
    text = exercise_file(exercise, "FILE")
    ast.parse(text)
    assert inspect.getsource(exercise.forward) in text and exercise.task in text and EMPTY in text
    assert text.endswith(EMPTY) and len(re.findall(r"^def ", text, re.MULTILINE)) == 2
    rest = text.replace(inspect.getsource(exercise.forward), "")
    assert not statements(inspect.getsource(exercise.backward)) & statements(rest)
    assert len(exercise.hints) >= 2 and exercise.mistakes and max(map(len, text.splitlines())) <= 125


def test_the_file_names_the_fields_of_the_cache():
    text = exercise_file(LAYERS["self_attention"], "FILE")
    assert "SelfAttentionCache(qkv, attention, proj, n_head, pattern)\n" in text
    assert "Named tuples" not in exercise_file(LAYERS["linear"], "FILE")


def statements(source):
    return {line.strip() for line in source.splitlines() if re.match(r"\s+(\w+.* [-+*]?= |return )", line)}


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_still_empty_is_said_to_be(name, check):
    right, said = check(name)
    assert not right and f"{name}_backward is still to be written" in said


@pytest.mark.parametrize("name", LAYERS)
def test_npgpts_own_backward_pass_is_right(name, check):
    assert check(name, own(LAYERS[name])) == (True, "")


@pytest.mark.parametrize("exercise, mistake", MISTAKES, ids=[f"{e.name}: {m.advice}" for e, m in MISTAKES])
def test_a_common_mistake_is_recognised(exercise, mistake, check):
    right, said = check(exercise.name, own(exercise, mistake.right, mistake.wrong))
    assert not right and "WRONG" in said and mistake.advice in said


RIGHT_DX = """    x, w, _ = cache
    rows, dys = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    dx = dy @ w.T
"""


@pytest.mark.parametrize("body, advice", [
    ("return dx, rows.T @ dys, dy", r"returns db with shape \(4, 5, 7\); b has shape \(7,\): a sum over the leading axes"),
    ("return dx, dys.T @ rows, dys.sum(axis=0)", r"returns dw with shape \(7, 6\); w has shape \(6, 7\): it is transposed"),
    ("return dx, rows.T @ dys", r"returns 2 gradients; expected: dx \(4, 5, 6\), dw \(6, 7\), db \(7,\)"),
    ("return dx", "returns 1 gradient; expected: "),
    ("pass", "returns nothing; expected: "),
    ("return dx, rows.T @ dys, [1.0] * 7", "returns 9 gradients; expected: "),
    ("return dx, rows.T @ dys, 1.0", "returns db as float; an array of shape "),
    ("return 3 * dx, rows.T @ dys, dys.sum(axis=0)", "The gradient of x: all of it must be multiplied by 0.3333"),
    ("return -dx, rows.T @ dys, dys.sum(axis=0)", "The gradient of x: its sign is wrong"),
    ("return dx, rows.T @ dys, 1.001 * dys.mean(axis=0)", "The gradient of b: all of it must be multiplied by 19.98"),
    ("return -dx, -rows.T @ dys, -dys.sum(axis=0)", "The gradient of x: its sign is wrong"),
    ("return 0 * dx, rows.T @ dys, dys.sum(axis=0)", "The gradient of x: it is zero everywhere"),
    ("return dx * np.nan, rows.T @ dys, dys.sum(axis=0)", "The gradient of x: it has entries that are NaN or infinite"),
    ("return dx + dy.sum(axis=-1, keepdims=True), rows.T @ dys, dys.sum(axis=0)", "The gradient of x: .* same number for"),
    ("return dx + x * dx, rows.T @ dys, dys.sum(axis=0)", "The gradient of x: a term is missing or wrong"),
    ("dy *= 1; dy += 1; return dx, rows.T @ dys, dys.sum(axis=0)", "acts on dy"),
    ("w *= 2; return dx, rows.T @ dys, dys.sum(axis=0)", "in-place operator"),
    ("return dx, rows.T @ dys, dys[0]", "return a copy"),
    ("return dx * np.abs(dy).sum(), rows.T @ dys, dys.sum(axis=0)", "linear in the upstream gradient"),
    ("return dx.astype(np.float64), rows.T @ dys, dys.sum(axis=0)", "another dtype"),
    ("return undefined", r"line 3\d, in linear_backward:\n    return undefined\nNameError: name 'undefined' is not defined"),
    ("return dys @ dys, 0, 0", r"line 3\d, in linear_backward:\n    return dys @ dys, 0, 0\nValueError: .*\n"
                               r"the shapes there: dys \(20, 7\)$"),
    ("return dx, rows.T @ dys, dys.sum(axis=0, keepdims=True)", r"\(1, 7\); .*: its first axes, of size 1, are too many"),
    ("return (dx", r"line 3\d: '\(' was never closed\n    return \(dx"),
    ])
def test_what_is_wrong_is_said_in_words(body, advice, check):
    right, said = check("linear", RIGHT_DX + f"    {body}\n")
    assert not right and re.search(advice, said), said
    assert "Traceback" not in said and "npgpt/" not in said


def test_the_other_gradients_of_a_wrong_one_are_shown_as_right(check):
    said = check("linear", RIGHT_DX + "    return dx, rows.T @ dys, dys.mean(axis=0)\n")[1]
    verdicts = {line.split()[1]: line.split()[-1] for line in said.splitlines()[1:4]}
    assert verdicts == {"x": "ok", "w": "ok", "b": "WRONG"}
    assert "The gradient of b: it is a mean over the rows, and must be their sum" in said


def test_a_gradient_that_is_wrong_only_where_it_must_be_zero_is_told_so(check):
    body = ("    exp, total, counted, chosen, weight, _, shape = cache\n    dlogits = exp / total[:, None]\n"
            "    dlogits[counted, chosen] -= 1\n    return (dloss * weight * dlogits).reshape(shape)\n")
    said = check("cross_entropy", body)[1]
    assert "18 of 180 entries off; right except where it must be zero" in said
    assert "The gradient of logits: it is right except where it must be 0" in said


@pytest.mark.parametrize("forward, says", [
    ("return np.maximum(x, 0), [x]", ""),
    ("return np.maximum(x, 0) + 1, (x,)", "relu itself gives other values than npgpt's"),
    ("return np.maximum(x, 0)", "relu must return two things"),
])
def test_forward_may_keep_other_things_but_not_give_other_values(tmp_path, forward, says):
    path = tmp_path / "relu_exercise.py"
    text = exercise_file(LAYERS["relu"], path.name).replace("return np.maximum(x, 0), (x.real > 0,)", forward)
    path.write_text(text.replace(EMPTY, "    return dy * (cache[0] > 0)\n"))
    right, lines = answer(LAYERS["relu"], path)
    assert right == (not says) and says in "\n".join(lines)


@pytest.mark.parametrize("change, says", [
    (("def linear_backward(dy, cache):", "def backward(dy, cache):"), "does not define the function linear_backward"),
    (("def linear_backward(dy, cache):", "def linear_backward(dy):"), "TypeError: linear_backward() takes 1 positional"),
    (("import numpy as np", "import numpyy as np"), "No module named 'numpyy'"),
    (("    raise NotImplementedError", "    " * 2 + "raise NotImplementedError"), "unexpected indent"),
    (("    raise NotImplementedError", "    raise SystemExit(3)"), "SystemExit: 3"),
])
def test_what_keeps_a_file_from_being_run_is_said(tmp_path, change, says):
    path = tmp_path / "linear_exercise.py"
    path.write_text(exercise_file(LAYERS["linear"], path.name).replace(*change))
    right, lines = answer(LAYERS["linear"], path)
    assert not right and says in "\n".join(lines), lines


def test_the_page_shows_what_is_said(check):
    page = (Path(__file__).parents[2] / "npgpt/exercises/README.md").read_text(encoding="utf-8")
    function = re.search(r"```python\ndef .*?\n(.*?)```", page, re.DOTALL)[1]
    shown = re.search(r"```\n(layer .*?)\n\na hint:", page, re.DOTALL)[1]
    assert re.sub(r"\de-1\d", "", check("layer_norm", function)[1]) == re.sub(r"\de-1\d", "", shown)
