"""npgpt evaluate"""
import math
import re
import sys

import numpy as np
import pytest

from helpers import write_tokens
from npgpt.interop.huggingface import load_model, save
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import groups, parameter_count
from npgpt.scoring.perplexity import text_loss
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.tokenizer import load_tokenizer
from npgpt.training.evaluation import evaluate

TEXT = "the quick brown fox jumps over the lazy dog\n" * 10
SMALL = ["--n-layer", 1, "--n-head", 2, "--n-embd", 8, "--n-positions", 8, "--steps", 2]
REPORT = re.compile(r"text +\S.*\ntokens +([\d,]+) predicted: all but the first\nloss +(\S+) nats a token\n"
                    r"perplexity +(\S+)\nbits per byte +(\S+)\n")


def figures(outcome):
    """tokens, loss, perplexity, bits per byte"""
    assert outcome.status == 0 and outcome.err == ""
    return [float(figure.replace(",", "")) for figure in REPORT.fullmatch(outcome.out).groups()]


def save_uniform(folder, tokenizer):
    """A model that gives every token the same probability."""
    config = GPTConfig(vocab_size=tokenizer.vocab_size, n_positions=4, n_embd=4, n_layer=1, n_head=1)
    save(folder, Model(np.zeros(parameter_count(language_model_table(config)), np.float32), config, tokenizer))


def test_the_perplexity_of_a_uniform_guess_is_the_vocabulary_size(npgpt, tmp_path):
    """Of "aé€aé€", 11 more bytes follow the first character, in 5 tokens."""
    save_uniform(tmp_path / "model", CharacterTokenizer("aé€"))
    (tmp_path / "text").write_text("aé€aé€", "utf-8")
    assert figures(npgpt("evaluate", "--model", "model", "--data", "text")) == [
        5, round(math.log(3), 4), 3.0, round(5 * math.log2(3) / 11, 4)]


def test_a_uniform_guess_of_bytes_needs_eight_bits_a_byte(npgpt, tmp_path):
    save_uniform(tmp_path / "model", ByteTokenizer())
    (tmp_path / "text").write_text("aé€", "utf-8")
    assert figures(npgpt("evaluate", "--model", "model", "--data", "text")) == [5, round(math.log(256), 4), 256.0, 8.0]


def test_every_token_of_the_file_counts(npgpt, model, text):
    tokens = load_tokenizer(model).encode(text.read_text())
    count, loss, perplexity, _ = figures(npgpt("evaluate", "--model", model, "--data", text))
    parameters, config = load_model(model)
    task = LanguageModelling(config)
    expected = evaluate(task, parameters, task.batches(tokens))
    assert (count, loss, perplexity) == (len(tokens) - 1, round(expected, 4), round(math.exp(expected), 3))


def test_overlapping_windows_predict_from_more_and_tell_the_figure_of_the_guide(npgpt, model, text):
    """Eight positions, a window every three; with one every eight, the first token of each is not predicted."""
    parameters, config = load_model(model)
    tokens = load_tokenizer(model).encode(text.read_text())
    found = text_loss(LanguageModelling(config), parameters, tokens, 3)
    out = npgpt("evaluate", "--model", model, "--data", text, "--stride", 3).out
    assert f"tokens         {len(tokens) - 1} predicted: all but the first\n" in out
    assert (f"perplexity     {math.exp(found.loss):.3f}\n"
            f"  as weighted  {math.exp(found.guide_loss):.3f} in the guide of transformers\nbits per byte" in out)
    apart = npgpt("evaluate", "--model", model, "--data", text, "--stride", 8).out
    assert f"tokens         {len(tokens) * 7 // 8} predicted\n" in apart and "bits per byte" not in apart


def test_a_stride_longer_than_the_context_is_refused(refused, model, text):
    assert "the stride must be from 1 to the model's context (8), not 9" in refused(
        "evaluate", "--model", model, "--data", text, "--stride", 9)


def test_several_files_are_one_text(npgpt, model, tmp_path):
    (tmp_path / "a").write_text("the quick ")
    (tmp_path / "b").write_text("brown fox")
    (tmp_path / "both").write_text("the quick brown fox")
    several, one = (npgpt("evaluate", "--model", model, "--data", *names) for names in (["a", "b"], ["both"]))
    assert figures(several) == figures(one) and several.out.startswith("text           a, b\n")


@pytest.fixture
def run(npgpt, tmp_path):
    """A run on a text of 440 characters, in the folder out."""
    (tmp_path / "own.txt").write_text(TEXT)
    assert npgpt("train", "--data", "own.txt", *SMALL).status == 0
    return tmp_path / "out"


