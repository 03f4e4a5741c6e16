"""Masked language models on the command line: trained, resumed, filled, evaluated and looked at."""
import base64
import json
import re

import numpy as np
import pytest

from npgpt.interop.huggingface import load, save
from npgpt.json_files import read_json
from npgpt.model.bert_config import BertConfig
from npgpt.model.heads import model_table
from npgpt.model.model import Model
from npgpt.model.parameters import groups, initial_parameters
from npgpt.tasks.masking import SPECIAL
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.vocabulary import with_special_tokens

SMALL = ("--objective", "masked", "--n-layer", 1, "--n-embd", 8, "--n-head", 2, "--n-positions", 12, "--batch-size", 4)


@pytest.fixture
def bert(tmp_path):
    """A model that guesses c everywhere, then d, whatever is around."""
    tokenizer = with_special_tokens(CharacterTokenizer("abcd "), SPECIAL)
    config = BertConfig(vocab_size=tokenizer.vocab_size, n_positions=12, n_embd=8, n_layer=1, n_head=2,
                        pad_token_id=tokenizer.special_tokens["[PAD]"])
    parameters = initial_parameters(model_table(config), 0, np.float64)
    groups(parameters, model_table(config)).head.bias[2:4] = 20, 19
    save(tmp_path / "bert", Model(parameters, config, tokenizer))
    return tmp_path / "bert"


def test_training_learns_and_writes_a_model_directory(npgpt, text, tmp_path):
    status, out, err = npgpt("train", *SMALL, "--data", text, "--steps", 60, "--learning-rate", 0.02)
    assert status == 0 and "█" in out and "npgpt fill" in err
    losses = [float(loss) for loss in re.findall(r"validation (\d\.\d+)", err)]
    assert losses[-1] < losses[0] - 0.2
    model, settings = load(tmp_path / "out"), read_json(tmp_path / "out" / "tokenizer_config.json")
    assert isinstance(model.config, BertConfig) and model.config.pad_token_id == model.tokenizer.special_tokens["[PAD]"]
    assert [settings[f"{role}_token"] for role in ("pad", "unk", "cls", "sep", "mask")] == list(SPECIAL)
    assert "token_type_ids" in settings["model_input_names"]
    steps = read_json(tmp_path / "out" / "tokenizer.json")["post_processor"]["single"]
    assert [list(step) for step in steps] == [["SpecialToken"], ["Sequence"], ["SpecialToken"]]


def test_a_resumed_run_is_the_same_bit_for_bit(npgpt, text, tmp_path):
    run = (*SMALL, "--data", text, "--steps", 6, "--threads", 1, "--dropout", 0.1, "--eval-every", 3)
    assert npgpt("train", *run, "--out", "whole", "--checkpoint-every", 3, "--keep-checkpoints", 9).status == 0
    npgpt("train", *run, "--out", "parts", "--checkpoint-every", 3, "--keep-checkpoints", 9)
    last = tmp_path / "parts" / "checkpoints" / "step-00000006"
    for file in last.iterdir():
        file.unlink()
    last.rmdir()
    assert npgpt("train", "--resume", "parts").status == 0
    whole, parts = (load(tmp_path / name).parameters for name in ("whole", "parts"))
    np.testing.assert_array_equal(whole, parts)


def test_a_dry_run_tells_memory_and_time(npgpt, text):
    status, _, err = npgpt("train", *SMALL, "--data", text, "--dry-run")
    assert status == 0 and re.search(r"\d+ MB of memory", err) and "ms a step" in err


def test_one_mask_is_filled_with_the_likeliest_tokens(npgpt, bert):
    status, out, _ = npgpt("fill", "--model", bert, "--text", "ab [MASK]a", "--top", 2)
    assert status == 0
    assert [line.split()[1:] for line in out.splitlines()] == [["c", "ab", "ca"], ["d", "ab", "da"]]
    first, second = (float(line.split()[0]) for line in out.splitlines())
    assert 0.6 < first < 0.85 and 0.15 < second < 0.4


def test_several_masks_are_filled_one_by_one_and_all_together(npgpt, bert):
    out = npgpt("fill", "--model", bert, "--text", "[MASK]b[MASK]", "--top", 1).out.splitlines()
    assert [line.split()[1] for line in out[:4]] == ["1", "c", "2", "c"] and out[4:] == ["cbc"]


def test_evaluation_counts_masked_tokens(npgpt, bert, tmp_path):
    (tmp_path / "data.txt").write_text("c" * 60 + "a")
    out = npgpt("evaluate", "--model", bert, "--data", tmp_path / "data.txt").out
    assert "100.00%" in out and "over 60 tokens masked one at a time" in out
    assert float(re.search(r"^loss +([\d.]+)", out, re.MULTILINE)[1]) == pytest.approx(np.log1p(np.exp(-1)), abs=0.02)
    assert 1.1 < float(re.search(r"pseudo-perplexity +([\d.]+)", out)[1]) < 1.8      # c has a probability of about 0.73


def test_trace_and_attention_see_both_sides(npgpt, bert, tmp_path):
    out = npgpt("trace", "--model", bert, "--text", "abcd abc", "--save", "trace.npz").out
    assert "T 10 tokens" in out and "embeddings" in out
    weights = np.load(tmp_path / "trace.npz")["value/blocks.0.attn.attention.weights"]
    assert weights.shape == (1, 2, 10, 10) and weights.min() > 0
    out = npgpt("attention", "--model", bert, "--text", "a[MASK]b").out
    assert "up to itself" not in out and "[MASK]" in out
    assert len({len(line) for line in out.splitlines()[-5:]}) == 1                   # full rows
    assert npgpt("attention", "--model", bert, "--text", "ab", "--svg", "maps.svg").status == 0
    assert npgpt("attention", "--model", bert, "--text", "a[MASK]b", "--html", "maps.html").status == 0
    page = (tmp_path / "maps.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
    assert data["tokens"] == ["[CLS]", "a", "[MASK]", "b", "[SEP]"] and len(data["came"]) == 5
    assert len(base64.b64decode(data["weights"])) == 2 * 2 * 5 * 5                   # two bytes each, of two heads
    assert [token for token, _, _ in data["next"][2][:2]] == ["c", "d"]


@pytest.mark.parametrize("arguments, message", [
    (("fill", "--text", "ab"), r"\[MASK\]"), (("fill", "--text", "[MASK]" * 11), "at most 12"),
    (("fill", "--text", "[MASK]", "--top", 0), "--top"), (("generate", "--prompt", "a"), "npgpt fill"),
    (("evaluate", "--stride", 3, "--data", "text.txt"), "--stride")])
def test_what_a_masked_language_model_cannot_do_is_refused(refused, bert, text, arguments, message):
    assert re.search(message, refused(arguments[0], "--model", bert, *arguments[1:]))


@pytest.mark.parametrize("arguments, message", [
    (("--objective", "masked", "--preset", "small"), "bert-small"), (("--preset", "bert-small"), "--preset small")])
def test_presets_belong_to_objectives(refused, text, arguments, message):
    assert message in refused("train", *arguments, "--data", text)


def test_models_of_the_other_kind_are_not_trained_further(refused, bert, model, text):
    assert "--objective masked" in refused("train", "--init", bert, "--data", text)
    assert "a GPT" in refused("train", "--objective", "masked", "--init", model, "--data", text)


def test_fill_needs_a_masked_language_model(refused, model):
    assert "a GPT" in refused("fill", "--model", model, "--text", "[MASK]")
