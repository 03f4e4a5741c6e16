"""npgpt train"""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from helpers import write_tokens
from npgpt.__main__ import main
from npgpt.commands.materials import SAMPLE_TOKENS
from npgpt.errors import InputError
from npgpt.interop.huggingface import CONFIG, TOKENIZER_CONFIG, WEIGHTS, load_config, load_model, save
from npgpt.interop.safetensors import read_safetensors
from npgpt.interop.weights import INDEX
from npgpt.layers.layer_norm import layer_norm
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.tokenizer import load_tokenizer
from npgpt.text.base_tokenizer import TOKENIZER_FILE
from npgpt.runs.lock import LOCK_FILE
from npgpt.runs.metrics import METRICS_FILE
from npgpt.runs.recorder import Recorder
from npgpt.training.evaluation import Validation

SMALL = ["--n-layer", 1, "--n-head", 2, "--n-embd", 8, "--n-positions", 8, "--batch-size", 2]
QUICK = ["train", "--data", "text.txt", *SMALL, "--steps", 4]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def in_a_process(*arguments, limit=None, **settings):
    """The command line in a process of its own; limit: the largest file that it can write, in bytes, as on a full disk."""
    program = "import sys; from npgpt.__main__ import main; sys.exit(main())"
    if limit is not None:
        program = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); {program}"
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **settings)


@pytest.fixture
def tokens(tmp_path):
    """A folder of token files, as nanoGPT makes them."""
    write_tokens(tmp_path / "tokens", np.arange(90) % 7, np.arange(20) % 7)
    return tmp_path / "tokens"


def test_a_text_becomes_a_model_that_the_other_commands_use(npgpt, text, monkeypatch):
    monkeypatch.setattr("npgpt.commands.materials.SAMPLE_TOKENS", SAMPLE_TOKENS)
    status, out, err = npgpt(*QUICK)
    assert status == 0
    assert sorted(files(text.parent / "out")) == [CONFIG, METRICS_FILE, WEIGHTS, TOKENIZER_FILE, TOKENIZER_CONFIG]
    assert load_tokenizer("out").vocabulary == sorted(set(text.read_text()))
    config = load_config("out")
    assert (config.n_layer, config.n_head, config.n_embd, config.n_positions, config.vocab_size) == (1, 2, 8, 8, 28)
    assert err.endswith("next: npgpt generate --model out\n")
    assert len(out.strip()) > 300                                  # a sample, and nothing else
    assert npgpt("generate", "--max-new-tokens", 5).status == 0
    assert npgpt("evaluate", "--data", text).status == 0


def test_commands_to_be_typed_are_quoted_for_the_shell(npgpt, text):
    assert npgpt(*QUICK, "--out", "my model").err.endswith("next: npgpt generate --model 'my model'\n")
    assert "for more: npgpt train --resume 'my model' --steps 8\n" in npgpt("train", "--resume", "my model").err
    assert ": resume it with --resume 'my model', choose another" in npgpt(*QUICK, "--out", "my model").err
    assert npgpt(*QUICK, "--out=-rf").err.endswith("next: npgpt generate --model ./-rf\n")
    assert npgpt("generate", "--model", "./-rf", "--max-new-tokens", 1).status == 0


def test_a_run_whose_metrics_cannot_be_read_ends_without_a_curve(npgpt, text, monkeypatch):
    def unreadable(folder):
        raise InputError("no metrics")

    monkeypatch.setattr("npgpt.commands.session.read_run", unreadable)
    status, _, err = npgpt(*QUICK)
    assert status == 0 and err.endswith("next: npgpt generate --model out\n") and "no metrics" not in err


def test_a_debugger_finds_six_calls_between_the_command_and_a_layer(npgpt, text, monkeypatch):
    depths = []

    def stop_here(*arguments):
        frame, names = sys._getframe(), []
        while frame.f_code is not main.__code__:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        if "train" in names:
            depths.append(len(names))
        return layer_norm(*arguments)
    monkeypatch.setattr("npgpt.model.block.layer_norm", stop_here)
    npgpt(*QUICK, "--threads", 1)
    assert len(depths) == 8 and max(depths) <= 6               # two layer norms in each of 4 steps


def test_progress_is_reported(npgpt, text):
    err = npgpt(*QUICK, "--eval-every", 2).err
    assert "text.txt: 396 tokens to train on, 44 to validate on, vocabulary size 28" in err
    assert "model  1,176 parameters in float32: 1 layers, 2 heads, 8 channels, context 8" in err
    steps = re.findall(r"^step (\d)/4  loss \d\.\d{4}  validation \d\.\d{4}  bits/byte \d\.\d{4}  learning rate \S+  "
                       r"[\d,]+ tokens/s  \d:\d\d left$", err, re.M)
    assert steps == ["2", "4"]
    assert "the validation loss is over all 44 tokens of its split; out holds the model of step 4" in err


