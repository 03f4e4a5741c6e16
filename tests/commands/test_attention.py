"""npgpt attention"""
import base64
import json
import os
import re
import sys
import xml.etree.ElementTree as tree

import numpy as np
import pytest

from npgpt.commands import attention as command
from npgpt.inspection.attention import attended
from npgpt.inspection.heat_map import heat_map
from npgpt.interop.huggingface import load_model, save
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.base_tokenizer import TOKENIZER_FILE

HOSTILE = "</script><b>\x1b\"'\u2028🤗\n\udcff"


@pytest.fixture
def byte_model(tmp_path):
    config = GPTConfig(vocab_size=256, n_positions=64, n_embd=12, n_layer=2, n_head=3, initializer_range=0.5)
    save(tmp_path / "bytes", Model(initial_parameters(language_model_table(config)), config, ByteTokenizer()))
    return tmp_path / "bytes"


def data_of(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)[1])


def test_there_is_a_map_for_every_head_of_every_layer(npgpt, byte_model):
    outcome = npgpt("attention", "--model", byte_model, "--text", "two fox")
    assert outcome.status == 0 and outcome.err == "" and "\x1b" not in outcome.out
    assert re.findall(r"layer (\d) head (\d)", outcome.out) == [(layer, head) for layer in "01" for head in "012"]
    assert outcome.out.count("t @@") == 6                              # the first token attends to itself alone


def test_layers_and_heads_can_be_chosen(npgpt, byte_model):
    shown = npgpt("attention", "--model", byte_model, "--layer", 1, "--head", 2, 0).out
    assert re.findall(r"layer (\d) head (\d)", shown) == [("1", "2"), ("1", "0")]


def test_every_map_is_that_of_its_layer_and_head(npgpt, byte_model, tmp_path):
    weights, _ = attended(np.frombuffer(b"two", np.uint8), *load_model(byte_model))
    chosen = "attention", "--model", byte_model, "--text", "two", "--layer", 1, "--head", 2, 0
    side_by_side = npgpt(*chosen).out.splitlines()[-4:]
    for lines in zip(side_by_side, *(heat_map(weights[1, head], "two") for head in (2, 0))):
        together, *apart = ("".join(line.split()) for line in lines)
        assert together == "".join(apart)
    npgpt(*chosen, "--html", "a.html")
    stored = np.frombuffer(base64.b64decode(data_of(tmp_path / "a.html")["weights"]), "<u2").reshape(2, 6) / 65535
    assert np.abs(stored - weights[1, [2, 0]][(slice(None), *np.tril_indices(3))]).max() < 1e-4


def test_without_arguments_the_model_in_out_is_given_a_sentence(npgpt, model):
    model.rename("out")
    outcome = npgpt("attention")
    assert outcome.status == 0 and outcome.out.count("layer 0 head") == 2


@pytest.mark.parametrize("terminal, no_color, coloured", [(True, "", True), (True, "1", False), (False, "", False)])
def test_colours_are_used_on_terminals_unless_no_color_is_set(npgpt, byte_model, monkeypatch, terminal, no_color, coloured):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("NO_COLOR", no_color)
    assert ("\x1b[" in npgpt("attention", "--model", byte_model, "--text", "fox").out) == coloured


def test_a_map_that_is_wider_than_the_terminal_is_refused(refused, byte_model, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(command.shutil, "get_terminal_size", lambda: os.terminal_size((40, 24)))
    assert "a map of 50 tokens is 52 columns wide and the terminal 40: write a page with --html" in refused(
        "attention", "--model", byte_model, "--text", "x" * 50)


def test_a_page_holds_the_text_the_weights_and_the_likeliest_next_tokens(npgpt, byte_model, tmp_path):
    outcome = npgpt("attention", "--model", byte_model, "--text", HOSTILE, "--html", "a.html", "--layer", 1)
    assert (outcome.status, outcome.err) == (0, "") and outcome.out.startswith("a.html: ")
    data = data_of(tmp_path / "a.html")
    assert data["tokens"][:9] == list("</script>") and data["layers"] == [1] and data["heads"] == [0, 1, 2]
    assert data["tokens"][12:] == [r"\x1b", '"', "'", r"\xe2", r"\x80", r"\xa8", r"\xf0", r"\x9f", r"\xa4", r"\x97", r"\n",
                                   r"\xed", r"\xb3", r"\xbf"]
    assert len(data["next"]) == len(data["came"]) == len(data["tokens"]) and len(data["next"][0]) == 10
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["a.html"]


def test_a_picture_holds_the_maps_that_are_chosen(npgpt, byte_model, tmp_path):
    outcome = npgpt("attention", "--model", byte_model, "--text", HOSTILE, "--svg", "a.svg", "--layer", 1, "--head", 2, 0)
    assert (outcome.status, outcome.err) == (0, "") and outcome.out.startswith("a.svg: ")
    texts = [one.text for one in tree.parse(tmp_path / "a.svg").iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text.startswith("layer")] == ["layer 1, head 2", "layer 1, head 0"]


def test_a_page_is_written_through_a_symbolic_link_and_never_over_a_pipe(npgpt, refused, byte_model, tmp_path):
    (tmp_path / "page.html").write_text("old")
    (tmp_path / "link").symlink_to("page.html")
    assert npgpt("attention", "--model", byte_model, "--html", "link").out.startswith("link: ")
    assert (tmp_path / "link").is_symlink() and data_of(tmp_path / "page.html")["layers"] == [0, 1]
    os.mkfifo(tmp_path / "pipe")
    assert "pipe is not a file" in refused("attention", "--model", byte_model, "--html", "pipe")


def test_ids_can_be_given_where_there_is_no_tokenizer(npgpt, byte_model, tmp_path):
    (byte_model / TOKENIZER_FILE).unlink()
    assert npgpt("attention", "--model", byte_model, "--ids", 7, 200, "--html", "a.html").status == 0
    data = data_of(tmp_path / "a.html")
    assert data["tokens"] == ["7", "200"] and data["next"][0][0][0].startswith("#")


def test_mistakes_are_explained(refused, byte_model, monkeypatch):
    assert "--layer must be from 0 to 1 in this model, not 2" in refused("attention", "--model", byte_model, "--layer", 2)
    assert "--head must be from 0 to 2 in this model, not -1" in refused("attention", "--model", byte_model, "--head", -1)
    assert "the text has 0 tokens, 1 or more are needed" in refused("attention", "--model", byte_model, "--text", "")
    assert "there is no model in out yet: npgpt train" in refused("attention")
    assert "nowhere/a.html: No such file or directory" in refused(
        "attention", "--model", byte_model, "--html", "nowhere/a.html")
    monkeypatch.setattr(command, "LARGEST", 1000)
    assert "choose some layers and heads with --layer and --head" in refused("attention", "--model", byte_model, "--html", "a.html")
    assert "the file would have" in refused("attention", "--model", byte_model, "--svg", "a.svg")


def test_a_damaged_model_is_refused(npgpt, model):
    parameters, config = load_model(model)
    save(model, Model(np.full_like(parameters, np.nan), config, None))
    outcome = npgpt("attention", "--model", model, "--text", "fox")
    assert (outcome.status, outcome.out) == (2, "") and "NaN or infinite: there is nothing to show" in outcome.err
