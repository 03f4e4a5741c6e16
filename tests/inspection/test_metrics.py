"""Metrics, read as curves"""
import json
import os
import tracemalloc

import numpy as np
import pytest

from npgpt.errors import InputError
from npgpt.inspection import metrics
from npgpt.inspection.metrics import Curve, comparable, read_run, smooth, thin
from npgpt.runs.metrics import METRICS_FILE


def line(step, **values):
    return json.dumps({"step": step, "loss": 1.0 / step, "learning_rate": 0.1, "gradient_norm": 2.0, "seconds": 1.5, **values})


@pytest.fixture
def run_of(tmp_path):
    """Writes lines  ->  the run that is read back"""
    def read(*lines, end="\n"):
        (tmp_path / METRICS_FILE).write_text("\n".join(lines) + end)
        return read_run(tmp_path / METRICS_FILE)
    return read


def points(one):
    return list(zip(one.steps.tolist(), one.values.tolist()))


def test_every_measure_is_a_curve(run_of, tmp_path):
    run = run_of(line(1), line(2, validation_loss=3.5), line(3))
    assert points(run.loss) == [(1, 1.0), (2, 0.5), (3, 1 / 3)] and points(run.validation_loss) == [(2, 3.5)]
    assert points(run.learning_rate) == [(i, 0.1) for i in (1, 2, 3)]
    assert points(run.gradient_norm) == [(i, 2.0) for i in (1, 2, 3)]
    assert run.skipped == ""
    assert points(read_run(tmp_path).loss) == points(run.loss)                    # by its folder


def test_nan_infinite_and_missing_values_leave_a_gap(run_of):
    run = run_of(line(1), line(2, loss=None), line(3, loss=float("nan"), gradient_norm=float("inf")), line(4, loss=1e200))
    assert points(run.loss) == [(1, 1.0)] and run.gradient_norm.steps.tolist() == [1, 2, 4] and run.skipped == ""


def test_an_incomplete_last_line_is_skipped_and_named(run_of, tmp_path):
    run = run_of(line(1), line(2), line(3)[:20], end="")
    assert points(run.loss) == [(1, 1.0), (2, 0.5)]
    assert run.skipped == f"{tmp_path / METRICS_FILE}: skipped what cannot be read: line 3 (incomplete)"


@pytest.mark.parametrize("garbage", ["\0\0\0", "[1]", '{"loss": 3}', '{"step": null}', '{"step": "x", "loss": 1}',
                                     line(2)[:9] + line(3), "[" * 10**5, "1", '{"loss": null}', "\N{SNOWMAN}",
                                     '{"step": 1e999, "loss": 1}', '{"step": 2, "loss": [1]}', "{}"])
def test_garbage_between_good_lines_is_skipped_and_named(run_of, tmp_path, garbage):
    run = run_of(line(1), garbage, "", line(3))
    assert points(run.loss) == [(1, 1.0), (3, 1 / 3)]
    assert run.skipped == f"{tmp_path / METRICS_FILE}: skipped what cannot be read: line 2"


def test_of_many_lines_of_garbage_the_first_are_named(run_of, tmp_path):
    run = run_of("a", *(line(i) for i in range(1, 2500)), "b", "c", "d", "e")
    assert len(run.loss.steps) == 2499
    assert run.skipped == f"{tmp_path / METRICS_FILE}: skipped what cannot be read: line 1, line 2501, line 2502 and 2 more"


def test_where_a_run_was_resumed_the_later_lines_count(run_of):
    run = run_of(line(1), line(2), line(3), line(4), line(2, loss=9.0), line(3, loss=8.0))
    assert points(run.loss) == [(1, 1.0), (2, 9.0), (3, 8.0)]


@pytest.mark.parametrize("text, complaint", [("", "holds no metrics: there is no loss in it"),
                                             ("hello\n", "holds no metrics: line 1 cannot be read"),
                                             ('{"step": 1, "loss": null}\n', "holds no metrics: there is no loss in it")])