def test_the_validation_loss_is_what_evaluate_finds(npgpt, text, tmp_path):
    err = npgpt(*QUICK).err
    loss = re.search(r"^loss +(\S+)", npgpt("evaluate").out, re.M)[1]
    assert re.search(rf"^step 4/4 .* validation {loss}  ", err, re.M)


@pytest.mark.parametrize("tokenizer", ["char", "byte", "bpe"])
def test_bits_a_byte_are_what_evaluate_finds(npgpt, text, tmp_path, tokenizer):
    (tmp_path / "text.txt").write_text("the quïck brown fox ☃" * 30, encoding="utf-8")
    err = npgpt(*QUICK, "--tokenizer", tokenizer).err
    bits = re.search(r"^bits per byte +(\S+)", npgpt("evaluate").out, re.M)[1]
    assert re.search(rf"^step 4/4 .*  bits/byte {bits}  ", err, re.M)
    last = json.loads((tmp_path / "out" / METRICS_FILE).read_text().splitlines()[-1])
    assert f"{last['bits_per_byte']:.4f}" == bits


def test_without_a_tokenizer_there_are_no_bits_a_byte(npgpt, tokens, tmp_path):
    assert "bits/byte" not in npgpt("train", "--data", tokens, *SMALL, "--steps", 4).err
    assert "bits_per_byte" not in (tmp_path / "out" / METRICS_FILE).read_text()


@pytest.mark.parametrize("arguments, looks", [(["--steps", 40], range(4, 41, 4)),
                                              (["--steps", 4, "--eval-every", 3], [3, 4]),
                                              (["--steps", 3], [1, 2, 3])])
def test_there_are_ten_validations_or_as_many_as_told_and_always_one_at_the_end(npgpt, text, tmp_path, arguments, looks):
    npgpt(*QUICK, *arguments)
    lines = map(json.loads, (tmp_path / "out" / METRICS_FILE).read_text().splitlines())
    assert [line["step"] for line in lines if "validation_loss" in line] == list(looks)


def test_the_validation_loss_is_over_the_same_windows_at_every_look_and_at_the_end(npgpt, text, tmp_path, monkeypatch):
    """At learning rate 0, the model is the same at every look."""
    monkeypatch.setattr("npgpt.tasks.language_modelling.VALIDATION_TOKENS", 24)
    err = npgpt(*QUICK, "--learning-rate", 0, "--eval-every", 1).err
    shown = re.findall(r"validation (\d\S+)", err)
    logged = [json.loads(line)["validation_loss"] for line in (tmp_path / "out" / METRICS_FILE).read_text().splitlines()]
    assert len(logged) == len(shown) == 4 and len(set(logged)) == 1 and set(shown) == {f"{logged[0]:.4f}"}
    assert "the validation loss is over 24 of the 44 tokens of its split; out holds" in err


@pytest.mark.parametrize("validation, training, said", [
    ([5.0, 3.0, 4.0, 5.0], 1.0, "step 2: 3.0000, in out/checkpoints/step-00000002; it has risen to 5.0000 since: the model overfits; "),
    ([5.0, 3.0, 4.0, 5.0], 3.3, "step 2: 3.0000, in out/checkpoints/step-00000002; it has risen to 5.0000 since\n"),
    ([5.0, 3.0, 3.01, 3.01], 1.0, "step 2: 3.0000, in out/checkpoints/step-00000002\n"),
    ([5.0, 4.0, 4.5, 3.0], 1.0, None)])
def test_the_end_names_the_best_step_where_it_is_not_the_last_and_overfitting(npgpt, text, monkeypatch, validation, training, said):
    losses = iter(validation)
    monkeypatch.setattr("npgpt.commands.session.Session.validate", lambda self: Validation(next(losses)))
    monkeypatch.setattr("npgpt.commands.progress.TrainingProgress.loss", lambda self, step: training)
    end = npgpt(*QUICK, "--eval-every", 1).err.partition("\ntrained in ")[2]
    assert f"\nthe validation loss was smallest at {said}" in end if said else "smallest" not in end
    assert os.path.exists("out/checkpoints/step-00000002")


@pytest.mark.parametrize("validation, training, said", [
    ([5.0, 3.0, 4.0, 5.0], 1.0, ["3", "4"]),                       # once while it trains, and at the end
    ([5.0, 3.0, 3.5, 2.9], 1.0, ["3"]),
    ([5.0, 3.0, 3.01, 5.0], 1.0, ["4"]),
    ([5.0, 3.0, 4.0, 5.0], 3.3, []),
    ([5.0, 4.0, 3.0, 2.0], 1.0, [])])
