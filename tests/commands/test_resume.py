"""npgpt train --resume: as if it had never been interrupted."""
import contextlib
import json
import os
import re
import shutil

import numpy as np
import pytest

from helpers import end_state, forget, history, write_tokens
from npgpt.commands.progress import TrainingProgress
from npgpt.files import sha256
from npgpt.interop.huggingface import CONFIG, WEIGHTS, load_config
from npgpt.runs.checkpoint import MOMENTS, RECORD, SUMS
from npgpt.runs.folder import prepare_resumed_run
from npgpt.runs.lock import LOCK_FILE, only_run
from npgpt.runs.metrics import METRICS_FILE
from npgpt.text.base_tokenizer import TOKENIZER_FILE

SMALL = ["--n-layer", 1, "--n-head", 2, "--n-embd", 8, "--n-positions", 8, "--batch-size", 2]
RUN = ["train", "--data", "text.txt", *SMALL, "--dropout", 0.1, "--steps", 8, "--eval-every", 4, "--checkpoint-every", 2]


def write_record(checkpoint, record):
    """Replace a checkpoint's record, with digests that fit."""
    (checkpoint / RECORD).write_text(json.dumps(record))
    (checkpoint / SUMS).write_text("".join(f"{sha256(path)}  {path.name}\n" for path in checkpoint.iterdir() if path.name != SUMS))


@pytest.fixture
def run(npgpt, text, tmp_path):
    """A finished run of 8 steps, with a checkpoint of every second."""
    assert npgpt(*RUN, "--keep-checkpoints", 9).status == 0
    return tmp_path / "out"


@pytest.mark.parametrize("step", [0, 2, 4, 6])
def test_a_resumed_run_ends_as_an_uninterrupted_one(npgpt, run, step):
    whole = end_state(run)
    forget(run, step)
    outcome = npgpt("train", "--resume", "out")
    assert outcome.status == 0 and f"resume out/checkpoints/step-{step:08}, after step {step}\n" in outcome.err
    assert end_state(run) == whole and [line["step"] for line in whole["history"]] == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("more", [["--accumulate", 2], ["--threads", 1], ["--dtype", "float64"], ["--tokenizer", "bpe"], ["--tokenizer", "byte"]])
def test_a_resumed_run_ends_as_an_uninterrupted_one_with_other_settings_too(npgpt, run, more):
    npgpt(*RUN, "--overwrite", *more)
    whole = end_state(run)
    forget(run, 6)
    assert npgpt("train", "--resume", "out").status == 0
    assert end_state(run) == whole


def test_the_time_left_of_a_resumed_run_is_foretold_by_its_own_steps(npgpt, run, monkeypatch):
    """On a clock that a step takes ten seconds of, which they did not before."""
    forget(run, 6)
    now = 0.0

    def slow(self, step, original=TrainingProgress.count):
        nonlocal now
        now += 10
        original(self, step)
    monkeypatch.setattr("time.perf_counter", lambda: now)
    monkeypatch.setattr(TrainingProgress, "count", slow)
    monkeypatch.setattr("npgpt.runs.recorder.Recorder.log", lambda *arguments: False)
    err = npgpt("train", "--resume", "out", "--steps", 18, "--eval-every", 1).err
    for step, left in ((7, "1:50"), (16, "0:20")):
        assert re.search(rf"^step +{step}/18 .* 2 tokens/s  {left} left$", err, re.M)


def test_a_run_on_token_files_is_resumed(npgpt, tmp_path):
    write_tokens(tmp_path / "tokens", np.arange(60) % 7, np.arange(60) % 7)
    npgpt("train", "--data", "tokens", *RUN[3:], "--vocab-size", 7)
    whole = end_state(tmp_path / "out")
    forget(tmp_path / "out", 6)
    assert npgpt("train", "--resume", "out").status == 0 and end_state(tmp_path / "out") == whole
    write_tokens(tmp_path / "tokens", np.arange(60) % 7, np.arange(61) % 7)
    assert "tokens: not the data that the run was trained on" in npgpt("train", "--resume", "out").err


def test_data_is_found_from_any_folder(npgpt, run, tmp_path, monkeypatch):
    whole = end_state(run)
    forget(run, 4)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert npgpt("train", "--resume", "../out").status == 0 and end_state(run) == whole


def test_data_that_was_moved_can_be_named_again(npgpt, run, text, tmp_path):
    whole = end_state(run)
    forget(run, 4)
    text.rename(tmp_path / "moved.txt")
    assert "text.txt: No such file or directory" in npgpt("train", "--resume", "out").err
    assert npgpt("train", "--resume", "out", "--data", "moved.txt").status == 0 and end_state(run) == whole
    assert json.loads((max((run / "checkpoints").iterdir()) / RECORD).read_text())["settings"]["data"] == [str(tmp_path / "moved.txt")]


