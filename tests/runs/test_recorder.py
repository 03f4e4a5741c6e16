"""What a run writes to the disk."""
import dataclasses
import json
import os
import time

import numpy as np
import pytest

from npgpt.interop.huggingface import CONFIG as CONFIG_FILE, TOKENIZER_CONFIG, WEIGHTS, load_model, save
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.runs.checkpoint import read_checkpoint, restored_state
from npgpt.runs.folder import prepare_new_run, prepare_resumed_run
from npgpt.runs.recorder import MINUTES, Recorder
from npgpt.runs.settings import RunSettings
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.base_tokenizer import TOKENIZER_FILE
from npgpt.training.evaluation import Validation
from npgpt.training.trainer import Step, initial_state

CONFIG = GPTConfig(vocab_size=9, n_positions=8, n_embd=8, n_layer=1, n_head=2)
TASK = LanguageModelling(CONFIG)
SETTINGS = RunSettings(steps=100, batch_size=5, accumulate=3, threads=1, eval_every=10, data=None, sha256="0")


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)            # slow on some disks


@pytest.fixture
def recorder(tmp_path):
    recorders = []

    def make(origin=None, tokenizer=None, every=None, keep=2, bits_per_nat=None):
        state = restored_state(origin, TASK, SETTINGS) if origin else initial_state(initial_parameters(TASK.table), TASK, SETTINGS)
        settings = dataclasses.replace(SETTINGS, checkpoint_every=every, keep_checkpoints=keep)
        recorders.append(Recorder(tmp_path, state, Model(state.parameters, CONFIG, tokenizer), settings,
                                  TASK, origin, bits_per_nat))
        return recorders[-1]
    yield make
    for each in recorders:
        each.metrics.close()


def step(recorder, number, validation_loss=None):
    """Make a step that sets every parameter to its number."""
    state = recorder.state
    state.parameters[:], state.step, state.optimiser.t, state.seconds = number, number, number, number
    return recorder.log(Step(number, 2.0, 1.0, 1e-3), validation_loss and Validation(validation_loss))