def test_overfitting_is_remarked_upon_when_it_is_seen(npgpt, text, monkeypatch, validation, training, said):
    losses = iter(validation)
    monkeypatch.setattr("npgpt.commands.session.Session.validate", lambda self: Validation(next(losses)))
    monkeypatch.setattr("npgpt.commands.progress.TrainingProgress.loss", lambda self, step: training)
    err = npgpt(*QUICK, "--eval-every", 1).err
    reports = re.split(r"^step (?=\d/4)", err, flags=re.M)[1:]
    assert [report[0] for report in reports if ": the model overfits; " in report] == said


def test_a_loss_above_that_of_a_uniform_guess_is_remarked_upon_once_after_the_warm_up(npgpt, text):
    remark = "the loss is larger than that of a uniform guess, 3.3322: training diverges; "
    err = npgpt(*QUICK, "--steps", 12, "--eval-every", 2, "--warmup", 6, "--learning-rate", 30).err
    assert err.count(remark) == 1 and err.index("step  8/12") < err.index(remark) < err.index("step 10/12")
    assert remark not in npgpt(*QUICK, "--out", "good", "--eval-every", 1, "--warmup", 0, "--learning-rate", 0.001).err


def test_no_thread_is_left(npgpt, text, monkeypatch):
    monkeypatch.setattr("npgpt.training.optimiser.PER_THREAD", 100)
    before = set(threading.enumerate())
    assert npgpt(*QUICK, "--threads", 3).status == 0
    assert not set(threading.enumerate()) - before


def test_training_learns(npgpt, text):
    err = npgpt(*QUICK, "--steps", 200, "--warmup", 10, "--learning-rate", 0.03).err
    first, *_, last = map(float, re.findall(r"validation (\d\S+)", err))
    assert last < first / 2


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_bytes(npgpt, text, tmp_path):
    for out, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert npgpt(*QUICK, "--dropout", 0.1, "--seed", seed, "--out", out).status == 0
    a, b, c = (files(tmp_path / out) for out in "abc")
    assert a.pop(METRICS_FILE) != b.pop(METRICS_FILE)                        # which tells the time
    assert a == b and a[WEIGHTS] != c[WEIGHTS]


def test_the_settings_reach_the_training(npgpt, text, tmp_path):
    """Each of them changes the result."""
    npgpt(*QUICK, "--out", "plain")
    for setting in ("--steps 3", "--batch-size 3", "--accumulate 2", "--learning-rate 1e-2", "--min-learning-rate 1e-3 --warmup 0",
                    "--warmup 1", "--weight-decay 100", "--beta1 0.5", "--beta2 0.5", "--clip 1e-9", "--seed 1", "--dropout 0.3",
                    "--dtype float64", "--n-embd 4", "--n-head 1", "--n-layer 2", "--n-positions 7", "--tokenizer byte"):
        assert npgpt(*QUICK, "--out", "other", "--overwrite", *setting.split()).status == 0
        assert files(tmp_path / "other")[WEIGHTS] != files(tmp_path / "plain")[WEIGHTS], setting


def test_at_learning_rate_0_the_model_stays_as_the_seed_made_it(npgpt, text):
    npgpt(*QUICK, "--learning-rate", 0, "--min-learning-rate", 0, "--seed", 3)
    parameters, config = load_model("out")
    assert (parameters == initial_parameters(language_model_table(config), 3)).all()


@pytest.mark.parametrize("every, losses, steps", [
    (["--checkpoint-every", 2], [9] * 5, [0, 1, 2, 4, 5]),         # the first look is always the best yet
    (["--checkpoint-every", 9], [5, 4, 6, 3, 7], [0, 1, 2, 4, 5]),
    (["--checkpoint-every", 9, "--eval-every", 3], [5, 6], [0, 3, 5]),
    ([], [1] * 5, [0, 1, 5])])
def test_checkpoints_are_written_first_and_last_after_a_number_of_steps_and_where_the_validation_loss_is_best(
        npgpt, text, monkeypatch, every, losses, steps):
    losses, saved = iter(losses), []
    monkeypatch.setattr("npgpt.commands.session.Session.validate", lambda self: Validation(next(losses)))
    monkeypatch.setattr("npgpt.runs.recorder.Recorder.save", lambda self: saved.append(self.state.step))
    npgpt(*QUICK, "--steps", 5, "--eval-every", 1, *every)
    assert saved == steps


def test_float64_and_bytes(npgpt, text):
    assert npgpt(*QUICK, "--dtype", "float64", "--tokenizer", "byte").status == 0
    parameters, config = load_model("out")
    assert parameters.dtype == np.float64 and config.vocab_size == 256 and isinstance(load_tokenizer("out"), ByteTokenizer)


def test_a_preset_brings_sizes_and_dropout_and_flags_change_them(npgpt, text):
    assert npgpt("train", "--data", text, "--preset", "tiny", "--n-layer", 1, "--dropout", 0.25, "--steps", 1).status == 0
    config = load_config("out")
    assert (config.n_layer, config.n_embd, config.vocab_size) == (1, 12, 28)
    assert config.resid_pdrop == config.embd_pdrop == config.attn_pdrop == 0.25


