"""npgpt generate"""
import dataclasses
import io
import itertools
import sys

import numpy as np
import pytest

from npgpt.commands import generate as command
from npgpt.commands.tokenize import printable
from npgpt.generation.beam_search import beam_search
from npgpt.generation.generate import generate, generate_batch
from npgpt.interop.huggingface import CONFIG, WEIGHTS, load_model, save
from npgpt.interop.safetensors import read_safetensors, write_safetensors
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.tokenizer import load_tokenizer
from npgpt.text.base_tokenizer import TOKENIZER_FILE


def written(outcome):
    """The text, without the line end that closes it."""
    assert outcome.status == 0 and outcome.err == "" and outcome.out.endswith("\n")
    return outcome.out[:-1]


def test_the_prompt_and_what_the_model_adds_are_printed(npgpt, model):
    parameters, config = load_model(model)
    tokenizer = load_tokenizer(model)
    tokens = generate(parameters, config, tokenizer.encode("the fox"), np.random.default_rng(7),
                      temperature=1.5, top_k=4, top_p=0.9)
    expected = "the fox" + tokenizer.decode(next(tokens) for _ in range(20))
    assert written(npgpt("generate", "--model", model, "--prompt", "the fox", "--max-new-tokens", 20, "--seed", 7,
                         "--temperature", 1.5, "--top-k", 4, "--top-p", 0.9)) == expected


def test_an_empty_prompt_is_none(npgpt, model):
    arguments = ["generate", "--model", model, "--max-new-tokens", 9]
    assert written(npgpt(*arguments, "--prompt", "")) == written(npgpt(*arguments))


@pytest.mark.parametrize("data, prompt", [(b"the\nfox", "the\nfox"), (b"the fox\n\n", "the fox\n"), (b"fox\r\n", "fox"),
                                          (b"\xef\xbb\xbffox", "fox"), (b"\n", ""), (b"", "")])
@pytest.mark.parametrize("file", ["prompt.txt", "-"])
def test_the_prompt_may_be_in_a_file_or_standard_input(npgpt, model, tmp_path, monkeypatch, data, prompt, file):
    (tmp_path / "prompt.txt").write_bytes(data)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    arguments = ["generate", "--model", model, "--max-new-tokens", 9]
    assert written(npgpt(*arguments, "--prompt-file", file)) == written(npgpt(*arguments, "--prompt", prompt))


@pytest.mark.parametrize("file, name", [("latin.txt", "latin.txt"), ("-", "standard input")])
def test_a_prompt_that_is_not_utf_8_is_refused(refused, model, tmp_path, monkeypatch, file, name):
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9")))
    assert f"{name} is not UTF-8 text" in refused("generate", "--model", model, "--prompt-file", file)


@pytest.mark.parametrize("terminal, shown", [(True, r"a\x1b]0;x\x07\u009b" + "\tb\n"), (False, "a\x1b]0;x\x07\x9b\tb\n")])
def test_control_characters_of_a_text_do_not_reach_a_terminal(npgpt, tmp_path, monkeypatch, terminal, shown):
    config = GPTConfig(vocab_size=256, n_positions=4, n_embd=4, n_layer=1, n_head=1)
    save(tmp_path / "model", Model(initial_parameters(language_model_table(config)), config, ByteTokenizer()))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setattr(command, "stream_text", lambda *arguments: iter(["\x07\x9b\t", "b"]))
    assert npgpt("generate", "--model", "model", "--prompt", "a\x1b]0;x").out == shown


def test_greedy_writes_the_likeliest_whatever_the_seed(npgpt, model):
    parameters, config = load_model(model)
    tokenizer = load_tokenizer(model)
    tokens = generate(parameters, config, tokenizer.encode("dog"), None, greedy=True)
    expected = "dog" + tokenizer.decode(next(tokens) for _ in range(12))
    for seed in (0, 1):
        assert written(npgpt("generate", "--model", model, "--prompt", "dog", "--max-new-tokens", 12, "--greedy",
                             "--seed", seed)) == expected


def test_without_arguments_the_model_in_out_writes_500_tokens(npgpt, model):
    model.rename("out")
    assert len(written(npgpt("generate"))) == 500
    assert written(npgpt("generate")) != written(npgpt("generate", "--seed", 1))


def test_samples_are_different_and_separated(npgpt, model):
    samples = written(npgpt("generate", "--model", model, "--prompt", "fox", "--max-new-tokens", 20, "--num-samples", 3)).split(
        "\n\n" + "-" * 40 + "\n")
    assert len(set(samples)) == 3 and all(len(sample) == 23 and sample.startswith("fox") for sample in samples)


def test_text_ends_before_the_stop(npgpt, model):
    arguments = ["generate", "--model", model, "--prompt", "fox", "--max-new-tokens", 200, "--temperature", 5]
    whole = written(npgpt(*arguments))[3:]
    assert "e" in whole[1:] and written(npgpt(*arguments, "--stop", "e")) == "fox" + whole.split("e")[0]


