"""npgpt finetune, npgpt classify, and npgpt evaluate on labelled examples."""
import io
import itertools
import json
import os
import re
import signal
import sys

import numpy as np
import pytest

from helpers import end_state, forget
from npgpt.commands.labelled_data import read_data
from npgpt.interop.huggingface import load, save
from npgpt.interop.safetensors import read_safetensors
from npgpt.model.config import GPTConfig
from npgpt.model.heads import CLASSIFICATION, MULTIPLE_CHOICE, REGRESSION, language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters, named_views
from npgpt.runs.metrics import METRICS_FILE
from npgpt.tasks.inputs import SPECIAL
from npgpt.text.characters import CharacterTokenizer

WORDS = ["cat", "dog", "bird", "fish", "ant", "bee"]


def write(path, *examples):
    path.write_text("".join(json.dumps(example) + "\n" for example in examples))
    return path


@pytest.fixture
def pretrained(tmp_path):
    """A small model of characters, with the default name of npgpt train's folder."""
    tokenizer = CharacterTokenizer("abcdefghijklmnopqrstuvwxyz ")
    config = GPTConfig(vocab_size=27, n_positions=16, n_embd=8, n_layer=2, n_head=2, initializer_range=0.2).without_dropout()
    model = Model(initial_parameters(language_model_table(config), 5), config, tokenizer)
    named_views(model.parameters, model.table)["ln_f.gain"][...] = np.linspace(0.5, 1.5, 8)
    save(tmp_path / "out", model)
    return tmp_path / "out"


@pytest.fixture
def texts(tmp_path):
    """Forty texts, whose label is told by their first letter."""
    rng = np.random.default_rng(0)
    return write(tmp_path / "texts.jsonl", *({"text": f"{'ab'[i % 2]} {rng.choice(WORDS)}", "label": ("no", "yes")[i % 2]}
                                             for i in range(40)))


@pytest.fixture
def choices(tmp_path):
    return write(tmp_path / "choices.jsonl", *({"context": word, "choices": [word, "x", "y"][:2 + i % 2], "answer": 0}
                                               for i, word in enumerate(WORDS * 3)))


@pytest.fixture
def numbers(tmp_path):
    return write(tmp_path / "numbers.jsonl", *({"sentence1": word, "sentence2": word[::-1], "label": len(word) + 0.5}
                                               for word in WORDS * 3))


QUICK = ["--batch-size", 4, "--epochs", 1, "--threads", 1]