def test_without_data_the_text_is_pythons_documentation(npgpt):
    status, _, err = npgpt("train", *SMALL, "--n-positions", 64, "--steps", 1)
    assert status == 0 and "text   the documentation that comes with Python: " in err
    assert set("abcdefghijklmnopqrstuvwxyz") <= set(load_tokenizer("out").vocabulary)


def test_a_terminal_shows_that_the_text_is_encoded_and_validated(npgpt, text, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    err = npgpt(*QUICK).err
    assert "of 440 characters encoded" in err and "validation: 43 tokens" in err


def test_a_dry_run_describes_the_run_and_writes_nothing(npgpt, tmp_path):
    status, out, err = npgpt("train", "--dry-run")
    assert status == 0 and out == "" and "1,600 of 12 sequences each" in err
    assert re.search(r"^time   about \d+:\d\d, [\d,]+ ms a step, as measured just now$", err, re.M)
    assert not any(tmp_path.iterdir())


def test_a_dry_run_of_the_largest_preset_is_no_large_work(npgpt, text, monkeypatch):
    monkeypatch.setattr("npgpt.commands.train.machine_memory", lambda: 2**36)
    monkeypatch.setattr("npgpt.training.duration.measured_seconds", lambda config, *others: float(config.n_layer < 3))
    err = npgpt("train", "--data", text, "--preset", "gpt2-xl", "--n-positions", 16, "--dry-run").err
    assert "1,475,632,000 parameters" in err and re.search("\ntime   about [^0]", err)


def test_the_time_to_expect_is_that_of_all_steps_that_are_left_and_of_validations(npgpt, text, monkeypatch):
    """A step of 2 x 8 tokens in 10 seconds; a validation of 43 tokens takes a third of the time for each."""
    monkeypatch.setattr("npgpt.commands.materials.step_seconds", lambda *arguments: 10.0)
    assert "\ntime   about 11:30, 10,000 ms a step," in npgpt(*QUICK, "--steps", 60, "--eval-every", 6, "--dry-run").err
    npgpt(*QUICK, "--steps", 10)
    err = npgpt("train", "--resume", "out", "--steps", 60, "--eval-every", 50, "--dry-run").err
    assert "\ntime   about 8:29, 10,000 ms a step," in err


def test_of_the_largest_preset_memory_and_time_are_told_and_it_is_not_trained(npgpt, refused, tmp_path):
    """The time, by a part of it that is small enough to be computed."""
    (tmp_path / "text.txt").write_text("the quick brown fox\n" * 1000)
    arguments = ["train", "--preset", "gpt3-175b", "--data", "text.txt"]
    said = npgpt(*arguments, "--dry-run").err
    assert re.search(r"model  173,\d{3},\d{3},\d{3} parameters .* 96 layers, 96 heads, 12288 channels, context 2048", said)
    assert ", more than the " in said and re.search(r"\ntime   about [\d:,]+, [\d,]{9,} ms a step", said)
    assert "training needs about" in refused(*arguments)


MEMORY = r" of memory(.*?) \(parameters "


@pytest.mark.parametrize("share, said", [(0.5, ", more than the {there} of this machine"), (1.2, ", most of the {there} of this machine"),
                                         (2, ""), (None, "")])
def test_a_dry_run_tells_whether_the_memory_is_enough(npgpt, text, monkeypatch, share, said):
    need = int(re.search(r"about (\d+) MB of memory", npgpt(*QUICK, "--dry-run").err)[1])
    there = share and int(share * need)
    monkeypatch.setattr("npgpt.commands.train.machine_memory", lambda: there and there * 2**20)
    status, _, err = npgpt(*QUICK, "--dry-run")
    assert status == 0 and re.search(MEMORY, err)[1] == said.format(there=f"{there} MB")


def test_a_run_that_needs_more_memory_than_there_is_starts_only_if_told_to(npgpt, refused, text, monkeypatch):
    monkeypatch.setattr("npgpt.commands.train.machine_memory", lambda: 2**20)
    complaint = refused(*QUICK)
    assert re.search(r"training needs about \d+ MB of memory, and this machine has 1 MB: .* or go on anyway with --any-memory$", complaint)
    assert npgpt(*QUICK, "--any-memory").status == 0
    before = (text.parent / "out" / METRICS_FILE).read_bytes()
    status, _, err = npgpt("train", "--resume", "out", "--steps", 8)
    assert status == 2 and "training needs about" in err and (text.parent / "out" / METRICS_FILE).read_bytes() == before
    assert npgpt("train", "--resume", "out", "--steps", 8, "--any-memory").status == 0


def test_token_files_are_trained_on(npgpt, tokens):
    status, out, err = npgpt("train", "--data", tokens, *SMALL, "--steps", 4)
    assert status == 0 and out == "" and "90 tokens to train on, 20 to validate on, vocabulary size 50,257" in err
    assert load_config("out").vocab_size == 50257 and not os.path.exists(os.path.join("out", TOKENIZER_FILE))


def test_the_vocabulary_size_of_token_files_can_be_given(npgpt, tokens):
    assert npgpt("train", "--data", tokens, *SMALL, "--steps", 1, "--vocab-size", 7).status == 0
    assert load_config("out").vocab_size == 7


def test_the_tokenizer_beside_token_files_is_used(npgpt, tokens):
    CharacterTokenizer("abcdefg").save(tokens)
    assert npgpt("train", "--data", tokens, *SMALL, "--steps", 1).status == 0
    assert load_tokenizer("out").vocabulary == list("abcdefg") and load_config("out").vocab_size == 7


def test_init_starts_from_a_model_with_its_tokenizer(npgpt, text, model):
    """At learning rate 0 the model is written as it was."""
    assert npgpt("train", "--data", text, "--init", model, "--steps", 1, "--learning-rate", 0, "--min-learning-rate", 0,
                 "--dtype", "float64").status == 0
    (parameters, config), (expected, expected_config) = load_model("out"), load_model(model)
    assert config == expected_config and (parameters == expected).all()
    assert files(model)[TOKENIZER_FILE] == files(model.parent / "out")[TOKENIZER_FILE]


def test_the_default_learning_rate_decreases_with_the_width_and_is_a_tenth_for_a_pretrained_model(npgpt, text, model, tmp_path):
    """Without a warm-up, it starts at the learning rate itself."""
    def rates(*arguments):
        assert npgpt("train", "--data", text, "--steps", 2, "--warmup", 0, "--overwrite", *arguments).status == 0
        return [json.loads(line)["learning_rate"] for line in (tmp_path / "out" / METRICS_FILE).read_text().splitlines()]
    ends = rates(*SMALL, "--learning-rate", 1)
    assert rates(*SMALL) == pytest.approx([0.384 / 8 * end for end in ends])
    assert rates("--init", model) == pytest.approx([0.0384 / 8 * end for end in ends])
    assert rates("--init", model, "--learning-rate", 1) == ends


def test_a_run_from_a_pretrained_model_keeps_its_learning_rate_when_it_is_resumed(npgpt, text, model, tmp_path):
    assert npgpt("train", "--data", text, "--init", model, "--steps", 2, "--warmup", 0).status == 0
    assert npgpt("train", "--resume", "out", "--steps", 4).status == 0
    rates = [json.loads(line)["learning_rate"] for line in (tmp_path / "out" / METRICS_FILE).read_text().splitlines()]
    assert len(rates) == 4 and max(rates) <= 0.064 / 8


def test_init_brings_its_tokenizer_even_where_token_files_have_another(npgpt, tokens, model):
    CharacterTokenizer("abcdefg").save(tokens)
    assert npgpt("train", "--data", tokens, "--init", model, "--steps", 1).status == 0
    assert load_tokenizer("out").vocabulary == load_tokenizer(model).vocabulary


def test_a_finished_model_is_never_replaced_unless_told_to(npgpt, refused, text, tmp_path):
    npgpt(*QUICK)
    err = refused(*QUICK)
    assert "out already holds a run: " in err and all(hint in err for hint in ("--resume out", "--out", "--overwrite"))
    before = files(tmp_path / "out")
    err = npgpt(*QUICK, "--seed", 1, "--overwrite").err
    assert err.startswith(f"the first checkpoint will replace in out: {CONFIG}, {WEIGHTS}, {TOKENIZER_FILE}, {TOKENIZER_CONFIG}, "
                          f"{METRICS_FILE}, checkpoints\n")
    assert files(tmp_path / "out")[WEIGHTS] != before[WEIGHTS]


def test_a_model_that_is_no_run_is_never_replaced_unless_told_to(refused, text, model):
    assert "model already holds a model: choose another folder with --out, or replace it with --overwrite" in refused(
        *QUICK, "--out", "model")


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER_FILE, "vocab.json", METRICS_FILE])
def test_other_files_are_never_replaced_unless_told_to(refused, text, tmp_path, name):
    """A folder of other things may well have a config.json."""
    (tmp_path / name).write_text("mine")
    assert f". already holds {name}: choose another folder with --out, or replace it with --overwrite" in refused(
        *QUICK, "--out", ".")


