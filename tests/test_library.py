"""import npgpt: its names, and training, generating, loading and saving in a line each."""
import dataclasses
import inspect
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import npgpt
from npgpt.errors import InputError
from npgpt.inspection.trace import trace
from npgpt.training.settings import default_settings

TEXT = "the quick brown fox jumps over the lazy dog. " * 20
SIZES = npgpt.preset("tiny", n_layer=1)


@pytest.fixture(scope="module")
def model():
    return npgpt.train(TEXT, SIZES, steps=150, threads=1, report=None)


def test_every_name_is_there_and_documented():
    for name in npgpt.__all__:
        value = getattr(npgpt, name)
        assert isinstance(value, str) or inspect.getdoc(value), name
    assert set(npgpt.__all__) <= set(dir(npgpt))
    with pytest.raises(AttributeError, match="no_such_name"):
        npgpt.no_such_name


def test_every_layer_has_its_backward_pass():
    backward = {name for name in npgpt.__all__ if name.endswith("_backward")}
    assert len(backward) >= 14 and {name.removesuffix("_backward") for name in backward} <= set(npgpt.__all__)


def test_the_package_says_that_it_is_typed():
    assert (Path(npgpt.__file__).parent / "py.typed").is_file()


def test_importing_it_does_not_import_the_rooms():
    """Ctrl-C during a long import is then the command line's to handle."""
    code = "import sys, npgpt; assert 'numpy' not in sys.modules; npgpt.linear; assert 'numpy' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_trained_model_continues_its_text(model):
    assert npgpt.generate(model, "the quick", max_new_tokens=10, greedy=True) in TEXT
    assert npgpt.generate(model, "the", 5, seed=1) == npgpt.generate(model, "the", 5, seed=1)
    assert len(npgpt.generate(model, max_new_tokens=7)) == 7
    assert "." not in npgpt.generate(model, "the", 60, greedy=True, stop=".")


def test_training_reports_ten_times_with_a_falling_validation_loss():
    lines = []
    npgpt.train(TEXT, SIZES, steps=40, threads=1, report=lines.append)
    losses = [float(line.split()[-1]) for line in lines]
    assert len(lines) == 10 and lines[-1].startswith("step 40/40") and losses[-1] < losses[0]