def test_several_stops_may_be_given(npgpt, model):
    arguments = ["generate", "--model", model, "--prompt", "fox", "--max-new-tokens", 200, "--temperature", 5]
    whole = written(npgpt(*arguments))[3:]
    first = min(whole.index("e"), whole.index("o"))
    assert written(npgpt(*arguments, "--stop", "e", "--stop", "o")) == "fox" + whole[:first]


def set_ends(model, characters):
    """Make each of the characters an end of text of the model."""
    parameters, config = load_model(model)
    tokenizer = load_tokenizer(model)
    save(model, Model(parameters, dataclasses.replace(config, eos_token_id=tuple(tokenizer.encode(characters).tolist())), tokenizer))


def test_text_ends_at_the_end_of_text_token_unless_that_is_ignored(npgpt, model):
    arguments = ["generate", "--model", model, "--prompt", "fox", "--max-new-tokens", 200, "--temperature", 5]
    whole = written(npgpt(*arguments))
    set_ends(model, "eo")
    assert written(npgpt(*arguments)) == "fox" + whole[3:].split("e")[0].split("o")[0]
    assert written(npgpt(*arguments, "--ignore-end")) == whole


def test_beams_find_what_beam_search_finds(npgpt, model):
    parameters, config = load_model(model)
    tokenizer = load_tokenizer(model)
    found = beam_search(parameters, config, tokenizer.encode("fox"), 3, 5, repetition_penalty=1.5)
    texts = ["fox" + tokenizer.decode(beam.tokens) for beam in found]
    arguments = ["generate", "--model", model, "--prompt", "fox", "--beams", 3, "--repetition-penalty", 1.5]
    assert written(npgpt(*arguments)) == texts[0]                   # the context has room for 5
    both = written(npgpt(*arguments, "--max-new-tokens", 5, "--num-samples", 2))
    assert both.split("\n\n" + "-" * 40 + "\n") == texts[:2]


def test_log_probabilities_are_printed_beside_their_tokens(npgpt, model):
    parameters, config = load_model(model)
    tokenizer = load_tokenizer(model)
    steps = generate_batch(parameters, config, [tokenizer.encode("fox")], [np.random.default_rng(0)], temperature=0.8)
    expected = [f"{choice.log_probability:9.4f}  {printable(choice.token, tokenizer)}" for choice, in itertools.islice(steps, 12)]
    assert written(npgpt("generate", "--model", model, "--prompt", "fox", "--max-new-tokens", 12, "--show-log-probabilities")) == "\n".join(expected)


def test_a_model_may_have_more_tokens_than_its_tokenizer(npgpt, tmp_path):
    config = GPTConfig(vocab_size=300, n_positions=8, n_embd=4, n_layer=1, n_head=2)
    save(tmp_path / "padded", Model(initial_parameters(language_model_table(config)), config, ByteTokenizer()))
    arguments = ["generate", "--model", "padded", "--max-new-tokens", 60, "--prompt", "a"]
    assert "\ufffd" in written(npgpt(*arguments))
    table = written(npgpt(*arguments, "--show-log-probabilities")).splitlines()
    assert len(table) == 60 and any(256 <= int(line.split()[1][1:]) < 300 for line in table if "#" in line and line[-1] != "#")
    assert any("\\x" in line and "\\\\" not in line for line in table)              # a byte of a character, as it is


def test_of_a_prompt_longer_than_the_context_the_last_tokens_are_used(npgpt, model):
    long = npgpt("generate", "--model", model, "--prompt", "the lazy dog", "--max-new-tokens", 9, "--greedy")
    short = npgpt("generate", "--model", model, "--prompt", "lazy dog", "--max-new-tokens", 9, "--greedy")
    assert long.out == "the " + short.out and short.err == ""
    assert long.err == "npgpt: the prompt has 12 tokens; the model sees the last 8\n"


def test_a_character_that_cannot_be_printed_is_replaced(npgpt, tmp_path):
    """An argument that is not UTF-8 reaches Python with surrogates, which cannot be printed."""
    config = GPTConfig(vocab_size=256, n_positions=4, n_embd=4, n_layer=1, n_head=1)
    save(tmp_path / "model", Model(initial_parameters(language_model_table(config)), config, ByteTokenizer()))
    assert written(npgpt("generate", "--model", "model", "--prompt", "a\udcff", "--max-new-tokens", 1)).startswith("a?")


