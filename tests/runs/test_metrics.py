"""metrics.jsonl: one line for every step, even after interruptions."""
import json
import math

import pytest
from hypothesis import given, strategies as st

from npgpt.runs.metrics import LINE_LIMIT, METRICS_FILE, Metrics
from npgpt.training.trainer import Step


def write(folder, steps, after=0, **more):
    metrics = Metrics(folder, after)
    for number in steps:
        metrics.write(Step(number, 2.5, 0.5, 1e-3), {"tokens_per_second": 1234.56}, number / 8, more)
    metrics.close()
    return metrics


def lines(folder):
    return [json.loads(line) for line in (folder / METRICS_FILE).read_text().splitlines()]


def steps(folder):
    return [line["step"] for line in lines(folder)]


def test_a_line_for_each_step(tmp_path):
    write(tmp_path, [1])
    write(tmp_path, [2], after=1, validation_loss=3.5, bits_per_byte=4.5)
    assert lines(tmp_path) == [
        {"step": 1, "loss": 2.5, "learning_rate": 1e-3, "gradient_norm": 0.5, "tokens_per_second": 1234.6, "seconds": 0.125},
        {"step": 2, "loss": 2.5, "validation_loss": 3.5, "bits_per_byte": 4.5, "learning_rate": 1e-3, "gradient_norm": 0.5,
         "tokens_per_second": 1234.6, "seconds": 0.25}]


def test_a_line_can_be_read_as_soon_as_it_is_written(tmp_path):
    metrics = Metrics(tmp_path)
    metrics.write(Step(1, 2.5, 0.5, 1e-3), {}, 1)
    assert steps(tmp_path) == [1]
    metrics.close()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_and_infinity_are_written_as_null(tmp_path, bad):
    metrics = Metrics(tmp_path)
    metrics.write(Step(1, bad, bad, 1e-3), {}, 1)
    metrics.close()
    line, = lines(tmp_path)
    assert line["loss"] is None and line["gradient_norm"] is None and line["step"] == 1


def test_a_resumed_run_removes_the_steps_that_it_makes_again(tmp_path):
    write(tmp_path, range(1, 10))
    write(tmp_path, range(6, 12), after=5)
    assert steps(tmp_path) == list(range(1, 12))


def test_a_new_run_starts_an_empty_history(tmp_path):
    write(tmp_path, range(1, 10))
    write(tmp_path, [1])
    assert steps(tmp_path) == [1]


@given(st.data())
def test_a_history_that_was_cut_off_anywhere_is_continued(tmp_path_factory, data):
    """An incomplete line is removed; `last` is the step of the last complete one."""
    folder = tmp_path_factory.mktemp("run")
    write(folder, range(1, 6))
    content = (folder / METRICS_FILE).read_bytes()
    (folder / METRICS_FILE).write_bytes(content[:data.draw(st.integers(0, len(content)))])
    whole = (folder / METRICS_FILE).read_bytes().count(b"\n")
    metrics = write(folder, [whole + 1], after=5)
    assert metrics.last_step == whole and steps(folder) == list(range(1, whole + 2))


@pytest.mark.parametrize("junk", [b"{}\n", b"[1]\n", b'"step"\n', b"7\n", b'{"step": "2"}\n', b"\xff\n", b"\n", b"[" * 3000 + b"\n",
                                  b'{"step": 2' + b" " * LINE_LIMIT + b"}\n"])
def test_everything_after_a_damaged_line_is_removed(tmp_path, junk):
    write(tmp_path, [1])
    with open(tmp_path / METRICS_FILE, "ab") as file:
        file.write(junk + b'{"step": 2}\n')
    assert write(tmp_path, [2], after=9).last_step == 1
    assert steps(tmp_path) == [1, 2]