def test_a_finished_run_says_so_and_continues_with_more_steps(npgpt, run):
    before = end_state(run)
    status, out, err = npgpt("train", "--resume", "out")
    assert (status, out) == (0, "") and end_state(run) == before
    assert err.endswith("out is finished: all 8 steps are made; for more: npgpt train --resume out --steps 16\n")
    status, _, err = npgpt("train", "--resume", "out", "--steps", 10)
    assert status == 0 and ("after step 8; changed: steps 8 -> 10, learning_rate 0.048 -> 0.0048; from here, the learning rate falls "
                            "from 0.0048, without a warm-up\n") in err
    assert [line["step"] for line in history(run)] == list(range(1, 11))


def rates(run):
    return [line["learning_rate"] for line in history(run)]


def test_with_more_steps_a_finished_run_starts_at_a_tenth_of_the_default_learning_rate_every_time(npgpt, run):
    for steps in (12, 16):
        npgpt("train", "--resume", "out", "--steps", steps)
        assert rates(run)[steps - 4:] == pytest.approx([0.0048 * share for share in (1, 0.75, 0.5, 0.25)])


def test_with_more_steps_a_low_learning_rate_is_not_exceeded(npgpt, text, tmp_path):
    npgpt(*RUN, "--learning-rate", 0.001)
    npgpt("train", "--resume", "out", "--steps", 10)
    assert max(rates(tmp_path / "out")) == rates(tmp_path / "out")[8] == 0.001


@pytest.mark.parametrize("steps", [7, 20])
def test_with_another_number_of_steps_the_learning_rate_goes_on_from_what_it_has_reached(npgpt, run, steps):
    planned = rates(run)
    forget(run, 4)
    npgpt("train", "--resume", "out", "--steps", steps)
    assert rates(run)[:4] == planned[:4] and rates(run)[4] == pytest.approx(planned[4], rel=0.005)
    assert all(before > after for before, after in zip(rates(run)[4:], rates(run)[5:]))
    assert rates(run)[-1] == pytest.approx(planned[4] / (steps - 4), rel=0.005)


def test_with_more_steps_a_run_still_in_its_warm_up_stays_in_it(npgpt, run):
    npgpt(*RUN, "--overwrite", "--warmup", 6, "--keep-checkpoints", 9)
    planned = rates(run)
    forget(run, 4)
    npgpt("train", "--resume", "out", "--steps", 20)
    assert rates(run)[:7] == planned[:7] and rates(run)[19] < rates(run)[7]


def test_with_more_steps_and_another_learning_rate_it_falls_from_there(npgpt, run):
    npgpt("train", "--resume", "out", "--steps", 10, "--learning-rate", 0.03)
    assert rates(run)[8:] == pytest.approx([0.03, 0.015])


def test_a_run_with_more_steps_is_itself_resumed_as_if_it_had_never_been_interrupted(npgpt, run):
    npgpt("train", "--resume", "out", "--steps", 16)
    whole = end_state(run)
    forget(run, 10)
    assert npgpt("train", "--resume", "out").status == 0 and end_state(run) == whole


def test_fewer_steps_than_were_made_are_refused(npgpt, run):
    status, _, err = npgpt("train", "--resume", "out", "--steps", 7)
    assert status == 2 and err.endswith("npgpt: error: --steps 7 is fewer than out has made: 8\n")


@pytest.mark.parametrize("flag, given, line", [
    ("--learning-rate", 0.5, "learning_rate 0.048 -> 0.5"), ("--batch-size", 3, "batch_size 2 -> 3"), ("--clip", 0.5, "clip 1.0 -> 0.5"),
    ("--threads", 3, "threads 1 -> 3"), ("--dropout", 0.2, "dropout 0.1 -> 0.2"), ("--weight-decay", 0, "weight_decay 0.1 -> 0.0"),
    ("--checkpoint-every", 3, "checkpoint_every 2 -> 3"), ("--keep-checkpoints", 1, "keep_checkpoints 9 -> 1"),
    ("--skip-bad-steps", 1, "skip_bad_steps 0 -> 1"), ("--eval-every", 1, "eval_every 4 -> 1")])