def test_a_folder_of_other_things_is_left_alone_unless_told_to(npgpt, refused, text, tmp_path):
    folder = tmp_path / "thesis"
    (folder / "chapters").mkdir(parents=True)
    for i in range(5):
        (folder / f"{i}.tex").write_text("mine")
    assert ("thesis is neither empty nor a model directory, but holds 0.tex, 1.tex, 2.tex and 3 more: choose another folder "
            "with --out, or write beside them with --overwrite") in refused(*QUICK, "--out", "thesis")
    assert npgpt(*QUICK, "--out", "thesis", "--overwrite").status == 0
    assert (folder / "chapters").is_dir() and [(folder / f"{i}.tex").read_text() for i in range(5)] == ["mine"] * 5


def test_a_folder_of_checkpoints_alone_is_left_alone_unless_told_to(refused, text, tmp_path):
    (tmp_path / "out" / "checkpoints").mkdir(parents=True)
    (tmp_path / "out" / "checkpoints" / "notes").write_text("mine")
    assert "out already holds checkpoints: " in refused(*QUICK)


def test_a_run_that_another_one_has_begun_in_the_meantime_is_not_replaced(npgpt, text, model, monkeypatch):
    """While this one waited for the lock."""
    @contextlib.contextmanager
    def let_another_go_first(folder):
        shutil.copytree(model, folder, dirs_exist_ok=True)
        yield
    monkeypatch.setattr("npgpt.commands.train.only_run", let_another_go_first)
    before = files(model)
    status, _, err = npgpt(*QUICK)
    assert status == 2 and "out already holds a model" in err and files(text.parent / "out") == before