def test_a_file_is_trained_on_like_its_text(model, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    same = npgpt.train(tmp_path / "text.txt", SIZES, steps=150, threads=1, report=None)
    assert same.parameters.tobytes() == model.parameters.tobytes()


def test_a_saved_model_is_loaded_again(model, tmp_path):
    npgpt.save(tmp_path / "fox", model)
    loaded = npgpt.load(tmp_path / "fox")
    assert loaded.config == model.config and loaded.parameters.tobytes() == model.parameters.tobytes()
    assert loaded.tokenizer.vocabulary == model.tokenizer.vocabulary
    assert npgpt.load(tmp_path / "fox", np.float64).parameters.dtype == np.float64


def test_a_model_shows_its_sizes(model):
    assert all(str(number) in repr(model).replace(",", "") for number in (len(model.parameters), SIZES.n_embd, "float32"))


def test_a_tokenizer_and_a_trace_show_their_sizes(model):
    assert repr(model.tokenizer) == f"CharacterTokenizer(vocabulary size {model.tokenizer.vocab_size})"
    ids = model.tokenizer.encode("the quick")[None]
    task = npgpt.LanguageModelling(model.config)
    traced = trace(task, npgpt.TokenBatch(ids[:, :-1], ids[:, 1:]), model.parameters)
    assert f"loss {traced.loss:.6g}" in repr(traced) and f"{len(model.parameters):,} parameters" in repr(traced)
    assert len(repr(traced)) < 250


@pytest.mark.parametrize("work, complaint", [
    (lambda: npgpt.train(""), "empty"),
    (lambda: npgpt.train("too short"), "context"),
    (lambda: npgpt.train(TEXT, SIZES, steps=0), "steps"),
    (lambda: npgpt.train(TEXT, SIZES, threads=0), "threads must be a whole number of 1 or more, not 0"),
    (lambda: npgpt.train(TEXT, SIZES, threads=-1), "threads must be a whole number of 1 or more, not -1"),
    (lambda: npgpt.train(TEXT, SIZES, threads=1.5), "threads must be a whole number of 1 or more, not 1.5"),
    (lambda: npgpt.train(TEXT, SIZES, seed=-1), "seed must be 0 or more"),
    (lambda: npgpt.train(TEXT, npgpt.preset("tiny", window_size=4)), "qkv_bias must be false"),
    (lambda: npgpt.train(TEXT, npgpt.preset("tiny", pre_layer_norm=False, n_inner=5)), "n_inner 4 n_embd"),
    (lambda: npgpt.preset("no such"), "no such"),
    (lambda: npgpt.load("gpt2"), "the folder gpt2 does not exist; .*hf download openai-community/gpt2"),
])
def test_mistakes_are_named(monkeypatch, tmp_path, work, complaint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=complaint):
        work()


@pytest.mark.parametrize("settings, complaint", [
    ({"max_new_tokens": 0}, "max_new_tokens must be a whole number of 1 or more, not 0"),
    ({"max_new_tokens": -5}, "max_new_tokens must be a whole number of 1 or more, not -5"),
    ({"max_new_tokens": 2.5}, "max_new_tokens must be a whole number of 1 or more, not 2.5"),
    ({"seed": -1}, "seed must be a whole number of 0 or more, not -1"),
    ({"stop": ""}, "stop must not be empty"),
    ({"top_k": 0}, "top-k must be 1 or more"), ({"temperature": 0.0}, "temperature must be above 0")])
def test_settings_of_generation_that_make_no_sense_are_named(model, settings, complaint):
    with pytest.raises(InputError, match=complaint):
        npgpt.generate(model, "the", **settings)


def test_a_text_ends_at_each_of_the_models_end_of_text_tokens(model):
    whole = npgpt.generate(model, "the", 60, greedy=True)
    ending = model._replace(config=dataclasses.replace(model.config, eos_token_id=tuple(model.tokenizer.encode("qx").tolist())))
    assert npgpt.generate(ending, "the", 60, greedy=True) == whole[:min(whole.index("q"), whole.index("x"))]


def test_the_configuration_may_have_special_tokens_beyond_the_texts_vocabulary():
    sizes = npgpt.preset("tiny", vocab_size=50257, bos_token_id=50256, eos_token_id=50256, pad_token_id=50255)
    config = npgpt.train(TEXT, sizes, steps=1, threads=1, report=None).config
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (None, None, None)


def test_a_model_without_a_tokenizer_cannot_write_text(model):
    with pytest.raises(InputError, match="tokenizer"):
        npgpt.generate(model._replace(tokenizer=None))


@pytest.mark.parametrize("name", ["bert-small", "transformer-small"])
def test_only_a_gpt_generates_text_and_is_trained_on_a_text_by_these_functions(model, name):
    config = npgpt.preset(name)
    with pytest.raises(InputError, match="generate needs a GPT"):
        npgpt.generate(model._replace(config=config), "the")
    with pytest.raises(InputError, match="npgpt train --objective"):
        npgpt.train(TEXT, config)


def test_settings_that_are_left_open_suit_the_width():
    narrow, wide = (default_settings(npgpt.preset("small", n_embd=C), steps=100) for C in (128, 256))
    assert narrow.learning_rate == 2 * wide.learning_rate and narrow.warmup == 10


def test_no_thread_is_left(monkeypatch):
    """Of those that divide the batches, nor of those that divide the updates, which small models do without."""
    monkeypatch.setattr("npgpt.training.optimiser.PER_THREAD", 100)
    before = set(threading.enumerate())
    npgpt.train(TEXT, SIZES, steps=1, threads=3, report=None)
    assert not set(threading.enumerate()) - before