def test_changed_settings_are_used_and_reported(npgpt, text, tmp_path, flag, given, line):
    npgpt(*RUN, "--keep-checkpoints", 9, "--threads", 1)
    forget(tmp_path / "out", 4)
    outcome = npgpt("train", "--resume", "out", flag, given)
    assert outcome.status == 0 and f"after step 4; changed: {line}\n" in outcome.err
    assert "; changed" not in npgpt("train", "--resume", "out").err    # it is how the run goes on from now on


def test_a_changed_learning_rate_is_used(npgpt, run):
    forget(run, 4)
    npgpt("train", "--resume", "out", "--learning-rate", 0, "--min-learning-rate", 0)
    assert [line["learning_rate"] for line in history(run)[4:]] == [0] * 4


def test_the_same_settings_given_again_are_not_reported_as_changes(npgpt, run):
    forget(run, 4)
    outcome = npgpt(*RUN, "--keep-checkpoints", 9, "--tokenizer", "char", "--seed", 0, "--dtype", "float32", "--out", "out", "--resume", "out")
    assert outcome.status == 0 and "; changed" not in outcome.err


@pytest.mark.parametrize("arguments, complaint", [
    (["--n-layer", 2], "n_layer 2 was asked for, but out/checkpoints/step-00000008 has 1"),
    (["--n-embd", 4], "n_embd 4 was asked for, but out/checkpoints/step-00000008 has 8"),
    (["--n-head", 1], "n_head 1 was asked for, but out/checkpoints/step-00000008 has 2"),
    (["--n-positions", 4], "n_positions 4 was asked for, but out/checkpoints/step-00000008 has 8"),
    (["--preset", "tiny"], "n_layer 2 was asked for, but out/checkpoints/step-00000008 has 1"),
    (["--preset", "tiny", "--n-layer", 1, "--n-head", 2], "n_embd 12 was asked for, but out/checkpoints/step-00000008 has 8"),
    (["--dtype", "float64"], "dtype float64 was asked for, but out/checkpoints/step-00000008 has float32"),
    (["--tokenizer", "byte"], "tokenizer byte was asked for, but out/checkpoints/step-00000008 has char"),
    (["--vocab-size", 99], "vocab_size 99 was asked for, but out/checkpoints/step-00000008 has 28"),
    (["--seed", 1], "seed 1 was asked for, but out/checkpoints/step-00000008 has 0"),
    (["--data", "other.txt"], "other.txt: not the data that the run was trained on, "),
    (["--init", "out"], "--init starts a new run, and --resume continues the one in out"),
    (["--overwrite"], "--overwrite starts a new run, and --resume continues the one in out"),
    (["--out", "other"], "--out starts a new run, and --resume continues the one in out"),
    (["--threads", 0], "threads must be 1 or more, not 0"), (["--keep-checkpoints", 0], "keep_checkpoints must be 1 or more, not 0"),
    (["--learning-rate", -1], "learning_rate must be 0 or more, not -1.0")])
def test_what_a_run_cannot_change_is_refused(npgpt, run, tmp_path, arguments, complaint):
    (tmp_path / "other.txt").write_text("the lazy dog jumps over the quick brown fox\n" * 10)
    before = end_state(run)
    status, out, err = npgpt("train", "--resume", "out", *arguments)
    assert (status, out) == (2, "") and f"npgpt: error: {complaint}" in err and end_state(run) == before


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER_FILE])
def test_a_configuration_or_tokenizer_that_the_user_changed_is_refused(npgpt, run, name):
    (run / name).write_text("{}")
    assert f"npgpt: error: out/{name} is not the run's: put back that of out/checkpoints/step-00000008, " in npgpt(
        "train", "--resume", "out").err
    assert (run / name).read_text() == "{}"


def test_data_that_was_changed_is_refused(npgpt, run, text):
    text.write_text(text.read_text().replace("fox", "cat", 1))
    assert "text.txt: not the data that the run was trained on, " in npgpt("train", "--resume", "out").err


@pytest.mark.parametrize("folder", ["nowhere", "empty", "model", "out/checkpoints/step-00000008"])
def test_where_there_is_nothing_to_resume_nothing_happens(npgpt, run, model, tmp_path, folder):
    (tmp_path / "empty").mkdir()
    status, out, err = npgpt("train", "--resume", folder)
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert ("it does not exist" in err) == (folder == "nowhere")
    assert ("holds no run to resume" in err or "is one checkpoint of a run" in err) and not any((tmp_path / "empty").iterdir())