@pytest.mark.parametrize("arguments, complaint", [
    (["--prompt", "fox", "--prompt-file", "text.txt"], "not allowed with argument --prompt"),
    (["--prompt-file", "nowhere"], "nowhere: No such file"),
    (["--prompt-file", ""], "must not be empty"),
    (["--prompt", "the Fox"], "the character 'F' at position 4 is not in the vocabulary of 28 characters"),
    (["--prompt", "a\nb\x1b"], r"the character '\x1b' at position 3 "),
    (["--temperature", "0"], "temperature must be above 0, not 0.0; for the likeliest token always, use --greedy"),
    (["--temperature", "nan"], "temperature must be above 0"),
    (["--temperature", "warm"], "argument --temperature: invalid float value: 'warm'"),
    (["--top-k", "0"], "top-k must be 1 or more, not 0"),
    (["--top-p", "1.5"], "top-p must lie in (0, 1], not 1.5"),
    (["--max-new-tokens", "0"], "--max-new-tokens must be 1 or more, not 0"),
    (["--max-new-tokens", "9" * 20], "a whole number of at most 1,000,000,000 was expected, not 99999999999999999999"),
    (["--max-new-tokens", "9" * 5000], "a whole number of at most 1,000,000,000 was expected"),
    (["--max-new-tokens", "1.5"], "a whole number of at most 1,000,000,000 was expected, not 1.5"),
    (["--num-samples", "0"], "--num-samples must be 1 or more, not 0"),
    (["--seed", "-1"], "--seed must be 0 or more, not -1"),
    (["--stop", ""], "--stop must not be empty"),
    (["--stop", "a", "--stop", ""], "--stop must not be empty"),
    (["--repetition-penalty", "0"], "repetition-penalty must be above 0, not 0.0; 1 changes nothing"),
    (["--beams", "0"], "--beams must be 1 or more, not 0"),
    (["--beams", "2", "--num-samples", "3"], "--num-samples 3 are more texts than --beams 2 finds"),
    (["--beams", "2", "--greedy"], "--greedy and --beams"),
    (["--beams", "2", "--show-log-probabilities"], "--show-log-probabilities and --beams"),
    (["--stop", "a", "--show-log-probabilities"], "--stop and --show-log-probabilities"),
    (["--beams", "2", "--prompt", "fox", "--max-new-tokens", "6"], "do not fit the context of 8, and beam search does not slide: ask for 5 or fewer"),
    (["--unknown"], "unrecognized arguments: --unknown (see npgpt --help)"),
    (["--max"], "unrecognized arguments: --max"),
])
def test_an_argument_that_makes_no_sense_is_refused(refused, model, arguments, complaint):
    assert complaint in refused("generate", "--model", model, *arguments)


def test_settings_are_checked_before_the_model_is_loaded(refused):
    assert "top-k must be 1 or more" in refused("generate", "--model", ".", "--top-k", 0)


def test_a_folder_without_a_model_is_refused(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("not a folder")
    assert f"empty is not a model directory: there is no {CONFIG} in it" in refused("generate", "--model", "empty")
    assert "file is not a folder" in refused("generate", "--model", "file")


@pytest.mark.parametrize("command", ["generate", "evaluate", "attention", "trace", "tokenize"])
def test_a_name_that_is_not_a_folder_is_refused_with_advice(refused, command):
    complaint = refused(command, "--model", "gpt2")
    assert "the folder gpt2 does not exist" in complaint
    assert "'hf download openai-community/gpt2 --local-dir gpt2'" in complaint


def test_without_a_model_the_error_says_how_to_train_one(refused):
    assert "there is no model in out yet: npgpt train makes one there" in refused("generate")


@pytest.mark.parametrize("name, complaint", [(WEIGHTS, f"not a model directory: there is no {WEIGHTS}"),
                                             (TOKENIZER_FILE, f"no tokenizer: neither {TOKENIZER_FILE}")])
def test_a_model_that_lacks_a_file_is_refused(refused, model, name, complaint):
    (model / name).unlink()
    assert complaint in refused("generate", "--model", model)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, TOKENIZER_FILE])
@pytest.mark.parametrize("damage", [lambda data: data[:len(data) // 2], lambda data: b"", lambda data: bytes(len(data)),
                                    lambda data: (2**60).to_bytes(8, "little") + data[8:],
                                    lambda data: data.replace(b"{", b"[", 1)])
def test_a_damaged_model_is_refused_with_the_file_named(refused, model, name, damage):
    (model / name).write_bytes(damage((model / name).read_bytes()))
    assert f"npgpt: error: {model / name}" in refused("generate", "--model", model)


def test_weights_that_do_not_fit_the_config_are_refused(refused, model):
    config = (model / CONFIG).read_text()
    (model / CONFIG).write_text(config.replace('"n_embd": 8', '"n_embd": 16'))
    assert "has shape (28, 8) for (28, 16)" in refused("generate", "--model", model)


def test_control_characters_in_the_names_of_a_file_do_not_reach_the_terminal(refused, model):
    tensors, _ = read_safetensors(model / WEIGHTS)
    write_safetensors(model / WEIGHTS, {**tensors, "\x1b[31m\nred": np.zeros(1)}, {})
    assert r"\x1b[31m\nred is unexpected" in refused("generate", "--model", model)


def test_a_model_whose_weights_are_nan_is_refused(npgpt, model):
    parameters, config = load_model(model)
    parameters[:] = np.nan
    save(model, Model(parameters, config, None))
    status, out, err = npgpt("generate", "--model", model, "--prompt", "fox")
    assert status == 2 and out == "fox\n" and "\nnpgpt: error: the model's " in err