def test_a_file_without_metrics_is_refused(tmp_path, text, complaint):
    (tmp_path / "file").write_text(text)
    with pytest.raises(InputError, match=complaint):
        read_run(tmp_path / "file")


def test_a_run_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=f"is not a run: a model directory with {METRICS_FILE}"):
        read_run(tmp_path)
    with pytest.raises(InputError, match="is not a run"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize("place", ["", METRICS_FILE])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, place):
    os.mkfifo(tmp_path / METRICS_FILE)
    with pytest.raises(InputError, match="is not a run"):
        read_run(tmp_path / place)


def test_too_many_lines_are_refused(run_of, monkeypatch):
    monkeypatch.setattr(metrics, "MOST_LINES", 5)
    assert run_of(*map(line, range(1, 6))).steps == 5
    with pytest.raises(InputError, match=f"{METRICS_FILE} has more than 5 lines: too many to draw"):
        run_of(*map(line, range(1, 7)))


@pytest.mark.parametrize("lines", [[line(i, padding="x" * 100) for i in range(1, 10_001)],
                                   [line(1), *["garbage " * 10] * 10_000],
                                   [line(1), "x" * 1_000_000]], ids=["good", "garbage", "one long line"])
def test_the_text_is_not_kept_in_memory(run_of, tmp_path, lines):
    run_of(*lines)
    tracemalloc.start()
    read_run(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (tmp_path / METRICS_FILE).stat().st_size


def test_values_too_small_for_a_scale_are_0(run_of):
    run = run_of(line(1, loss=5e-324), line(2, loss=0.0, validation_loss=-1e-310), line(3, loss=1e-99))
    assert points(run.loss) == [(1, 0.0), (2, 0.0), (3, 1e-99)] and points(run.validation_loss) == [(2, 0.0)]


def test_smoothing_takes_the_mean_of_the_values_around():
    values = np.random.default_rng(0).random(20)
    smoothed = smooth(Curve(np.arange(20), values), 6).values
    assert np.allclose(smoothed, [values[max(i - 3, 0):i + 4].mean() for i in range(20)])
    assert np.allclose(smooth(Curve(np.arange(20), values), 0).values, values)


def test_thinning_keeps_the_ends_and_every_spike():
    values = np.random.default_rng(0).random(100_000)
    values[[777, 54_321]] = 50, -50
    thinned = thin(Curve(np.arange(100_000), values), 400)
    assert 300 < len(thinned.steps) <= 402 and (np.diff(thinned.steps) > 0).all()
    assert {0, 777, 54_321, 99_999} <= set(thinned.steps.tolist()) and np.array_equal(values[thinned.steps], thinned.values)


def test_runs_with_different_tokenizers_are_compared_in_bits_a_byte(run_of):
    coarse = run_of(line(1, loss=6.0), line(2, loss=4.0, validation_loss=8.0, bits_per_byte=4.0))
    fine = run_of(line(1, loss=3.0), line(2, loss=2.0, validation_loss=1.0, bits_per_byte=1.25))
    (first, second), unit = comparable([coarse, fine])
    assert unit.startswith("bits a byte")
    assert points(first.loss) == [(1, 3.0), (2, 2.0)] and points(first.validation_loss) == [(2, 4.0)]
    assert points(second.loss) == [(1, 3.75), (2, 2.5)] and points(second.validation_loss) == [(2, 1.25)]
    plain = run_of(line(1), line(2, validation_loss=1.0))
    for runs in ([coarse], [coarse, coarse], [coarse, plain], [plain, plain]):
        assert comparable(runs) == (runs, "nats a token")


def test_where_the_loss_is_0_bits_a_byte_tell_nothing(run_of):
    assert run_of(line(1, validation_loss=0.0, bits_per_byte=0.0)).bits_per_nat is None