@pytest.mark.skipif(os.name != "posix", reason="needs devices and pipes")
@pytest.mark.parametrize("changes, complaint", [
    ({"threads": 2**70}, "threads must be"), ({"threads": 5000}, "threads must be at most 1,024, not 5000"), ({"threads": True}, "threads must be"), ({"checkpoint_every": 0}, "checkpoint_every must be"),
    ({"eval_every": 10**400}, "eval_every must be"), ({"keep_checkpoints": None}, "keep_checkpoints must be"),
    ({"data": ["a\0b"]}, "data must be"), ({"data": [""]}, "data must be"), ({"data": []}, "data must be"), ({"sha256": 1}, "sha256 must be"),
    ({"steps": 10**400}, "steps must be at most 1,000,000,000"), ({"batch_size": 2**70}, "batch_size must be at most"),
    ({"unknown": 1}, "does not hold the settings of a run"), (None, "does not hold the settings of a run"),
    ({"data": ["/dev/zero"]}, "/dev/zero, which the run was trained on, is not a file, or empty: name its data with --data"),
    ({"data": ["pipe"]}, "pipe, which the run was trained on, is not a file"),
    ({"data": ["/proc/kmsg"]}, "/proc/kmsg, which the run was trained on, is not a file, or empty"),
    ({"batch_size": 3 * 10**6}, "training needs about"), ({"accumulate": 10**9}, "training needs about")])
def test_forged_settings_are_refused(npgpt, run, tmp_path, changes, complaint):
    """Though the digests are right."""
    os.mkfifo(tmp_path / "pipe")
    forget(run, 2)
    newest = max((run / "checkpoints").iterdir())
    record = json.loads((newest / RECORD).read_text())
    record["settings"] = record["settings"] | changes if changes else {}
    write_record(newest, record)
    status, out, err = npgpt("train", "--resume", "out")
    assert (status, out) == (2, "") and err.startswith("npgpt: error: ") and complaint in err and err.count("\n") == 1


@pytest.mark.parametrize("name", [METRICS_FILE, LOCK_FILE])
def test_a_link_in_a_run_from_somebody_else_is_not_followed(npgpt, run, tmp_path, name):
    (tmp_path / "precious").write_text("mine\n")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(tmp_path / "precious")
    forget(run, 4)
    status, _, err = npgpt("train", "--resume", "out")
    assert status == 2 and "Too many levels of symbolic links" in err.splitlines()[-1]
    assert (tmp_path / "precious").read_text() == "mine\n"


def test_a_model_that_was_not_published_is_published(npgpt, run):
    """A run may be killed between its checkpoint and its model."""
    before = end_state(run)
    (run / WEIGHTS).unlink()
    (run / CONFIG).write_text("{}")
    assert npgpt("train", "--resume", "out").status == 0
    assert end_state(run) == before and load_config(run).n_embd == 8


def test_the_newest_checkpoint_is_published_but_never_an_older_one_in_place_of_a_damaged(run):
    """A run may be killed between its checkpoint and its model, with the older model still there."""
    older, newest = (run / "checkpoints" / f"step-0000000{step}" for step in (6, 8))
    (run / WEIGHTS).unlink()                                       # it is another name of a checkpoint's file
    shutil.copy(older / WEIGHTS, run / WEIGHTS)
    assert prepare_resumed_run(run)[0].step == 8 and (run / WEIGHTS).read_bytes() == (newest / WEIGHTS).read_bytes()
    (newest / MOMENTS).write_bytes(b"")
    assert prepare_resumed_run(run)[0].step == 6 and (run / WEIGHTS).read_bytes() == (newest / WEIGHTS).read_bytes()


def test_an_older_checkpoint_is_used_where_the_newest_is_damaged(npgpt, run):
    whole = end_state(run)
    (run / "checkpoints" / "step-00000008" / MOMENTS).write_bytes(b"")
    outcome = npgpt("train", "--resume", "out")
    skipped, resumed, *_ = outcome.err.splitlines()
    assert outcome.status == 0 and resumed == "resume out/checkpoints/step-00000006, after step 6"
    assert skipped.startswith("skipped: out/checkpoints/step-00000008 is damaged: training.safetensors ")
    assert end_state(run) == whole


def test_a_damaged_history_is_reported(npgpt, run):
    lines = (run / METRICS_FILE).read_text().splitlines(keepends=True)
    (run / METRICS_FILE).write_text("".join([*lines[:4], "{" + lines[4], *lines[5:]]))
    outcome = npgpt("train", "--resume", "out", "--steps", 9)
    assert outcome.status == 0 and "\nout/metrics.jsonl is damaged: the history of steps 5 to 8 is lost\n" in outcome.err
    assert [line["step"] for line in history(run)] == [1, 2, 3, 4, 9]