def kept(folder):
    return sorted(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").iterdir())


def test_a_checkpoint_is_due_after_a_number_of_steps(recorder):
    made = recorder(every=3)
    assert [step(made, number) for number in range(1, 7)] == [False, False, True] * 2


def test_a_checkpoint_is_due_after_some_minutes(recorder, monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    made = recorder()
    assert not step(made, 1)
    now = 60 * MINUTES - 1
    assert not step(made, 2)
    now = 60 * MINUTES + 1
    assert step(made, 3)
    made.save()
    assert not step(made, 4)


def test_a_checkpoint_is_due_when_the_validation_loss_is_the_smallest_so_far(recorder):
    made = recorder(every=100)
    losses = [5.0, None, 6.0, 5.0, 4.0, float("nan")]
    assert [step(made, number, loss) for number, loss in enumerate(losses, 1)] == [True, False, False, False, True, False]


def test_a_line_has_the_speed_of_its_step_and_the_validation_loss_in_both_units(recorder, tmp_path):
    made = recorder(bits_per_nat=1.5)
    step(made, 1)
    step(made, 3, 2.0)                                             # two seconds after the other
    first, second = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    tokens = SETTINGS.accumulate * SETTINGS.batch_size * CONFIG.n_positions
    assert (first["tokens_per_second"], second["tokens_per_second"]) == (tokens, tokens / 2)
    assert "bits_per_byte" not in first and (second["validation_loss"], second["bits_per_byte"]) == (2.0, 3.0)


def test_the_speed_of_the_first_step_after_a_resume_is_that_of_the_step(recorder, tmp_path):
    made = recorder()
    step(made, 5)
    made.save()
    step(recorder(read_checkpoint(tmp_path / "checkpoints" / "step-00000005")), 6)
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["tokens_per_second"] == SETTINGS.accumulate * SETTINGS.batch_size * CONFIG.n_positions


def test_the_history_is_on_the_disk_before_the_checkpoint(recorder, tmp_path, monkeypatch):
    """Else the history of a run that is resumed after a power cut would have a gap."""
    made, flushed = recorder(), []

    def flush(file):
        flushed.append(os.path.basename(os.readlink(f"/proc/self/fd/{file}")))
    if not os.path.exists("/proc/self/fd"):
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", flush)
    step(made, 1)
    made.save()
    assert flushed[0] == "metrics.jsonl" and len(flushed) > 5


def test_the_newest_are_kept_and_the_best(recorder, tmp_path):
    made = recorder(every=1, keep=2)
    for number, loss in enumerate([5.0, 3.0, 4.0, 6.0, 7.0], 1):
        step(made, number, loss)
        made.save()
    assert kept(tmp_path) == [2, 4, 5]


def test_a_resumed_run_remembers_the_best(recorder, tmp_path):
    made = recorder(every=1, keep=1)
    for number, loss in enumerate([3.0, 4.0], 1):
        step(made, number, loss)
        made.save()
    again = recorder(read_checkpoint(tmp_path / "checkpoints" / "step-00000002"), every=1, keep=1)
    assert step(again, 3, 3.5)
    again.save()
    assert kept(tmp_path) == [1, 3]


def test_the_newest_checkpoint_is_the_model_and_takes_no_extra_space(recorder, tmp_path):
    made = recorder(tokenizer=CharacterTokenizer("abcdefghi"))
    for number in (1, 2):
        step(made, number)
        made.save()
    assert (load_model(tmp_path)[0] == 2).all()
    assert (tmp_path / WEIGHTS).samefile(tmp_path / "checkpoints" / "step-00000002" / WEIGHTS)
    assert {path.name for path in tmp_path.iterdir()} == {CONFIG_FILE, WEIGHTS, TOKENIZER_FILE,
                                                          TOKENIZER_CONFIG, "metrics.jsonl", "checkpoints"}


def test_files_that_the_user_adds_stay(recorder, tmp_path):
    made = recorder()
    step(made, 1)
    made.save()
    (tmp_path / TOKENIZER_FILE).write_text("mine")
    step(made, 2)
    made.save()
    assert (tmp_path / TOKENIZER_FILE).read_text() == "mine"


def test_files_that_the_user_adds_before_a_resume_stay(recorder, tmp_path):
    made = recorder()
    step(made, 1)
    made.save()
    (tmp_path / TOKENIZER_FILE).write_text("mine")
    resumed = recorder(read_checkpoint(tmp_path / "checkpoints" / "step-00000001"))
    step(resumed, 2)
    resumed.save()
    assert (tmp_path / TOKENIZER_FILE).read_text() == "mine"


def test_a_file_of_the_replaced_model_that_the_user_changes_meanwhile_stays(recorder, tmp_path):
    (tmp_path / TOKENIZER_FILE).write_text("old")
    (tmp_path / TOKENIZER_CONFIG).write_text("old")
    made = recorder()
    (tmp_path / TOKENIZER_FILE).write_text("mine")
    step(made, 1)
    made.save()
    assert (tmp_path / TOKENIZER_FILE).read_text() == "mine" and not (tmp_path / TOKENIZER_CONFIG).exists()


def test_the_history_that_is_put_aside_is_that_of_the_run_with_checkpoints(recorder, tmp_path):
    """Two runs in a row that should replace it, each killed before its first checkpoint."""
    made = recorder()
    step(made, 1)
    made.save()
    history = (tmp_path / "metrics.jsonl").read_bytes()
    for _ in range(2):
        prepare_new_run(tmp_path)
        step(recorder(), 1)
    prepare_resumed_run(tmp_path)
    assert (tmp_path / "metrics.jsonl").read_bytes() == history


def test_an_older_run_is_removed_with_the_first_checkpoint_and_not_earlier(recorder, tmp_path):
    made = recorder()
    step(made, 50)
    made.save()
    made = recorder()
    assert kept(tmp_path) == [50] and not made.folder_was_empty
    step(made, 10)
    made.save()
    assert kept(tmp_path) == [10]


def test_a_resumed_run_replaces_only_later_checkpoints(recorder, tmp_path):
    """Later ones are damaged, or the run would have been resumed from them."""
    made = recorder(keep=9)
    for number in (1, 2, 3):
        step(made, number)
        made.save()
    made = recorder(read_checkpoint(tmp_path / "checkpoints" / "step-00000002"), keep=9)
    assert kept(tmp_path) == [1, 2, 3]
    step(made, 5)
    made.save()
    assert kept(tmp_path) == [1, 2, 5]


def test_it_tells_which_step_is_on_the_disk(recorder):
    made = recorder()
    assert made.saved_step is None
    step(made, 1)
    assert made.saved_step is None
    made.save()
    assert made.saved_step == 1


@pytest.mark.parametrize("moment", range(60))
def test_a_write_that_fails_at_any_moment_leaves_a_whole_checkpoint_and_a_whole_model(recorder, tmp_path,
                                                                                      monkeypatch, moment):
    """Every call that changes the disk fails in turn, as on a full one; the models have different sizes."""
    larger = GPTConfig(vocab_size=9, n_positions=8, n_embd=16, n_layer=1, n_head=2)
    save(tmp_path, Model(np.full_like(initial_parameters(language_model_table(larger)), 7), larger, None))
    made = recorder(every=1)
    step(made, 1)
    countdown = iter([None] * moment)

    def or_full(function):
        def wrapped(*arguments, **settings):
            if next(countdown, "full") == "full":
                raise OSError(28, "No space left on device")
            return function(*arguments, **settings)
        return wrapped
    with monkeypatch.context() as patch:
        for name in ("fsync", "replace", "rename", "link", "mkdir"):
            patch.setattr(os, name, or_full(getattr(os, name)))
        try:
            made.save()
        except OSError as error:
            assert error.filename is not None
    written = tmp_path / "checkpoints" / "step-00000001"
    models = [folder for folder in (tmp_path, written) if (folder / WEIGHTS).exists()]
    assert models
    for folder in models:
        parameters, config = load_model(folder)
        assert (parameters == (7 if config == larger else 1)).all()
    if written.exists():
        assert read_checkpoint(written).step == 1
