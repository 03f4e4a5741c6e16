"""Checkpoints: the whole state, bit for bit, or an error that says what is wrong."""
import dataclasses
import json
import os

import numpy as np
import pytest

from npgpt.errors import InputError
from npgpt.files import sha256
from npgpt.interop.huggingface import load_model
from npgpt.interop.safetensors import read_safetensors, write_safetensors
from npgpt.model.config import GPTConfig
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.runs.checkpoint import (MOMENTS, SUMS, Damaged, checkpoint_folders, newest_checkpoint, read_checkpoint,
                                   recorded_settings, restored_state, write_checkpoint)
from npgpt.runs.record import RECORD, Best
from npgpt.runs.settings import RunSettings
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.corpus import Corpus
from npgpt.training.trainer import initial_state, train

CONFIG = GPTConfig(vocab_size=9, n_positions=8, n_embd=8, n_layer=1, n_head=2)
SETTINGS = RunSettings(steps=6, batch_size=3, warmup=2, skip_bad_steps=1, threads=1, eval_every=2,
                       data=["/text"], sha256="0")
TOKENS = np.random.default_rng(0).integers(9, size=300)
TASK = LanguageModelling(CONFIG, Corpus(TOKENS, TOKENS))
TOKENIZER = CharacterTokenizer("abcdefghi")


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)            # slow on some disks


def state_after(steps, dtype=np.float32):
    state = initial_state(initial_parameters(TASK.table, 0, dtype), TASK, SETTINGS)
    for step in train(state, TASK, SETTINGS):
        if step.number == steps:
            break
    return state


def write(run, steps=3, state=None, **more):
    """A checkpoint of a state, by default the one after so many steps."""
    state = state or state_after(steps)
    return write_checkpoint(run, state, Model(state.parameters, CONFIG, TOKENIZER), SETTINGS, **more)


def reseal(folder):
    """Digests that fit whatever is in the folder now."""
    others = sorted(path for path in folder.iterdir() if path.name != SUMS)
    (folder / SUMS).write_text("".join(f"{sha256(path)}  {path.name}\n" for path in others))


def test_the_moments_that_are_written_are_the_optimisers(tmp_path):
    state = state_after(3)
    moments, _ = read_safetensors(write(tmp_path, state=state) / MOMENTS)
    assert moments.keys() == {"m", "v"}
    assert (moments["m"] == state.optimiser.m).all(), "m is not the first moment"
    assert (moments["v"] == state.optimiser.v).all(), "v is not the second moment"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_restored_state_trains_on_bit_for_bit_as_the_uninterrupted_one(tmp_path, dtype):
    """Dropout included, which draws from the second generator."""
    whole = state_after(6, dtype)
    state = restored_state(read_checkpoint(write(tmp_path, state=state_after(3, dtype))), TASK, SETTINGS)
    assert [step.number for step in train(state, TASK, SETTINGS)] == [4, 5, 6]
    assert state.parameters.dtype == dtype
    for got, expected in ((state.parameters, whole.parameters), (state.optimiser.m, whole.optimiser.m),
                          (state.optimiser.v, whole.optimiser.v)):
        assert got.tobytes() == expected.tobytes()
    assert state.batch_rng.bit_generator.state == whole.batch_rng.bit_generator.state
    assert state.dropout_rng.bit_generator.state == whole.dropout_rng.bit_generator.state
    assert (state.optimiser.t, state.norms) == (whole.optimiser.t, whole.norms)


def test_moments_are_the_same_under_other_betas(tmp_path):
    """They are the paper's m and v, which need no conversion."""
    state = state_after(3)
    other = dataclasses.replace(SETTINGS, beta1=0.5, beta2=0.75)
    restored = restored_state(read_checkpoint(write(tmp_path, state=state)), TASK, other)
    assert (restored.optimiser.m == state.optimiser.m).all() and (restored.optimiser.v == state.optimiser.v).all()
    assert (restored.optimiser.beta1, restored.optimiser.beta2) == (0.5, 0.75)


def test_every_part_of_the_state_comes_back(tmp_path):
    """Fails where a field is added to the state and not to checkpoints."""
    state = dataclasses.replace(state_after(3), skipped=2, seconds=1.25, norms=[1.0, 1e300, 0.5])
    state.optimiser.t = 1
    restored = restored_state(read_checkpoint(write(tmp_path, state=state)), TASK, SETTINGS)
    assert {field.name for field in dataclasses.fields(state)} == {
        "parameters", "optimiser", "batch_rng", "dropout_rng", "step", "skipped", "seconds", "norms"}
    assert (restored.step, restored.skipped, restored.seconds, restored.norms) == (3, 2, 1.25, [1.0, 1e300, 0.5])
    assert restored.optimiser.t == 1