def test_a_model_learns_answers_and_is_measured(npgpt, pretrained, texts, tmp_path):
    status, out, err = npgpt("finetune", "--data", texts, "--epochs", 15, "--batch-size", 4, "--learning-rate", 0.02, "--dropout", 0)
    assert status == 0 and "36 examples to train on, 4 to validate on; classification, 2 labels" in err
    assert re.search(r"examples/s .*\n", err) and out == "validation: accuracy 1.0000, macro F1 1.0000\n"
    assert "finetuned holds the model of step" in err and "next: npgpt classify --model finetuned --text '" in err
    model = load("finetuned")
    assert model.config == model.config.without_dropout()                   # which was asked for
    assert [head.kind for head in model.heads] == [CLASSIFICATION] and model.heads[0].labels == ("no", "yes")
    assert set(SPECIAL) <= set(model.tokenizer.special_tokens) and model.config.pad_token_id == model.tokenizer.id_of("_pad_")

    shares = npgpt("classify", "--text", "b cat").out.splitlines()
    assert shares[0].split()[1] == "yes" and sum(float(line.split()[0]) for line in shares) == pytest.approx(1, abs=2e-4)
    assert [line.split()[1] for line in npgpt("classify", "--text", "a dog", "b bee").out.splitlines()] == ["no", "yes"]
    status, out, _ = npgpt("evaluate", "--model", "finetuned", "--data", texts, "--json", "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert status == 0 and f"accuracy  {figures['accuracy']:.4f}" in out and figures["accuracy"] > 0.9
    assert np.array(figures["confusion"]).sum() == 40 and set(figures["classes"]) == {"no", "yes"}


def test_the_folder_has_the_model_with_the_best_validation(npgpt, pretrained, texts, tmp_path, monkeypatch):
    from npgpt.commands.labelled import FineTune
    from npgpt.training.evaluation import Validation
    scores = iter([0.5, 0.8, 0.8, 0.6])
    losses = iter([1.0, 2.0, 1.5, 0.1])                            # the third is best: of equal scores, that with the smaller loss
    monkeypatch.setattr(FineTune, "validate", lambda *_: Validation(next(losses), (score := next(scores)), {"accuracy": score}))
    err = npgpt("finetune", "--data", texts, *QUICK, "--epochs", 4, "--threads", 1).err
    assert "finetuned holds the model of step 27, the best in validation" in err
    best, newest = (read_safetensors(tmp_path / "finetuned/checkpoints" / name / "model.safetensors")[0]
                    for name in ("step-00000027", "step-00000036"))
    published, _ = read_safetensors(tmp_path / "finetuned/model.safetensors")
    assert all((published[name] == best[name]).all() for name in best)
    assert any((published[name] != newest[name]).any() for name in best)
    lines = [json.loads(line) for line in (tmp_path / "finetuned" / METRICS_FILE).read_text().splitlines()]
    assert [line["validation_accuracy"] for line in lines if "validation_loss" in line] == [0.5, 0.8, 0.8, 0.6]
    assert "examples_per_second" in lines[0] and len(lines) == 36


@pytest.mark.parametrize("step", [0, 2, 9])
def test_a_resumed_run_ends_as_an_uninterrupted_one(npgpt, pretrained, texts, choices, tmp_path, step):
    run = ["finetune", "--data", texts, choices, "--batch-size", 4, "--epochs", 2, "--checkpoint-every", 1, "--keep-checkpoints", 99]
    assert npgpt(*run).status == 0
    whole = end_state(tmp_path / "finetuned")
    forget(tmp_path / "finetuned", step)
    outcome = npgpt("finetune", "--resume", "finetuned")
    assert outcome.status == 0 and f"after step {step}\n" in outcome.err
    assert end_state(tmp_path / "finetuned") == whole


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("moment", [20, 24, 28])
def test_a_run_that_is_killed_while_it_writes_ends_as_an_uninterrupted_one_when_resumed(npgpt, pretrained, texts, tmp_path, moment):
    """SIGKILL in one of the moments in which a file or a folder is flushed to the disk."""
    run = ["finetune", "--data", texts, *QUICK, "--batch-size", 12, "--checkpoint-every", 1]
    if (child := os.fork()) == 0:
        flushes = itertools.count(1)
        os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL) if next(flushes) == moment else None
        try:
            npgpt(*run, "--out", "killed")
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert npgpt("finetune", "--resume", "killed").status == 0 and npgpt(*run, "--out", "whole").status == 0
    assert end_state(tmp_path / "killed") == end_state(tmp_path / "whole")