def test_a_run_is_measured_on_its_own_validation_split(npgpt, run, tmp_path, monkeypatch):
    (tmp_path / "last").write_text(TEXT[396:])
    outcome = npgpt("evaluate")
    assert outcome.out.startswith(f"text           the validation split of {tmp_path / 'own.txt'}\n")
    assert figures(outcome) == figures(npgpt("evaluate", "--data", "last"))
    assert npgpt("evaluate", "--model", run / "checkpoints" / "step-00000002").out == outcome.out
    monkeypatch.chdir(run)
    assert npgpt("evaluate", "--model", ".").out == outcome.out


@pytest.mark.parametrize("split, part", [("train", slice(396)), ("validation", slice(396, None)), ("all", slice(None))])
@pytest.mark.parametrize("data", [[], ["--data", "own.txt"]])
def test_the_split_can_be_chosen(npgpt, run, tmp_path, split, part, data):
    (tmp_path / "part").write_text(TEXT[part])
    expected = figures(npgpt("evaluate", "--data", "part"))
    assert figures(npgpt("evaluate", *data, "--split", split)) == expected and expected[0] == len(TEXT[part]) - 1


def test_a_run_on_pythons_documentation_is_measured_on_it(npgpt, monkeypatch):
    monkeypatch.setattr("npgpt.commands.text_data.python_documentation", lambda: TEXT)
    npgpt("train", *SMALL)
    outcome = npgpt("evaluate")
    assert outcome.out.startswith("text           the validation split of the documentation that comes with Python\n")
    assert figures(outcome)[0] == 43


@pytest.mark.parametrize("split, count", [([], 29), (["--split", "train"], 59), (["--split", "all"], 89)])
def test_a_run_on_token_files_is_measured_in_tokens_alone(npgpt, tmp_path, split, count):
    write_tokens(tmp_path / "tokens", np.arange(60) % 7, np.arange(30) % 7)
    npgpt("train", "--data", "tokens", "--vocab-size", 7, *SMALL)
    out = npgpt("evaluate", *split).out
    assert f"\ntokens         {count} predicted" in out and "bits per byte" not in out
    named = npgpt("evaluate", "--data", "tokens", *(split or ["--split", "validation"])).out
    assert named.splitlines()[1:] == out.splitlines()[1:]


def test_a_model_without_its_run_needs_a_text(refused, model):
    assert "model holds a model, but not the run that trained it: name a text to measure with --data" in refused(
        "evaluate", "--model", model)


def test_a_text_that_has_changed_since_the_training_is_not_measured_unasked(refused, run, tmp_path):
    (tmp_path / "own.txt").write_text(TEXT.replace("fox", "cat", 1))
    assert "own.txt: not what out was trained on, or changed since: name a text to measure with --data" in refused("evaluate")


def test_a_perplexity_too_large_for_a_float_is_infinite(npgpt, model, text):
    parameters, config = load_model(model)
    groups(parameters, language_model_table(config)).ln_f.gain[...] = 1e6
    save(model, Model(parameters, config, None))
    _, loss, perplexity, _ = figures(npgpt("evaluate", "--model", model, "--data", text))
    assert loss > 710 and perplexity == math.inf


@pytest.mark.parametrize("data, complaint", [
    (b"", "is empty"), (b"abc\0", "zero byte at offset 3"), (b"\xff", "not UTF-8"), (b"t", "has 1 tokens"),
    (b"the fox: dog", "bad.txt: the character ':' at position 7 "), (None, "No such file")])
def test_a_text_that_cannot_be_read_is_refused(refused, model, tmp_path, data, complaint):
    if data is not None:
        (tmp_path / "bad.txt").write_bytes(data)
    assert complaint in refused("evaluate", "--model", model, "--data", "bad.txt")


def test_the_text_files_of_a_folder_are_one_text(npgpt, model, tmp_path):
    (tmp_path / "texts").mkdir()
    for name, content in (("b.txt", "fox"), ("a.txt", "the lazy "), ("c.md", "Markdown")):
        (tmp_path / "texts" / name).write_text(content)
    (tmp_path / "one.txt").write_text("the lazy fox")
    folder, file = (npgpt("evaluate", "--model", model, "--data", data) for data in ("texts", "one.txt"))
    assert folder.status == 0 and folder.out.splitlines()[1:] == file.out.splitlines()[1:]


@pytest.mark.parametrize("terminal, shown", [(True, r"text           a\x1b[2J.txt"), (False, "text           a\x1b[2J.txt")])
def test_control_characters_in_the_name_of_a_file_do_not_reach_a_terminal(npgpt, model, text, monkeypatch, terminal, shown):
    text.rename("a\x1b[2J.txt")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert npgpt("evaluate", "--model", model, "--data", "a\x1b[2J.txt").out.splitlines()[0] == shown


def test_a_terminal_shows_how_the_text_is_encoded(npgpt, model, text, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "440 of 440 characters encoded" in npgpt("evaluate", "--model", model, "--data", text).err


def test_a_folder_without_a_model_is_refused(refused, text):
    assert "the folder nowhere does not exist" in refused("evaluate", "--model", "nowhere", "--data", text)
    assert "there is no model in out yet: npgpt train" in refused("evaluate")
