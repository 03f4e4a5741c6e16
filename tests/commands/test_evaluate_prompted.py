"""npgpt evaluate on files of examples, by a language model"""
import json

import numpy as np
import pytest

from npgpt.interop.huggingface import load, save
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import groups, initial_parameters
from npgpt.text.raw_bytes import ByteTokenizer

CHOICE = {"context": "the fox", "choices": ["jumps", "lazy dog"], "answer": 0}


@pytest.fixture
def model(tmp_path):
    """An untrained model of bytes."""
    config = GPTConfig(vocab_size=256, n_positions=40, n_embd=8, n_layer=1, n_head=2, initializer_range=0.5)
    save(tmp_path / "model", Model(initial_parameters(language_model_table(config), 0, np.float64), config, ByteTokenizer()))
    return tmp_path / "model"


@pytest.fixture
def parrot(tmp_path):
    """A model that always says x, and after x a new line."""
    config = GPTConfig(vocab_size=256, n_positions=40, n_embd=8, n_layer=1, n_head=2)
    parameters = np.zeros(len(initial_parameters(language_model_table(config), 0, np.float64)))
    p = groups(parameters, language_model_table(config))
    p.ln_f.gain[...] = 1
    p.wte[:, 0] = 1                                            # any token: x
    p.wte[ord("x")] = [4, 2, -3, -3, 0, 0, 0, 0]               # after x: a new line
    p.wte[ord("\n")] = [0, 5, -5, -5, 0, 0, 0, 0]
    save(tmp_path / "parrot", Model(parameters, config, ByteTokenizer()))
    return tmp_path / "parrot"