def test_an_empty_folder_is_no_reason_to_refuse(npgpt, text, tmp_path):
    (tmp_path / "out").mkdir()
    assert npgpt(*QUICK).status == 0


def test_a_run_that_was_killed_before_its_first_checkpoint_does_not_block_the_next(npgpt, text):
    begun = text.parent / "out" / "checkpoints" / ".npgpt-12345-step-00000000.tmp"
    begun.mkdir(parents=True)
    (begun / "model.safetensors").write_bytes(b"half")
    for name in (METRICS_FILE, LOCK_FILE, ".npgpt-12345-model.tmp"):
        (text.parent / "out" / name).touch()
    status, out, err = npgpt(*QUICK)
    assert status == 0, err
    assert "replace" not in out + err and not begun.exists()


def test_no_file_of_a_replaced_model_is_left_that_would_be_read_with_the_new_one(npgpt, text, tokens):
    """The older run has a tokenizer, the newer none."""
    npgpt(*QUICK)
    assert npgpt("train", "--data", tokens, *SMALL, "--steps", 1, "--overwrite").status == 0
    assert sorted(files(text.parent / "out")) == [CONFIG, METRICS_FILE, WEIGHTS]
    assert [path.name for path in (text.parent / "out" / "checkpoints").iterdir()] == ["step-00000001"]


def test_the_index_of_a_replaced_sharded_model_is_removed_and_its_shards_are_named(npgpt, text, model):
    """They may be large, and it is for their owner to remove them."""
    part = "model-00001-of-00001.safetensors"
    (model / WEIGHTS).rename(model / part)
    (model / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(read_safetensors(model / part)[0], part)}))
    assert load_model(model)[1].n_layer == 1
    err = npgpt(*QUICK, "--n-layer", 2, "--out", model, "--overwrite").err
    assert f"{model}, but not removed: {part}\n" in err
    assert not (model / INDEX).exists() and (model / part).exists() and load_model(model)[1].n_layer == 2


def test_a_run_that_fails_at_its_last_step_can_be_resumed_from_its_last_checkpoint(npgpt, text, monkeypatch):
    losses = iter([1.0, float("nan"), float("nan")])
    monkeypatch.setattr("npgpt.commands.objective.evaluate", lambda *arguments, **settings: next(losses))
    err = npgpt(*QUICK, "--eval-every", 4).err
    assert err.endswith("may help; out holds the model of step 0; resume with: npgpt train --resume out\n")


@pytest.mark.parametrize("data, complaint", [
    (b"", "bad.txt is empty: a text file was expected"),
    (b"some\0thing", "bad.txt is not a text file: it has a zero byte at offset 4"),
    (b"caf\xe9", "bad.txt is not UTF-8 text: byte 0xe9 at offset 3"),
    (b"12345678", "the training text has 7 tokens, and a context of 8 needs 9 or more: give more text, or a smaller context"),
    (b"1234567890", "the validation text (the last tenth) has 1 tokens"),
    (None, "bad.txt: No such file or directory")])
def test_a_text_that_cannot_be_trained_on_is_refused(refused, tmp_path, data, complaint):
    if data is not None:
        (tmp_path / "bad.txt").write_bytes(data)
    assert complaint in refused("train", "--data", "bad.txt", *SMALL)


@pytest.mark.parametrize("train, validation, complaint", [
    (b"", b"12", "train.bin is not a token file: 0 bytes"),
    (bytes(40), b"123", "val.bin is not a token file: 3 bytes"),
    (bytes(16), bytes(4), "the training text has 8 tokens, and a context of 8 needs 9"),
    (bytes(40), bytes(2), "the validation text (the last tenth) has 1 tokens"),
    (bytes(40), None, "val.bin: No such file or directory"),
    (None, bytes(40), "train.bin: No such file or directory")])
