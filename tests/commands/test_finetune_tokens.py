"""npgpt finetune, classify and evaluate for heads that tag words or find answers, on BERTs and GPTs."""
import json
import re

import numpy as np
import pytest

from helpers import end_state, forget
from npgpt.interop.huggingface import load, save
from npgpt.interop.safetensors import read_safetensors
from npgpt.json_files import read_json
from npgpt.model.bert_config import BertConfig
from npgpt.model.config import GPTConfig
from npgpt.model.heads import SPAN, TAGGING, Head, model_table
from npgpt.model.model import Model
from npgpt.model.parameters import groups, initial_parameters, named_views
from npgpt.model.transfer import transferred
from npgpt.runs.metrics import METRICS_FILE
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.vocabulary import with_special_tokens

NAMES, PLACES = ["amy", "bob"], ["pub", "inn", "gym"]
QUICK = ["--batch-size", 4, "--epochs", 1, "--threads", 1]
SIZES = {"n_positions": 24, "n_embd": 16, "n_layer": 1, "n_head": 2, "initializer_range": 0.2}


def write(path, *examples):
    path.write_text("".join(json.dumps(example) + "\n" for example in examples))
    return path


@pytest.fixture(params=["bert", "gpt"])
def pretrained(request, tmp_path):
    """A small model of characters, with the default name of npgpt train's folder."""
    tokenizer = CharacterTokenizer("abcdefghijklmnopqrstuvwxyz ?")
    if request.param == "bert":
        tokenizer = with_special_tokens(tokenizer, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
        config = BertConfig(vocab_size=tokenizer.vocab_size, pad_token_id=28, **SIZES).without_dropout()
    else:
        config = GPTConfig(vocab_size=tokenizer.vocab_size, **SIZES).without_dropout()
    save(tmp_path / "out", Model(initial_parameters(model_table(config), 5), config, tokenizer))
    return tmp_path / "out"


@pytest.fixture
def tagged(tmp_path):
    """Names of two words, which begin with m."""
    rng = np.random.default_rng(0)
    tags = ["O", "B-NAME", "I-NAME", "O"]
    return write(tmp_path / "names.jsonl", *(
        {"tokens": ["see", "mr", rng.choice(NAMES), rng.choice(PLACES)][i % 2:], "tags": tags[i % 2:]} for i in range(40)))


@pytest.fixture
def questions(tmp_path):
    """Where the one who is asked for is, or no answer."""
    rng = np.random.default_rng(0)
    examples = []
    for i in range(40):
        place = str(rng.choice(PLACES))
        there = i % 4
        examples.append({"question": "q", "context": f"at {place}" if there else "no",
                         "answers": [{"text": place, "answer_start": 3}] if there else []})
    return write(tmp_path / "places.jsonl", *examples)


def test_words_are_tagged_after_training(npgpt, pretrained, tagged, tmp_path):
    status, out, err = npgpt("finetune", "--data", tagged, "--epochs", 20, "--batch-size", 4, "--learning-rate", 0.01,
                             "--dropout", 0, "--threads", 1)
    assert status == 0 and "36 examples to train on, 4 to validate on; tagging, 3 labels" in err and "F1 1.0000" in err
    assert "next: npgpt classify --model finetuned --text '" in err and re.search(r"NAME +1\.000 +1\.000 +1\.000", out)
    model = load("finetuned")
    assert model.heads == (Head(TAGGING, ("B-NAME", "I-NAME", "O")),)
    name = type(model.config).__name__.replace("Config", "").replace("GPT", "GPT2").replace("Bert", "Bert")
    assert read_json(tmp_path / "finetuned" / "config.json")["architectures"] == [f"{name}ForTokenClassification"]
    assert npgpt("classify", "--text", "mr bob inn").out == "mr   B-NAME\nbob  I-NAME\ninn  O\n"
    shown = npgpt("classify", "--json", "--text", "mr bob", "see mr amy").out.splitlines()
    assert [json.loads(line)["tags"] for line in shown] == [["B-NAME", "I-NAME"], ["O", "B-NAME", "I-NAME"]]
    status, out, _ = npgpt("evaluate", "--model", "finetuned", "--data", tagged, "--json", "figures.json")
    assert status == 0 and json.loads((tmp_path / "figures.json").read_text())["micro"]["f1"] == 1 and "micro average" in out


def test_questions_are_answered_after_training(npgpt, pretrained, questions, tmp_path):
    status, out, err = npgpt("finetune", "--data", questions, "--epochs", 20, "--batch-size", 4, "--learning-rate", 0.01,
                             "--dropout", 0, "--threads", 1)
    assert status == 0 and "exact_match 1.0000" in err and out.startswith("exact match  1.0000\n")
    assert load("finetuned").heads == (Head(SPAN),)
    probability, answer = npgpt("classify", "--pair", "q", "at gym").out.split()
    assert answer == "gym" and 0.3 < float(probability) <= 1
    assert npgpt("classify", "--pair", "q", "no").out.endswith("  (no answer)\n")
    found = json.loads(npgpt("classify", "--json", "--pair", "q", "at inn").out)
    assert found["answers"] == [{"text": "inn", "answer_start": 3}] and found["context"] == "at inn"
    status, out, _ = npgpt("evaluate", "--model", "finetuned", "--data", questions, "--json", "figures.json")
    assert status == 0 and json.loads((tmp_path / "figures.json").read_text()) == {"exact_match": 1, "f1": 1, "examples": 40}


def test_a_resumed_run_is_the_same_bit_for_bit(npgpt, pretrained, tagged, tmp_path):
    run = ["--data", tagged, "--batch-size", 4, "--epochs", 2, "--threads", 1, "--checkpoint-every", 9]
    assert npgpt("finetune", *run, "--out", "whole").status == 0
    npgpt("finetune", *run, "--out", "parts")
    forget(tmp_path / "parts", 9)
    (tmp_path / "parts" / METRICS_FILE).write_text("".join(
        (tmp_path / "parts" / METRICS_FILE).read_text().splitlines(keepends=True)[:9]))
    assert npgpt("finetune", "--resume", "parts").status == 0
    assert end_state(tmp_path / "parts") == end_state(tmp_path / "whole")


def test_texts_that_are_too_long_are_cut_and_it_is_said(npgpt, pretrained, tmp_path):
    words = ["see"] * 9 + ["mr"]
    long, short = {"tokens": words, "tags": ["O"] * 9 + ["B-NAME"]}, {"tokens": ["mr"], "tags": ["B-NAME"]}
    data = write(tmp_path / "long.jsonl", *[long, short] * 3)
    status, _, err = npgpt("finetune", "--data", data, "--validation", data, *QUICK)
    assert status == 0 and "long.jsonl: 3 of 6 examples are longer than the context of 24 tokens" in err
    assert "are cut: lines 1, 3, 5" in err
    out, err = npgpt("classify", "--text", " ".join(words))[1:]
    assert out.splitlines()[-1] == "mr   O" and "1 of 1 texts are longer than the context of 24 tokens" in err


def test_a_model_starts_from_the_body_of_the_pretrained_one(npgpt, pretrained, tagged):
    before = load("out")
    head = (Head(SPAN),)
    ours = named_views(transferred(before.parameters, before.config, before.config, head), model_table(before.config, head))
    theirs = named_views(before.parameters, before.table)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours if not name.startswith("heads"))
    still = ("--learning-rate", 1e-9, "--warmup", 0)
    assert npgpt("finetune", "--data", tagged, *QUICK, "--transfer-layers", 0, *still).status == 0
    tuned = load("finetuned")
    tuned = groups(tuned.parameters, tuned.table).blocks[0].attn.w_qkv
    assert abs(tuned - groups(before.parameters, before.table).blocks[0].attn.w_qkv).max() > 0.1