def test_the_norm_of_a_skipped_step_comes_back_as_nan(tmp_path):
    """JSON has no NaN and no infinity."""
    state = dataclasses.replace(state_after(3), norms=[1.0, np.nan, np.inf])
    restored = restored_state(read_checkpoint(write(tmp_path, state=state)), TASK, SETTINGS)
    np.testing.assert_array_equal(restored.norms, [1, np.nan, np.nan])


def test_a_checkpoint_is_a_model_directory(tmp_path):
    folder = write(tmp_path)
    assert folder == tmp_path / "checkpoints" / "step-00000003"
    assert (load_model(folder)[0] == state_after(3).parameters).all()
    assert read_checkpoint(folder).model.tokenizer.vocabulary == TOKENIZER.vocabulary


def test_best_loss_settings_and_replaced_files_come_back(tmp_path):
    checkpoint = read_checkpoint(write(tmp_path, best=Best(2, 1.5), replaced={"config.json": "abc"}))
    assert checkpoint.best == Best(2, 1.5) and checkpoint.settings == SETTINGS and checkpoint.step == 3
    assert checkpoint.record["replaced"] == {"config.json": "abc"}


def test_the_newest_is_found(tmp_path):
    for step in (2, 5, 3):
        write(tmp_path, step)
    assert [folder.name[-1] for folder in checkpoint_folders(tmp_path)] == ["2", "3", "5"]
    checkpoint, damaged = newest_checkpoint(tmp_path)
    assert checkpoint.step == 5 and damaged == []


def test_checkpoints_are_sorted_by_number_not_by_name(tmp_path):
    for name in ("step-99999999", "step-100000000", "steps"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        (tmp_path / "checkpoints" / name / RECORD).touch()
    assert [folder.name for folder in checkpoint_folders(tmp_path)] == ["step-99999999", "step-100000000"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", MOMENTS, RECORD, SUMS])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_an_older_one_is_read_where_the_newest_is_damaged(tmp_path, name, damage):
    write(tmp_path, 2)
    path = write(tmp_path, 5) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-1])
    checkpoint, damaged = newest_checkpoint(tmp_path)
    assert checkpoint.step == 2 and len(damaged) == 1
    assert "step-00000005" in damaged[0] and (name in damaged[0] or SUMS in damaged[0])


def test_where_all_are_damaged_an_error_names_the_damage(tmp_path):
    with pytest.raises(InputError, match="holds no run to resume"):
        newest_checkpoint(tmp_path)
    (write(tmp_path) / MOMENTS).write_bytes(b"")
    with pytest.raises(InputError, match="training.safetensors"):
        newest_checkpoint(tmp_path)


def test_the_folder_of_a_checkpoint_is_refused_in_place_of_its_run(tmp_path):
    with pytest.raises(InputError, match="is one checkpoint of a run"):
        newest_checkpoint(write(tmp_path))


STATE = json.loads(json.dumps(np.random.default_rng(0).bit_generator.state))


@pytest.mark.parametrize("changes", [
    {"format": 3}, {"format": None}, {"step": -1}, {"step": 3.0}, {"step": "3"}, {"step": True}, {"step": 2**70},
    {"step": 4}, {"updates": None},
    {"skipped": 1}, {"seconds": -1}, {"seconds": 1e17}, {"seconds": 10**300}, {"seconds": "1"}, {"norms": 1.0},
    {"norms": ["1"]}, {"norms": None}, {"replaced": None}, {"replaced": {"a": 1}},
    {"settings": None}, {"settings": []}, {"settings": {}},
    {"best": 1.0}, {"best": {"step": 1}}, {"best": {"step": 1, "validation_loss": "1"}},
    {"best": {"step": 1, "validation_loss": 1, "x": 1}},
    {"generators": None}, {"generators": {"batches": STATE}}, {"generators": {"batches": STATE, "dropout": None}},
    *({"generators": {"batches": STATE, "dropout": {**STATE, **change}}} for change in (
        {"bit_generator": "MT19937"}, {"state": None}, {"state": {"state": 1}}, {"state": {"state": -1, "inc": 1}},
        {"state": {"state": 2**128, "inc": 1}}, {"state": {"state": 1.5, "inc": 1}}, {"state": {"state": "1", "inc": 1}},
        {"has_uint32": 2**80}, {"uinteger": -1}, {"uinteger": 2**40}, {"extra": 1}))])
def test_a_wrong_record_is_refused_even_where_its_digest_is_right(tmp_path, changes):
    folder = write(tmp_path)
    record = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps(record | changes))
    reseal(folder)
    with pytest.raises(InputError, match=f"{folder / RECORD}"):
        read_checkpoint(folder)


@pytest.mark.parametrize("moments", [{}, {"m": 1}, {"m": 1, "v": 0.5}])
def test_moments_that_do_not_fit_the_parameters_are_refused(tmp_path, moments):
    folder = write(tmp_path)
    N = len(load_model(folder)[0])
    write_safetensors(folder / MOMENTS, {name: np.zeros(int(N * part), np.float32) for name, part in moments.items()}, {})
    reseal(folder)
    with pytest.raises(InputError, match="must hold '(m|v)'"):
        read_checkpoint(folder)