def test_a_run_that_another_process_trains_is_left_alone(npgpt, run):
    with only_run(run):
        for arguments in (["--resume", "out"], ["--data", "text.txt", *SMALL, "--overwrite"]):
            status, _, err = npgpt("train", *arguments)
            assert status == 2 and f"out is being trained by process {os.getpid()}: " in err


def test_a_dry_run_says_where_it_would_resume(npgpt, run):
    forget(run, 4)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    status, out, err = npgpt("train", "--resume", "out", "--dry-run", "--steps", 20)
    assert status == 0 and err.startswith("resume out/checkpoints/step-00000004, after step 4; changed: steps 8 -> 20, learning_rate 0.048 -> 0.0")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_run_to_be_replaced_can_be_resumed_until_the_new_one_has_a_checkpoint(npgpt, run, monkeypatch):
    before = end_state(run)

    def full(self):
        raise OSError(28, "No space left on device", "out")
    with monkeypatch.context() as patch:
        patch.setattr("npgpt.runs.recorder.Recorder.save", full)
        assert npgpt(*RUN, "--overwrite", "--seed", 1).status == 2
    assert npgpt("train", "--resume", "out").status == 0
    assert end_state(run) == before


def test_skipped_steps_are_counted_across_a_resume(npgpt, run, monkeypatch):
    """One may be skipped; one was, before the interruption."""
    forget(run, 0)
    calls = iter(range(1, 99))

    @contextlib.contextmanager
    def spoiled_gradients(task, threads):
        def spoiled(*arguments):
            loss, gradients = task.loss_and_gradients(*arguments)
            return (np.nan if next(calls) in (3, 6) else loss), gradients
        yield spoiled
    monkeypatch.setattr("npgpt.commands.train.parallel_gradients", spoiled_gradients)
    status, _, err = npgpt("train", "--resume", "out", "--skip-bad-steps", 1, "--threads", 1)
    assert status == 2 and "at step 6 (norms before it: " in err
    assert err.endswith("may help; out holds the model of step 4; resume with: npgpt train --resume out\n")
    assert [line["loss"] is None for line in history(run)] == [False, False, True, False, False]
    calls = iter([1, 3] + [1] * 9)                                 # the second of those made now is bad
    status, _, err = npgpt("train", "--resume", "out")
    assert status == 2 and "at step 6" in err
    calls = iter([1, 3] + [1] * 9)
    assert npgpt("train", "--resume", "out", "--skip-bad-steps", 2).status == 0
    assert [line["loss"] is None for line in history(run)] == [False, False, True, False, False, True, False, False]


def test_a_run_of_an_earlier_version_is_refused_unharmed_and_its_model_can_start_another(npgpt, run, tmp_path):
    """In format 1, the moments were called mean and square, and had another scale."""
    for checkpoint in (run / "checkpoints").iterdir():
        record = json.loads((checkpoint / RECORD).read_text())
        write_record(checkpoint, {**record, "format": 1, "betas": [0.9, 0.99], "run": {}})
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    status, out, err = npgpt("train", "--resume", "out")
    assert (status, out) == (2, "") and err.startswith("npgpt: error: ") and err.count("\n") == 1
    assert "earlier version of npgpt" in err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert npgpt("train", "--init", "out", "--out", "other", "--data", "text.txt", "--steps", 1).status == 0
    assert load_config(tmp_path / "other") == load_config(run)


@pytest.mark.parametrize("moment", [8, 4])
def test_a_run_that_was_killed_before_it_removed_older_checkpoints_removes_them_when_it_is_resumed(npgpt, run, tmp_path, moment):
    """Finished or not. The best step so far stays too."""
    forget(run, moment)
    newest = run / "checkpoints" / f"step-{moment:08}"
    record = json.loads((newest / RECORD).read_text())
    record["settings"]["keep_checkpoints"] = 1
    write_record(newest, record)
    before = sorted(os.listdir(run / "checkpoints"))
    npgpt("train", "--resume", "out", "--dry-run")
    assert sorted(os.listdir(run / "checkpoints")) == before
    assert prepare_resumed_run(run)[0].step == moment
    assert sorted(os.listdir(run / "checkpoints")) == sorted({f"step-{step:08}" for step in (record["best"]["step"], moment)})


def test_no_damaged_checkpoint_is_kept_in_the_place_of_a_good_one(run):
    """The newest counts from the one that the run is resumed from."""
    (run / "checkpoints" / "step-00000008" / MOMENTS).write_bytes(b"")
    older = run / "checkpoints" / "step-00000006"
    record = json.loads((older / RECORD).read_text())
    write_record(older, {**record, "settings": {**record["settings"], "keep_checkpoints": 1}})
    assert prepare_resumed_run(run)[0].step == 6 and older.exists()