def test_token_files_that_cannot_be_trained_on_are_refused(refused, tmp_path, train, validation, complaint):
    (tmp_path / "tokens").mkdir()
    for name, data in (("train.bin", train), ("val.bin", validation)):
        if data is not None:
            (tmp_path / "tokens" / name).write_bytes(data)
    assert complaint in refused("train", "--data", "tokens", *SMALL)


def test_token_ids_outside_the_vocabulary_are_an_error_in_one_line(npgpt, tokens):
    status, _, err = npgpt("train", "--data", tokens, *SMALL, "--vocab-size", 6)
    assert status == 2 and err.splitlines()[-1] == "npgpt: error: the data has the token id 6, but the model's vocabulary is 0 to 5"


@pytest.mark.parametrize("arguments, complaint", [
    (["--n-head", 3], "n_head must be a divisor of n_embd (8), not 3"),
    (["--n-positions", 0], "n_positions must be a whole number from 1 to"),
    (["--n-layer", 0], "n_layer must be a whole number from 1 to"),
    (["--n-embd", -8], "n_embd must be a whole number from 1 to"),
    (["--n-embd", "eight"], "argument --n-embd: a whole number of at most 1,000,000,000 was expected, not eight"),
    (["--n-positions", 10**6], "the training text has 396 tokens, and a context of 1000000 needs 1000001 or more"),
    (["--dropout", 1.0], "must be a number in [0, 1), not 1.0"),
    (["--steps", 0], "steps must be 1 or more, not 0"),
    (["--batch-size", 0], "batch_size must be 1 or more, not 0"),
    (["--batch-size", 10**30], "argument --batch-size: a whole number of at most 1,000,000,000 was expected"),
    (["--accumulate", 0], "accumulate must be 1 or more, not 0"),
    (["--threads", 0], "threads must be 1 or more, not 0"),
    (["--threads", 5000], "threads must be at most 1,024, not 5000"),
    (["--warmup", -1], "warmup must be 0 or more, not -1"),
    (["--warmup", 10**400], "argument --warmup: a whole number of at most 1,000,000,000 was expected"),
    (["--learning-rate", "nan"], "learning_rate must be 0 or more, not nan"),
    (["--learning-rate", "fast"], "argument --learning-rate: invalid float value: 'fast'"),
    (["--min-learning-rate", "inf"], "min_learning_rate must be 0 or more, not inf"),
    (["--weight-decay", -1], "weight_decay must be 0 or more, not -1.0"),
    (["--beta1", 1], "beta1 must be in [0, 1), not 1.0"),
    (["--beta2", -1], "beta2 must be in [0, 1), not -1.0"),
    (["--clip", -1], "clip must be 0 or more, not -1.0"),
    (["--seed", -1], "seed must be 0 or more, not -1"),
    (["--eval-every", 0], "eval_every must be 1 or more, not 0"),
    (["--checkpoint-every", -5], "checkpoint_every must be 1 or more, not -5"),
    (["--tokenizer", "word"], "argument --tokenizer: invalid choice: 'word' (choose from"),
    (["--preset", "gpt5"], "argument --preset: invalid choice: 'gpt5' (choose from"),
    (["--dtype", "float16"], "argument --dtype: invalid choice: 'float16' (choose from"),
    (["--init", "nowhere"], "argument --init: the folder nowhere does not exist"),
    (["--data"], "argument --data: expected at least one argument"),
    (["--out", "text.txt"], "text.txt: File exists"),
    (["--out", "text.txt/below"], "text.txt/below: Not a directory"),
])
def test_an_argument_that_makes_no_sense_is_refused(refused, text, arguments, complaint):
    assert complaint in refused(*QUICK, *arguments)


def test_init_leaves_no_choice_of_sizes_and_tokenizer(refused, text, model):
    for arguments, name in ((["--n-layer", 2], "n_layer 2"), (["--preset", "tiny"], "n_layer 2"), (["--tokenizer", "byte"], "tokenizer byte")):
        assert f"{name} was asked for, but {model} has " in refused("train", "--data", text, "--init", model, *arguments)


def test_a_character_that_the_model_does_not_know_is_refused(refused, model, tmp_path):
    (tmp_path / "new.txt").write_text("the fox" * 10 + "THE FOX")
    complaint = refused("train", "--data", "new.txt", "--init", model)
    assert "new.txt: the character 'T' at position 70 is not in the vocabulary of " in complaint
    assert str(model) in complaint and "without --init" in complaint


def test_a_token_folder_without_a_vocabulary_is_refused(refused, tokens):
    assert "vocab_size must be a whole number from 1 to" in refused("train", "--data", tokens, *SMALL, "--vocab-size", 0)