def test_several_files_train_one_model_with_a_head_for_each(npgpt, pretrained, texts, choices, numbers, tmp_path):
    status, out, err = npgpt("finetune", "--data", texts, choices, numbers, *QUICK, "--evenly", "--dtype", "float64")
    assert status == 0 and [line.split(":")[0] for line in out.splitlines()] == [
        "validation of texts", "validation of choices", "validation of numbers"]
    model = load("finetuned")
    assert [(head.kind, head.name) for head in model.heads] == [
        (CLASSIFICATION, "texts"), (MULTIPLE_CHOICE, "choices"), (REGRESSION, "numbers")]
    assert npgpt("classify", "--task", "choices", "--choices", "cat", "cat", "dog").status == 0
    number = npgpt("classify", "--task", "numbers", "--pair", "cat", "dog", "--json").out
    assert set(json.loads(number)) == {"sentence1", "sentence2", "label"}
    npgpt("evaluate", "--model", "finetuned", "--data", texts, numbers, "--json", "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures) == {"texts", "numbers"} and set(figures["numbers"]) >= {"pearson", "spearman"}

    for name in ("texts", "choices", "numbers"):                   # each opens alone, with the same numbers
        alone = load(f"finetuned/tasks/{name}")
        assert len(alone.heads) == 1 and alone.config == model.config
        whole, part = named_views(model.parameters, model.table), named_views(alone.parameters, alone.table)
        index = [head.name for head in model.heads].index(name)
        assert (part["wte"] == whole["wte"]).all() and (part["heads.0.w"] == whole[f"heads.{index}.w"]).all()


def test_numbers_are_learned_in_their_own_scale(npgpt, pretrained, numbers, tmp_path):
    """Labels that are 1,024 times as large lead to the same parameters, and to answers that are as many times larger."""
    large = write(tmp_path / "large.jsonl", *({**example, "label": 1024 * example["label"]}
                                              for example in map(json.loads, numbers.read_text().splitlines())))
    for data, out in ((numbers, "small"), (large, "large")):
        assert npgpt("finetune", "--data", data, *QUICK, "--out", out).status == 0
    assert load("small").parameters.tobytes() == load("large").parameters.tobytes()
    small, large = (float(npgpt("classify", "--model", out, "--pair", "cat", "dog", "--json").out.split('"label": ')[1].rstrip("}\n"))
                    for out in ("small", "large"))
    assert large == 1024 * small != 0


def test_numbers_that_differ_little_from_their_mean_are_told(npgpt, pretrained, tmp_path):
    for lowest, told in ((0, False), (1900, True)):
        years = write(tmp_path / "years.jsonl", *({"text": word, "label": lowest + i} for i, word in enumerate(WORDS)))
        err = npgpt("finetune", "--data", years, "--task", "regression", "--dry-run").err
        assert ("would be learned better" in err) == told


def test_similarity_reads_pairs_in_both_orders(npgpt, pretrained, tmp_path):
    pairs = write(tmp_path / "pairs.jsonl", *({"sentence1": a, "sentence2": b, "label": int(a == b)}
                                              for a in WORDS for b in WORDS[:3]))
    assert npgpt("finetune", "--data", pairs, "--task", "similarity", *QUICK).status == 0
    assert load("finetuned").heads[0].both_orders
    one, other = (json.loads(npgpt("classify", "--pair", *pair, "--json").out) for pair in (("cat", "bee"), ("bee", "cat")))
    assert one["probabilities"] == pytest.approx(other["probabilities"], rel=1e-5) and set(one["probabilities"]) == {"0", "1"}
    assert "reads pairs" not in npgpt("evaluate", "--model", "finetuned", "--data", pairs).out


def test_layers_can_be_left_out_and_a_model_can_start_from_scratch(npgpt, pretrained, texts):
    """At learning rate 0, the model is what it started from."""
    still = ["finetune", "--data", texts, *QUICK, "--learning-rate", 0, "--weight-decay", 0, "--overwrite", "--threads", 1]
    old = load(pretrained)
    before = named_views(old.parameters, old.table)

    def kept(*arguments):
        assert npgpt(*still, *arguments).status == 0
        model = load("finetuned")
        after = named_views(model.parameters, model.table)
        assert {name for name in after if name not in before} == {"heads.0.w"}
        return {name for name in before if np.array_equal(after[name][:len(before[name])], before[name]) and before[name].std()}

    tables = {"wte", "wpe"}
    whole = kept()
    assert whole == {name for name in before if before[name].std()} and len(whole) > 8
    assert kept("--transfer-layers", 1) == {name for name in whole if name in tables or name.startswith("blocks.0")}
    assert kept("--transfer-layers", 0) == tables and kept("--from-scratch") == set()


def test_from_scratch_needs_no_model(npgpt, texts):
    assert npgpt("finetune", "--data", texts, "--from-scratch", "--preset", "tiny", *QUICK).status == 0
    model = load("finetuned")
    assert model.config.n_embd == 12 and "a" in model.tokenizer.vocabulary and "z" not in model.tokenizer.vocabulary
    assert npgpt("classify", "--text", "zz").status == 0           # unknown characters have a token


def test_the_settings_reach_the_training(npgpt, pretrained, texts, choices, tmp_path):
    base = ["finetune", "--data", texts, choices, *QUICK, "--overwrite"]
    npgpt(*base, "--out", "plain")
    plain = (tmp_path / "plain/model.safetensors").read_bytes()
    for setting in ("--lm-weight 0", "--dropout 0.5", "--seed 1", "--epochs 2", "--learning-rate 1e-4", "--batch-size 5", "--evenly",
                    "--beta2 0.5", "--weight-decay 50", "--accumulate 2"):
        assert npgpt(*base, "--out", "other", *setting.split()).status == 0
        assert (tmp_path / "other/model.safetensors").read_bytes() != plain, setting


def test_validation_files_and_a_schedule_that_falls_to_0(npgpt, pretrained, texts, tmp_path):
    held_out = write(tmp_path / "held.jsonl", {"text": "a cat", "label": "no"}, {"text": "b cat", "label": "yes"})
    err = npgpt("finetune", "--data", texts, "--validation", held_out, *QUICK, "--epochs", 2, "--learning-rate", 0.5, "--lm-weight", 0).err
    assert "40 examples to train on, 2 to validate on" in err and f"over 2 examples of {held_out}" in err
    rates = [json.loads(line)["learning_rate"] for line in (tmp_path / "finetuned" / METRICS_FILE).read_text().splitlines()]
    assert rates == pytest.approx([0.25] + [0.5 * (1 - step / 19) for step in range(19)])
    assert npgpt("finetune", "--resume", "finetuned").err.endswith("--epochs 4\n")


@pytest.mark.parametrize("sentences, together", [(30, True), (3, False)])
def test_examples_that_begin_with_the_same_text_are_held_out_together(tmp_path, sentences, together):
    """Each sentence has a pair of either label, so that what is learned by heart from one is wrong about the other."""
    pairs = write(tmp_path / "pairs.jsonl", *({"sentence1": f"text {i % sentences}", "sentence2": word, "label": word}
                                              for word in ("same", "other") for i in range(30)))
    data, = read_data([pairs], None, seed=1)
    training, validation = ({example.sentence1 for example in part} for part in (data.training, data.validation))
    assert len(data.training) + len(data.validation) == 60 and len(data.validation) == 6
    assert training.isdisjoint(validation) == together


def test_a_dry_run_writes_nothing(npgpt, pretrained, texts, tmp_path):
    status, out, err = npgpt("finetune", "--data", texts, "--dry-run")
    assert (status, out) == (0, "") and "8 of 32 examples each" in err and not (tmp_path / "finetuned").exists()
    assert re.search(r"^time   about \d+:\d\d", err, re.M)


def test_texts_that_are_cut_are_told_with_their_lines(npgpt, pretrained, tmp_path):
    long = write(tmp_path / "long.jsonl", *({"text": "a" * (20 if i in (3, 5) else 4), "label": i % 2} for i in range(12)))
    err = npgpt("finetune", "--data", long, "--validation", long, *QUICK).err
    assert err.count("long.jsonl: 2 of 12 examples are longer than the context of 16 tokens, and are cut: lines 4, 6\n") == 2


def test_texts_come_from_files_and_standard_input(npgpt, pretrained, texts, tmp_path, monkeypatch):
    npgpt("finetune", "--data", texts, *QUICK)
    (tmp_path / "lines.txt").write_text("a cat\nb dog\tbee\n")
    from_file = npgpt("classify", "lines.txt", "--json").out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a cat\nb dog\tbee\n")))
    assert npgpt("classify", "-", "--json").out == from_file
    first, second = map(json.loads, from_file.splitlines())
    assert first["text"] == "a cat" and (second["sentence1"], second["sentence2"]) == ("b dog", "bee")


@pytest.mark.parametrize("lines, complaint", [
    ([{"text": "a", "label": "x"}, {"text": "b"}], "data.jsonl: line 2: the fields text, label were expected, found text"),
    ([{"text": "a", "label": "x"}, {"text": " ", "label": "y"}], "data.jsonl: line 2: text is empty"),
    ([{"text": "a", "label": "x"}] * 3, "data.jsonl: all labels are 'x'"),
    ([{"text": "a", "label": "x"}], "data.jsonl: has a single example"),
    ([{"source": "a", "target": "b"}] * 2, "data.jsonl: fine-tuning needs the fields text, label; or")])
def test_examples_that_are_wrong_are_refused_with_their_line(refused, pretrained, tmp_path, lines, complaint):
    assert complaint in refused("finetune", "--data", write(tmp_path / "data.jsonl", *lines))


@pytest.mark.parametrize("arguments, complaint", [
    ([], "name the labelled examples with --data"),
    (["--data", "texts.jsonl", "--task", "multiple-choice"], "--task multiple-choice is for the fields context, choices, answer"),
    (["--data", "texts.jsonl", "--task", "similarity"], "--task similarity needs the fields sentence1, sentence2, label"),
    (["--data", "texts.jsonl", "--task", "regression"], "--task regression needs numbers as labels, found 'no' in line 1"),
    (["--data", "texts.jsonl", "texts.jsonl"], "give the files different names"),
    (["--data", "texts.jsonl", "--preset", "small"], "--preset is for --from-scratch"),
    (["--data", "texts.jsonl", "--transfer-layers", "3"], "--transfer-layers must be 0 to 2"),
    (["--data", "texts.jsonl", "--validation", "texts.jsonl", "texts.jsonl"], "--validation names 2 files, and --data 1"),
    (["--data", "texts.jsonl", "--validation", "other.jsonl"], "other.jsonl: line 2: the label 'maybe' is not one of the model's: no, yes"),
    (["--data", "texts.jsonl", "--epochs", "0"], "epochs must be 1 or more, not 0"),
    (["--data", "texts.jsonl", "--lm-weight", "-1"], "lm_weight must be 0 or more"),
    (["--data", "texts.jsonl", "--init", "none"], "the folder none does not exist")])
def test_arguments_that_make_no_sense_are_refused(refused, pretrained, texts, tmp_path, arguments, complaint):
    write(tmp_path / "other.jsonl", {"text": "a", "label": "yes"}, {"text": "b", "label": "maybe"})
    assert complaint in refused("finetune", *arguments)


def test_without_a_model_the_error_says_how_to_get_one(refused, texts):
    assert "there is no model in out: npgpt train makes one, --init names another, and --from-scratch" in refused("finetune", "--data", texts)
    assert "there is no model in finetuned yet: npgpt finetune makes one" in refused("classify", "--text", "a")


def test_what_a_run_is_about_cannot_change_when_it_is_resumed(npgpt, refused, pretrained, texts, tmp_path):
    npgpt("finetune", "--data", texts, *QUICK)
    assert "--task cannot be changed" in refused("finetune", "--resume", "finetuned", "--task", "classification")
    assert "resume it with npgpt finetune --resume finetuned" in refused("train", "--resume", "finetuned")
    write(texts, {"text": "a", "label": "no"}, {"text": "b", "label": "yes"})
    assert "not the data that the run was trained on" in refused("finetune", "--resume", "finetuned")


@pytest.mark.parametrize("arguments, complaint", [
    ([], "name what to classify"),
    (["--text", ""], "text 1: a text is empty"),
    (["lines.txt"], "lines.txt: line 2: a text is empty"),
    (["--task", "x", "--text", "a"], "finetuned has no task 'x'"),
    (["--model", "out", "--text", "a"], "npgpt finetune --init out trains one")])
def test_texts_that_cannot_be_classified_are_refused(npgpt, refused, pretrained, texts, tmp_path, arguments, complaint):
    npgpt("finetune", "--data", texts, *QUICK)
    (tmp_path / "lines.txt").write_text("a\n\n")
    assert complaint in refused("classify", *arguments)


def test_a_label_that_the_model_lacks_is_named_with_its_line(npgpt, refused, pretrained, texts, tmp_path):
    npgpt("finetune", "--data", texts, *QUICK)
    other = write(tmp_path / "other.jsonl", {"text": "a", "label": "no"}, {"text": "b", "label": "maybe"})
    assert "line 2: the label 'maybe' is not one of the model's: no, yes" in refused("evaluate", "--model", "finetuned", "--data", other)