@pytest.fixture
def write(tmp_path):
    """Writes a file of examples  ->  its name"""
    def lines(*examples, name="data.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(one) + "\n" for one in examples))
        return name
    return lines


def test_choices_are_ranked_and_the_figures_written(npgpt, model, write, tmp_path):
    status, out, err = npgpt("evaluate", "--model", model, "--data", write(CHOICE, CHOICE, {**CHOICE, "answer": 1}),
                             "--json", "figures.json", "--items", "items.jsonl")
    assert (status, err) == (0, "") and out.startswith("data.jsonl, 0 shots\nlog-likelihood accuracy\nsum ")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {*figures} == {"accuracy", "chance", "examples", "shots", "cut"} and figures["chance"] == 0.5
    assert figures["accuracy"]["sum"] in (pytest.approx(1 / 3), pytest.approx(2 / 3))
    items = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert [item["line"] for item in items] == [1, 2, 3]
    assert [one["text"] for one in items[0]["choices"]] == CHOICE["choices"]


def test_labels_are_choices(npgpt, model, write, tmp_path):
    examples = [{"text": f"text {i}", "label": label} for i, label in enumerate(["good", "bad", "so so"])]
    npgpt("evaluate", "--model", model, "--data", write(*examples), "--shots", 1, "--prompt", "{text}:",
          "--items", "items.jsonl")
    item = json.loads((tmp_path / "items.jsonl").read_text().splitlines()[0])
    assert [one["text"] for one in item["choices"]] == ["bad", "good", "so so"] and item["answer"] == 1


def test_what_is_cut_off_is_told(npgpt, model, write):
    data = write({**CHOICE, "context": "a" * 40}, CHOICE)
    assert "\n1 of 2 prompts did not fit the context of 40 tokens: their beginnings were cut off\n" in npgpt(
        "evaluate", "--model", model, "--data", data).out


def test_shots_come_from_another_file(npgpt, model, write):
    data, other = write(CHOICE), write({**CHOICE, "context": "a cat"}, name="other.jsonl")
    outs = [npgpt("evaluate", "--model", model, "--data", data, *more).out
            for more in ([], ["--train", other, "--shots", 1])]
    assert outs[1].startswith("data.jsonl, 1 shot\n") and outs[0] != outs[1]


@pytest.mark.parametrize("example, right", [
    ({"question": "Who?", "answers": ["y", "X."]}, 1.0), ({"question": "Who?", "answers": "y"}, 0.0),
    ({"question": "Who?", "context": "x y", "answers": "x"}, 1.0), ({"source": "ix", "target": "x"}, 1.0)])
@pytest.mark.parametrize("beams", [1, 2])
def test_questions_are_answered_up_to_the_end_of_the_line(npgpt, parrot, write, tmp_path, example, right, beams):
    npgpt("evaluate", "--model", parrot, "--data", write(example), "--max-new-tokens", 3, "--beams", beams,
          "--json", "figures.json", "--items", "items.jsonl")
    assert json.loads((tmp_path / "items.jsonl").read_text())["predicted"] == "x"
    assert json.loads((tmp_path / "figures.json").read_text())["exact_match"] == right


def test_a_prompt_too_long_for_a_free_answer_is_cut_at_its_left(npgpt, parrot, write):
    data = write({"question": "Who?" * 10, "answers": ["x"]})
    out = npgpt("evaluate", "--model", parrot, "--data", data, "--max-new-tokens", 3).out
    assert "exact match  1.0000" in out and "1 of 1 prompts did not fit" in out


def test_the_last_word_is_predicted(npgpt, parrot, write, tmp_path):
    """The model predicts " \\n", never " x"."""
    npgpt("evaluate", "--model", parrot, "--data", write({"text": "it is x"}), "--json", "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["accuracy"] == 0.0 and figures["perplexity"] > 1 and figures["examples"] == 1


@pytest.mark.parametrize("example, more, complaint", [
    ({**CHOICE, "answer": 2}, [], "data.jsonl: line 1: answer is 2, but the choices are 0 to 1"),
    ({**CHOICE, "choices": ["a", " "]}, [], "line 1: choices[1] is empty"),
    ({"context": "a", "choice": ["a", "b"], "answer": 0}, [], "line 1: the fields context, choices, answer were expected"),
    ({**CHOICE, "choices": ["a", "b" * 60]}, [], "data.jsonl: line 1: ' bbb"),
    (CHOICE, ["--shots", 1], "line 1: 1 shots were asked for, but there are only 0 other examples"),
    (CHOICE, ["--shots", -1], "--shots must be 0 or more"),
    (CHOICE, ["--prompt", "{answer}"], "data.jsonl: the prompt '{answer}' names answer"),
    (CHOICE, ["--stop", ""], "--stop must not be empty"),
    (CHOICE, ["--json", "."], "is not a file"),
    ({"text": "word"}, [], "data.jsonl: line 1: text has a single word"),
    ({"tokens": ["a"], "tags": ["O"]}, [], "a language model cannot be asked for tags"),
    ({"question": "Who?", "answers": "y"}, ["--max-new-tokens", 40], "line 1: 40 new tokens leave no room"),
])
def test_what_is_wrong_is_said_with_the_line(refused, model, write, example, more, complaint):
    assert complaint in refused("evaluate", "--model", model, "--data", write(example), *more)


def test_shots_of_which_not_one_fits_are_refused(refused, model, write):
    data = write({**CHOICE, "context": "b" * 30}, {**CHOICE, "context": "a" * 30})
    assert "line 1: not one of the shots fits the model's context of 40 tokens" in refused(
        "evaluate", "--model", model, "--data", data, "--shots", 1)


def test_shots_of_another_kind_are_refused(refused, model, write):
    data, other = write(CHOICE), write({"text": "a", "label": "b"}, name="other.jsonl")
    assert "other.jsonl: its examples have other fields than those of --data" in refused(
        "evaluate", "--model", model, "--data", data, "--train", other, "--shots", 1)


def test_one_file_at_a_time(refused, model, write):
    data = write(CHOICE)
    assert "one file of examples is evaluated at a time" in refused("evaluate", "--model", model, "--data", data, data)


def test_damaged_weights_are_refused(refused, npgpt, model, write):
    whole = load(model)
    whole.parameters[...] = np.inf
    save(model, whole)
    assert "NaN or infinite" in npgpt("evaluate", "--model", model, "--data", write(CHOICE)).err


def test_shots_before_a_free_answer_must_fit_too(refused, model, write):
    data = write(*({"question": letter * 20, "answers": ["x"]} for letter in "ab"))
    assert "line 1: not one of the shots fits the model's context of 40 tokens" in refused(
        "evaluate", "--model", model, "--data", data, "--shots", 1, "--max-new-tokens", 3)