def test_a_nan_loss_stops_training_and_the_last_good_checkpoint_stays(npgpt, text, tmp_path, monkeypatch):
    """The third step ruins the model: its own loss is still finite, the loss after it is NaN."""
    losses = iter([1.0, 1.0, 1.0, float("nan")])                   # the first before any step
    monkeypatch.setattr("npgpt.commands.objective.evaluate", lambda *arguments, **settings: next(losses))
    status, out, err = npgpt(*QUICK, "--steps", 50, "--checkpoint-every", 1, "--eval-every", 50)
    assert status == 2 and out == ""
    assert "npgpt: error: after step 3 the validation loss is NaN or infinite" in err
    assert err.endswith("out holds the model of step 2; resume with: npgpt train --resume out\n")
    assert np.isfinite(load_model(tmp_path / "out")[0]).all()


def test_a_learning_rate_far_too_high_is_reported_with_the_step(npgpt, text):
    status, out, err = npgpt(*QUICK, "--steps", 50, "--learning-rate", 1e30, "--warmup", 0)
    *_, last = err.splitlines()
    assert status == 2 and out == "" and re.search(r"^npgpt: error: .*step \d+.* a lower learning rate.*", last)


def test_where_the_first_loss_is_nan_nothing_is_saved(npgpt, text, model):
    parameters, config = load_model(model)
    save(model, Model(parameters * np.nan, config, None))
    status, _, err = npgpt("train", "--data", text, "--init", model)
    assert status == 2 and f" at step 1, with {parameters.size:,} parameters NaN or infinite" in err and err.endswith("nothing was saved yet\n")


def test_warnings_of_numpy_are_not_printed_before_the_error(text):
    with in_a_process(*QUICK, "--learning-rate", 1e30, "--warmup", 0, "--steps", 50, cwd=text.parent) as process:
        _, err = process.communicate()
    assert process.returncode == 2 and "Warning" not in err and err.splitlines()[-1].startswith("npgpt: error: ")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_save_the_state_and_say_so(text, number, status):
    """The process is interrupted after its first report."""
    with in_a_process(*QUICK, "--steps", 10**6, "--eval-every", 5, "--checkpoint-every", 10**6, cwd=text.parent) as process:
        while not process.stderr.readline().startswith("step "):
            assert process.poll() is None
        process.send_signal(number)
        last = process.stderr.read().splitlines()[-1]
    assert process.returncode == status
    step = int(re.fullmatch(r"interrupted at step (\d+) of 1000000: out holds the model of step \1; "
                            r"resume with: npgpt train --resume out", last)[1])
    parameters, config = load_model(text.parent / "out")
    assert step >= 5 and np.isfinite(parameters).all() and (parameters != initial_parameters(language_model_table(config))).any()
    assert sorted(files(text.parent / "out")) == [CONFIG, METRICS_FILE, WEIGHTS, TOKENIZER_FILE, TOKENIZER_CONFIG]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
@pytest.mark.parametrize("came_at, stopped_at", [(2, 3), (4, 4)])
def test_ctrl_c_between_steps_stops_after_the_next_step(npgpt, text, monkeypatch, came_at, stopped_at):
    def log_and_interrupt(self, step, validation=None, log=Recorder.log):
        if step.number == came_at:
            os.kill(os.getpid(), signal.SIGINT)
        return log(self, step, validation)
    monkeypatch.setattr(Recorder, "log", log_and_interrupt)
    status, _, err = npgpt(*QUICK, "--eval-every", 4)
    assert status == 130 and f"interrupted at step {stopped_at} of 4: out holds the model of step {stopped_at}" in err


@pytest.mark.parametrize("moment", ["session.Session.finish", "materials.library.generate"])
def test_ctrl_c_after_the_last_step_says_that_the_model_is_there(npgpt, text, tmp_path, monkeypatch, moment):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt
    monkeypatch.setattr(f"npgpt.commands.{moment}", interrupt)
    status, out, err = npgpt(*QUICK, "--eval-every", 4)
    assert status == 130 and out == "" and err.endswith("stopped at once: out holds the model of step 4\n")
    assert np.isfinite(load_model(tmp_path / "out")[0]).all()


@pytest.mark.skipif(os.name != "posix", reason="needs limits on files")
def test_a_full_disk_is_reported_and_leaves_the_older_model_intact(npgpt, text, tmp_path):
    """The older model has other sizes: its weights would be useless with the newer configuration."""
    npgpt(*QUICK, "--n-embd", 4)
    before = files(tmp_path / "out")
    with in_a_process(*QUICK, "--overwrite", limit=4096, cwd=tmp_path) as process:
        _, err = process.communicate()
    assert process.returncode == 2
    assert err.splitlines()[-1] == "npgpt: error: out/checkpoints/step-00000001: File too large; nothing was saved yet"
    after = files(tmp_path / "out")
    after.pop(METRICS_FILE)
    assert after == {name: content for name, content in before.items() if name != METRICS_FILE}
    assert "is finished: all 4 steps are made" in npgpt("train", "--resume", "out").err
    assert files(tmp_path / "out") == before                       # its history, put aside, is back
