"""npgpt train --objective translate, npgpt translate, and npgpt evaluate on pairs."""
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from npgpt.__main__ import main
from npgpt.commands.translation import split
from npgpt.interop.huggingface import load
from npgpt.text.example_files import read_examples
from npgpt.text.examples import TranslationExample
from npgpt.text.summaries import summaries

PAIRS = [("one", "eins"), ("two", "zwei"), ("three", "drei"), ("four", "vier")] * 5
SIZES = ("--n-embd", 8, "--n-head", 2, "--n-layer", 1, "--n-positions", 16)
TRAIN = ("train", "--objective", "translate", "--data", "pairs.jsonl", "--threads", 1, "--batch-size", 4, "--out", "model")


def write_pairs(folder: Path) -> None:
    (folder / "pairs.jsonl").write_text("".join(json.dumps({"source": source, "target": target}) + "\n"
                                                for source, target in PAIRS))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with pairs and a model that was trained on them for three steps."""
    folder = tmp_path_factory.mktemp("translate")
    write_pairs(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*map(str, TRAIN), *map(str, SIZES), "--steps", "3"]) == 0
    return folder


@pytest.fixture
def trained(kept, npgpt, tmp_path):
    """A copy of it, in which commands are run."""
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    return tmp_path / "model"


def test_one_pair_in_ten_is_held_out_and_the_seed_chooses_which():
    parts = [split(range(50), seed) for seed in (0, 0, 1)]
    assert all(len(held_out) == 5 and sorted(training + held_out) == [*range(50)] for training, held_out in parts)
    assert parts[0] == parts[1] and {*parts[0][1]} != {*parts[2][1]}
    assert [len(split(range(count), 0)[1]) for count in (2, 19, 20, 10_000, 20_000)] == [1, 1, 2, 1000, 1000]


def test_a_model_for_both_languages_is_trained(trained):
    model = load(trained)
    assert model.config.decoder_layers == 1 and model.config.n_positions == 16
    assert set(model.tokenizer.encode("eins vier three <unk>").tolist()) < set(range(model.config.vocab_size))
    assert {"<pad>", "</s>", "<unk>"} == set(model.tokenizer.special_tokens)


def test_transformers_is_told_to_end_a_source_as_npgpt_does(trained):
    processor = json.loads((trained / "tokenizer.json").read_text())["post_processor"]
    model = load(trained)
    assert processor["single"] == [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}]
    assert processor["special_tokens"]["</s>"]["ids"] == [model.config.eos_token_id] == [model.tokenizer.id_of("</s>")]


def test_a_run_resumed_gives_the_same_model_as_one_without_a_pause(trained, npgpt, tmp_path):
    whole, parts = [*TRAIN[:-1], "whole"], [*TRAIN[:-1], "parts"]
    settings = [*SIZES, "--steps", 6, "--dropout", 0.2, "--warmup", 2, "--schedule", "inverse-sqrt"]
    assert npgpt(*whole, *settings).status == 0
    assert npgpt(*parts, *settings, "--checkpoint-every", 2).status == 0
    shutil.rmtree(tmp_path / "parts" / "checkpoints" / "step-00000006")           # as if it had been killed after step 4
    assert npgpt("train", "--resume", "parts").status == 0
    assert load(tmp_path / "parts").parameters.tobytes() == load(tmp_path / "whole").parameters.tobytes()


def test_texts_are_translated_line_by_line(trained, npgpt, tmp_path):
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    status, out, _ = npgpt("translate", "texts.txt", "--model", trained)
    again = npgpt("translate", "--text", "one", "two", "--model", trained)
    assert status == 0 and out.count("\n") == 2 and again.out == out
    assert npgpt("translate", "--text", "one", "--beams", 3, "--max-new-tokens", 2, "--model", trained).status == 0


def test_cross_attention_is_drawn(trained, npgpt, tmp_path):
    assert npgpt("translate", "--text", "one", "--model", trained, "--svg", "cross.svg", "--layer", 0).status == 0
    assert "layer 0, head 1" in (tmp_path / "cross.svg").read_text()


def test_files_are_written_through_symbolic_links_and_never_over_a_pipe(trained, npgpt, refused, tmp_path):
    (tmp_path / "old").write_text("old")
    (tmp_path / "link").symlink_to("old")
    os.mkfifo(tmp_path / "pipe")
    commands = {"--svg": ("translate", "--text", "one"), "--json": ("evaluate", "--data", "pairs.jsonl"),
                "--items": ("evaluate", "--data", "pairs.jsonl")}
    for option, command in commands.items():
        before = (tmp_path / "old").read_bytes()
        assert npgpt(*command, "--model", trained, option, "link").status == 0
        assert (tmp_path / "link").is_symlink() and (tmp_path / "old").read_bytes() != before
        for place in ("pipe", "model", os.devnull):
            assert f"{place} is not a file" in refused(*command, "--model", trained, option, place)


def test_translations_are_scored(trained, npgpt, tmp_path):
    """The figures are those of what npgpt translate writes."""
    status, out, _ = npgpt("evaluate", "--model", trained, "--data", "pairs.jsonl", "--json", "found.json", "--items",
                           "items.jsonl")
    assert status == 0 and "exact" in out and "chrF" in out and "ROUGE-L" in out
    items = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    translated = npgpt("translate", "--text", *(source for source, _ in PAIRS[:4]), "--model", trained).out
    assert [item["found"] for item in items[:4]] == translated.splitlines()
    exact = np.mean([item["found"] == item["target"] for item in items])
    assert json.loads((tmp_path / "found.json").read_text())["exact"] == exact


@pytest.mark.parametrize("arguments, message", [
    (["translate", "--text", "xyz" * 9, "--model", "model"], "text 1: a source has 28 tokens"),
    (["translate", "--text", "one", "--beams", "0", "--model", "model"], "beams"),
    (["translate", "--text", "one", "two", "--svg", "a.svg", "--model", "model"], "one text"),
    (["translate", "--text", "one", "--layer", "4", "--svg", "a.svg", "--model", "model"], "--layer"),
    (["generate", "--model", "model"], "npgpt translate"),
    ([*TRAIN[:-1], "new", "--preset", "small"], "transformer-small"),
    ([*TRAIN[:-1], "new", "--vocab-size", "300"], "bpe")])
def test_mistakes_are_named(trained, refused, arguments, message):
    assert message in refused(*arguments)


def test_other_examples_are_no_pairs(npgpt, refused, tmp_path):
    (tmp_path / "pairs.jsonl").write_text('{"text": "one", "label": "a"}\n{"text": "two", "label": "b"}\n')
    assert '"source"' in refused(*TRAIN)


def test_longer_texts_are_cut_to_the_positions(npgpt, tmp_path):
    write_pairs(tmp_path)
    outcome = npgpt(*TRAIN, *SIZES[:-1], 5, "--steps", 1)
    assert outcome.status == 0 and "5 of 20 pairs have a text of more than 5 tokens" in outcome.err


def test_summaries_are_docstrings_without_their_first_line_and_that_line():
    body = "What it returns is described here, at some length,\nso that there is something to summarise in a line."
    source = f'def f():\n    """Return something useful.\n\n    {body}\n    """\ndef g():\n    """No body."""\n'
    assert list(summaries(source.encode())) == [(body, "Return something useful.")]
    assert list(summaries(b"def (")) == []


def test_number_words_are_right(tmp_path):
    """No number is both learned and asked for."""
    number_words = pytest.importorskip("benchmarks.number_words")
    assert number_words.english(231_405) == "two hundred thirty-one thousand four hundred five"
    german = {0: "null", 1: "eins", 21: "einundzwanzig", 101: "einhunderteins", 1000: "eintausend", 16_017: "sechzehntausendsiebzehn",
              101_030: "einhunderteintausenddreißig", 999_999: "neunhundertneunundneunzigtausendneunhundertneunundneunzig"}
    assert {n: number_words.german(n) for n in german} == german
    number_words.main([str(tmp_path), "--train", "30", "--test", "10"])
    train, test = (read_examples(tmp_path / f"numbers.{name}.jsonl") for name in ("train", "test"))
    assert len(train) == 30 and len(test) == 10 and not {one.source for one in train} & {one.source for one in test}


def test_no_docstring_is_both_learned_and_asked_for(tmp_path, monkeypatch, capsys):
    docstrings = pytest.importorskip("benchmarks.docstrings")
    pairs = [TranslationExample(f"one two three four five six seven eight {i}", f"one {i}", i) for i in range(20)]
    monkeypatch.setattr(docstrings, "python_summaries", lambda: pairs)
    docstrings.main([str(tmp_path)])
    train, test = (read_examples(tmp_path / f"docstrings.{name}.jsonl") for name in ("train", "test"))
    assert {one[:2] for one in [*train, *test]} == {one[:2] for one in pairs} and (len(train), len(test)) == (18, 2)
    assert re.search(r"ROUGE-1 +0.125 +0.500 +0.200 +4", capsys.readouterr().out)         # one word of eight, and of two
