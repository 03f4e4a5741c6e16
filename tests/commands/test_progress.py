"""Progress: one rewritten line on a terminal, plain lines otherwise."""
import io
import sys
import time

import pytest

from npgpt.commands.progress import Progress, TrainingProgress, clock
from npgpt.training.evaluation import Validation
from npgpt.training.settings import TrainingSettings
from npgpt.training.trainer import Step


class Terminal(io.StringIO):
    def isatty(self):
        return True


def terminal(monkeypatch):
    """A terminal of 40 columns in the place of standard error."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    return sys.stderr


def test_a_terminal_shows_the_status_on_one_line_that_is_rewritten(monkeypatch):
    shown = terminal(monkeypatch)
    progress = Progress()
    progress.status("one")
    progress.status("two")
    assert shown.getvalue() == "\r\x1b[Kone\r\x1b[Ktwo"


def test_a_line_that_stays_replaces_the_status(monkeypatch):
    shown = terminal(monkeypatch)
    progress = Progress()
    progress.status("passing")
    progress.line("staying")
    progress.line("staying too")
    assert shown.getvalue() == "\r\x1b[Kpassing\r\x1b[Kstaying\n\r\x1b[Kstaying too\n"


def test_the_status_is_removed_at_the_end_also_after_an_error(monkeypatch):
    shown = terminal(monkeypatch)
    with pytest.raises(ValueError), Progress() as progress:
        progress.status("passing")
        raise ValueError
    assert shown.getvalue() == "\r\x1b[Kpassing\r\x1b[K"


def test_a_status_wider_than_the_terminal_is_cut_so_that_it_can_be_erased(monkeypatch):
    shown = terminal(monkeypatch)
    Progress().status("x" * 100)
    assert shown.getvalue() == "\r\x1b[K" + "x" * 39


def test_without_a_terminal_there_are_only_the_lines_that_stay(capsys):
    progress = Progress()
    progress.status("passing")
    progress.line("staying")
    assert capsys.readouterr() == ("", "staying\n")


def test_control_characters_in_a_line_do_not_reach_the_terminal(monkeypatch):
    shown = terminal(monkeypatch)
    with Progress() as progress:
        progress.status("a\x1b[2J")
        progress.line("b\x07\nc")
    assert r"a\x1b[2J" in shown.getvalue() and "b\\x07\nc\n" in shown.getvalue() and "\x1b[2J" not in shown.getvalue()


def test_training_reports_mean_loss_speed_and_time_left(monkeypatch, capsys):
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    progress = TrainingProgress(TrainingSettings(steps=100, batch_size=3, accumulate=2), units_per_example=50)
    now = 110.0
    for number, loss in ((1, 5.0), (2, 3.0)):
        progress.count(Step(number, loss, 1.0, 0.002))
    assert progress.report(Step(2, 3.0, 1.0, 0.002), Validation(4.5)) == 4.0   # 600 tokens in 10 seconds, and 98 steps of 5 to go
    assert capsys.readouterr().err == ("step   2/100  loss 4.0000  validation 4.5000  learning rate 2.0e-03  "
                                       "60 tokens/s  8:10 left\n")


def test_bits_a_byte_are_shown_beside_the_validation_loss(capsys):
    progress = TrainingProgress(TrainingSettings(steps=9), units_per_example=50, bits_per_nat=1.5)
    progress.report(Step(1, 2.0, 1.0, 0.1), Validation(4.0))
    assert "  loss 2.0000  validation 4.0000  bits/byte 6.0000  learning rate " in capsys.readouterr().err


def test_a_resumed_training_is_timed_by_the_steps_that_it_makes(monkeypatch, capsys):
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    progress = TrainingProgress(TrainingSettings(steps=100, batch_size=1), units_per_example=50)
    progress.start_clock(90)
    now = 110.0
    progress.report(Step(94, 2.0, 1.0, 0.1), Validation(4.0))                  # 4 steps in 10 seconds, and 6 to go
    assert "  20 tokens/s  0:15 left" in capsys.readouterr().err


def test_each_report_is_the_mean_of_the_losses_since_the_last(capsys):
    progress = TrainingProgress(TrainingSettings(steps=9), units_per_example=50)
    for number, loss in ((1, 5.0), (2, 3.0)):
        progress.count(Step(number, loss, 1.0, 0.1))
        progress.report(Step(number, loss, 1.0, 0.1), Validation(9.0))
    first, second = capsys.readouterr().err.splitlines()
    assert "loss 5.0000" in first and "loss 3.0000" in second


def test_the_clock_runs_from_when_it_is_started(monkeypatch):
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    progress = TrainingProgress(TrainingSettings(), 8)
    now = 130.0
    progress.start_clock()
    now = 135.0
    assert progress.seconds() == 5.0


@pytest.mark.parametrize("seconds, text", [(0, "0:00"), (0.6, "0:01"), (59.4, "0:59"), (59.6, "1:00"), (75, "1:15"), (3599.6, "1:00:00"),
                                           (3675, "1:01:15"), (360000, "100:00:00")])
def test_times_are_minutes_and_seconds(seconds, text):
    assert clock(seconds) == text


def test_skipped_steps_do_not_count_in_the_mean_loss():
    progress = TrainingProgress(TrainingSettings(steps=9), 50)
    for number, loss in ((1, 5.0), (2, float("nan")), (3, 3.0)):
        progress.count(Step(number, loss, 1.0, 0.1))
    assert progress.loss(Step(3, 3.0, 1.0, 0.1)) == 4.0