def test_a_model_can_start_from_scratch_with_a_bert(npgpt, tagged):
    assert npgpt("finetune", "--data", tagged, "--from-scratch", *QUICK).status == 0
    model = load("finetuned")
    assert isinstance(model.config, BertConfig) and "[CLS]" in model.tokenizer.special_tokens
    assert not any(name.startswith("cls") for name in read_safetensors("finetuned/model.safetensors")[0])


@pytest.mark.parametrize("arguments, complaint", [
    (["--task", "span"], "--task span needs the fields question, context, answers"),
    (["--task", "classification"], "--task classification is not for the fields tokens, tags"),
    (["--lm-weight", 0.5], "--lm-weight is for other tasks: tagging has no auxiliary loss")])
def test_what_does_not_fit_is_refused(refused, pretrained, tagged, arguments, complaint):
    assert complaint in refused("finetune", "--data", tagged, *arguments)


def test_several_files_are_refused(refused, pretrained, tagged, questions):
    assert "tagging is trained alone: name one file" in refused("finetune", "--data", tagged, questions)


@pytest.mark.parametrize("tags, complaint", [(["NOUN", "VERB"], "the tag 'NOUN' is neither O nor B-"),
                                             (["O", "O"], "all labels are 'O': two or more are needed")])
def test_tags_that_are_no_entities_are_refused(refused, pretrained, tmp_path, tags, complaint):
    data = write(tmp_path / "tags.jsonl", *[{"tokens": ["a", "b"], "tags": tags}] * 2)
    assert complaint in refused("finetune", "--data", data)


def test_a_head_is_asked_what_it_is_for(npgpt, pretrained, tagged, questions, tmp_path):
    npgpt("finetune", "--data", tagged, *QUICK)
    for arguments, complaint in ((["classify", "--pair", "a", "b"], "the model tags the words of a text"),
                                 (["classify", "--text", " "], "the model tags the words of a text"),
                                 (["evaluate", "--model", "finetuned", "--data", questions],
                                  "line 1: the model's head is for tagging, which needs the fields tokens, tags")):
        status, _, err = npgpt(*arguments)
        assert status == 2 and complaint in err
    npgpt("finetune", "--data", questions, *QUICK, "--overwrite")
    status, _, err = npgpt("classify", "--text", "a")
    assert status == 2 and "the model answers a question from a text" in err


def test_a_bert_with_a_head_does_not_predict_tokens_any_more(npgpt, tagged):
    npgpt("finetune", "--data", tagged, "--from-scratch", *QUICK)
    status, _, err = npgpt("fill", "--model", "finetuned", "--text", "a [MASK]")
    assert status == 2 and "holds a BERT with a head for tagging" in err