@pytest.mark.parametrize("sums", [b"", b"\xff", b"0" * 64 + b"  ../config.json\n", b"0" * 64 + b"  /etc/passwd\n", b"x" * 70000,
                                  b"0" * 63 + b"  config.json\n"])
def test_a_damaged_list_of_digests_is_refused(tmp_path, sums):
    folder = write(tmp_path)
    (folder / SUMS).write_bytes(sums)
    with pytest.raises(InputError, match=SUMS):
        read_checkpoint(folder)


def test_the_callback_runs_when_the_checkpoint_is_written_and_before_it_gets_its_name(tmp_path):
    there = []
    folder = write(tmp_path, before=lambda: there.append([path.name for path in (tmp_path / "checkpoints").iterdir()]))
    assert len(there) == 1 and folder.name not in there[0] and len(there[0]) == 1


def test_a_checkpoint_of_an_earlier_version_is_refused_and_a_damaged_one_is_only_skipped(tmp_path):
    """An older checkpoint that could be read is not used instead."""
    write(tmp_path, 2)
    folder = write(tmp_path, 5)
    (folder / RECORD).write_text(json.dumps({"format": 1}))
    assert newest_checkpoint(tmp_path)[0].step == 2
    reseal(folder)
    with pytest.raises(InputError, match="earlier version of npgpt"):
        newest_checkpoint(tmp_path)


def make_others(run):
    """What is no checkpoint, though it has a checkpoint's name: a file, a pipe, links, a folder of somebody's own."""
    places = [run / "checkpoints" / f"step-0000001{i}" for i in range(5)]
    places[0].write_text("mine")
    os.mkfifo(places[1])
    places[2].symlink_to(places[2])
    places[3].symlink_to(run / "checkpoints" / "step-00000003")
    places[4].mkdir()
    (places[4] / "notes").write_text("mine")
    return places


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
def test_other_things_with_the_name_of_a_checkpoint_are_ignored(tmp_path):
    write(tmp_path)
    make_others(tmp_path)
    assert [folder.name for folder in checkpoint_folders(tmp_path)] == ["step-00000003"]
    checkpoint, damaged = newest_checkpoint(tmp_path)
    assert checkpoint.step == 3 and damaged == []


@pytest.mark.skipif(os.name != "posix", reason="needs pipes")
def test_other_things_with_the_name_of_a_checkpoint_are_not_replaced(tmp_path):
    write(tmp_path)
    for place in make_others(tmp_path):
        with pytest.raises(FileExistsError) as error:
            write(tmp_path, state=dataclasses.replace(state_after(3), step=int(place.name[5:])))
        assert error.value.filename == str(place) and os.path.lexists(place)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", MOMENTS, RECORD])
def test_a_file_that_is_not_in_the_list_of_digests_is_damage(tmp_path, name):
    """Else whoever changes it would only have to remove its line."""
    folder = write(tmp_path)
    lines = (folder / SUMS).read_text().splitlines(True)
    (folder / SUMS).write_text("".join(line for line in lines if not line.endswith(f"  {name}\n")))
    with pytest.raises(Damaged, match=name):
        read_checkpoint(folder)


def test_a_list_of_digests_that_is_too_long_is_not_read(tmp_path):
    folder = write(tmp_path)
    (folder / SUMS).write_text((folder / SUMS).read_text() * 1000)
    with pytest.raises(Damaged, match=SUMS):
        read_checkpoint(folder)


def test_an_older_one_is_read_where_the_newest_cannot_be_read(tmp_path, monkeypatch):
    """As on a disk with a faulty sector."""
    write(tmp_path, 2)
    newest = write(tmp_path, 5)

    def fail(path, original=sha256):
        if path.parent == newest:
            raise OSError(5, "Input/output error", str(path))
        return original(path)
    monkeypatch.setattr("npgpt.runs.checkpoint.sha256", fail)
    checkpoint, damaged = newest_checkpoint(tmp_path)
    assert checkpoint.step == 2 and len(damaged) == 1 and "Input/output error" in damaged[0]


def test_the_settings_of_a_run_are_those_of_its_newest_checkpoint(tmp_path):
    state = state_after(3)
    for step in (3, 4):
        write_checkpoint(tmp_path, dataclasses.replace(state, step=step), Model(state.parameters, CONFIG, TOKENIZER),
                         dataclasses.replace(SETTINGS, steps=10 * step))
        record = checkpoint_folders(tmp_path)[-1] / RECORD
        record.write_text(record.read_text().replace('"updates": 3', f'"updates": {step}'))
    assert recorded_settings(tmp_path).steps == 40
    assert recorded_settings(checkpoint_folders(tmp_path)[0]).steps == 30
