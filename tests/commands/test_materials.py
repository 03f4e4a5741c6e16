"""What npgpt train works with: the vocabulary that it learns first."""
import re

import numpy as np
import pytest

from helpers import write_tokens
from npgpt.commands.vocabularies import learn_vocabulary
from npgpt.interop.huggingface import load, load_config
from npgpt.model.parameters import groups
from npgpt.text.byte_pair import BytePairTokenizer
from npgpt.text.byte_pair_training import count_words, learn_merges, tokenizer_of_merges
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.corpus import split_text
from npgpt.text.tokenizer import load_tokenizer
from npgpt.text.word_bpe import WordBPETokenizer
from npgpt.text.word_piece import WordPieceTokenizer

SMALL = ["--n-layer", 1, "--n-head", 2, "--n-embd", 8, "--n-positions", 8, "--batch-size", 2, "--steps", 2]


def test_a_vocabulary_is_learned_first(npgpt, text, tmp_path):
    outcome = npgpt("train", "--data", text, "--tokenizer", "bpe", "--vocab-size", 270, *SMALL)
    assert outcome.status == 0
    assert re.match(r"vocabulary of 270: 256 bytes, 13 merges .*\ntext ", outcome.err)
    tokenizer = load_tokenizer("out")
    assert isinstance(tokenizer, BytePairTokenizer) and tokenizer.vocab_size == load_config("out").vocab_size == 270
    train, _ = split_text(text.read_text())
    merges = list(learn_merges(count_words(train)))[:13]
    assert tokenizer.merges == tokenizer_of_merges(merges).merges
    assert f"{len(tokenizer.encode(train))} tokens to train on" in outcome.err


def test_the_model_is_used_with_its_vocabulary(npgpt, text):
    npgpt("train", "--data", text, "--tokenizer", "bpe", *SMALL)
    assert npgpt("generate", "--max-new-tokens", 5, "--prompt", "the 🤗").out.startswith("the 🤗")
    assert npgpt("evaluate", "--data", text).status == 0
    assert npgpt("tokenize", "the").status == 0
    assert npgpt("train", "--data", text, "--init", "out", "--out", "next", "--steps", 1).status == 0
    assert load_tokenizer("next").vocabulary == load_tokenizer("out").vocabulary


def test_a_vocabulary_of_words_is_learned_without_capitals_but_with_accents(npgpt, tmp_path):
    (tmp_path / "text").write_text("Où est le café? " * 40, "utf-8")
    err = npgpt("train", "--data", "text", "--tokenizer", "gpt1", "--vocab-size", 30, *SMALL).err
    tokenizer = load_tokenizer("out")
    assert isinstance(tokenizer, WordBPETokenizer) and tokenizer.vocab_size == load_config("out").vocab_size <= 30
    assert f"vocabulary of {tokenizer.vocab_size} parts of words" in err
    assert tokenizer.decode(tokenizer.encode("Où est\nle café?")) == "où est le café ?"
    assert npgpt("train", "--data", "text", "--init", "out", "--tokenizer", "gpt1", "--out", "next", "--steps", 1).status == 0


def test_a_vocabulary_of_word_pieces_keeps_capitals(npgpt, tmp_path):
    (tmp_path / "text").write_text("Où est le café? " * 40, "utf-8")
    masked = "--objective", "masked", "--n-layer", 1, "--n-embd", 8, "--n-head", 2, "--n-positions", 12, "--steps", 1
    assert npgpt("train", "--data", "text", "--tokenizer", "wordpiece", "--vocab-size", 40, *masked).status == 0
    tokenizer = load_tokenizer("out")
    assert isinstance(tokenizer, WordPieceTokenizer) and tokenizer.vocab_size == load_config("out").vocab_size <= 40
    assert tokenizer.decode(tokenizer.encode("Où est\nle café?")) == "Où est le café?"
    assert [*tokenizer.special_tokens.values()] == [*range(5)]                       # none was added
    again = "--init", "out", "--tokenizer", "wordpiece", "--objective", "masked", "--steps", 1, "--out", "next"
    assert npgpt("train", "--data", "text", *again).status == 0


@pytest.mark.parametrize("objective", ["causal", "masked"])
def test_the_deviation_of_a_new_models_weights_can_be_chosen(npgpt, refused, text, objective):
    run = "train", "--data", text, "--objective", objective, "--n-layer", 1, "--n-embd", 8, "--n-head", 2, "--steps", 1
    assert npgpt(*run, "--n-positions", 8, "--learning-rate", 1e-6, "--initializer-range", 0.5).status == 0
    model = load("out")
    parameters = groups(model.parameters, model.table)
    table = parameters.wte if objective == "causal" else parameters.embeddings.wte
    assert model.config.initializer_range == 0.5 and 0.4 < table.std() < 0.6
    assert "initializer_range 0.1 was asked for" in refused(*run, "--init", "out", "--initializer-range", 0.1, "--out", "next")
    assert "initializer_range must be" in refused(*run, "--initializer-range", -1, "--out", "next")


def test_a_text_with_few_pairs_has_a_smaller_vocabulary_than_was_asked_for(npgpt, text):
    err = npgpt("train", "--data", text, "--tokenizer", "bpe", "--dry-run", *SMALL).err
    size, merges = map(int, re.match(r"vocabulary of (\d+): 256 bytes, (\d+) merges .* \(1,024 were asked for, .*\)\n", err).groups())
    assert size == 257 + merges < 1024


def test_the_validation_text_is_not_used(npgpt, tmp_path):
    """It may hold characters of which the vocabulary has only the bytes."""
    (tmp_path / "text").write_text("ab " * 60 + "🤗" * 20, "utf-8")
    assert npgpt("train", "--data", "text", "--tokenizer", "bpe", *SMALL).status == 0
    assert not any("ð" in token for token in load_tokenizer("out").vocabulary[256:])


def test_a_terminal_shows_how_the_vocabulary_grows(monkeypatch):
    seen = []
    monkeypatch.setattr("npgpt.commands.text_data.Progress.status", lambda self, line: seen.append(line))
    learn_vocabulary("ab ab ab", 258)
    assert seen == ["vocabulary: counting words", "vocabulary: 1 of 1 merges", ""]


@pytest.mark.parametrize("arguments, complaint", [
    (["--tokenizer", "bpe", "--vocab-size", 256], "--vocab-size must be 257 or more, not 256: 256 bytes and <|endoftext|>"),
    (["--tokenizer", "bpe", "--vocab-size", -1], "--vocab-size must be 257 or more, not -1"),
    (["--tokenizer", "char", "--vocab-size", 300], "--vocab-size can be chosen with --tokenizer bpe or gpt1 or wordpiece"),
    (["--vocab-size", 300], "or wordpiece, or for token files without a tokenizer"),
    (["--tokenizer", "gpt1", "--vocab-size", 5], "a vocabulary of 5 tokens is too small"),
    (["--tokenizer", "words"], "argument --tokenizer: invalid choice: 'words'"),
])
def test_a_vocabulary_that_cannot_be_made_is_refused(refused, text, arguments, complaint):
    assert complaint in refused("train", "--data", text, *SMALL, *arguments)


@pytest.mark.parametrize("name, form", [("gpt1-small", {"pre_layer_norm": False}),
                                        ("gpt3-small", {"window_size": 16, "qkv_bias": False})])
def test_a_new_model_has_the_whole_form_of_its_preset(npgpt, text, name, form):
    assert npgpt("train", "--data", text, "--preset", name, "--n-embd", 8, "--n-positions", 8, "--steps", 1).status == 0
    config = load_config("out")
    assert {field: getattr(config, field) for field in form} == form and config.n_embd == 8


@pytest.mark.parametrize("name, complaint", [("gpt1-small", "pre_layer_norm False"), ("gpt3-small", "window_size 16")])
def test_a_preset_of_another_form_is_not_what_a_pretrained_model_has(refused, npgpt, text, name, complaint):
    sizes = ["--preset", "small", "--n-embd", 8, "--n-positions", 8, "--n-layer", 1]
    assert npgpt("train", "--data", text, *sizes, "--steps", 1).status == 0
    assert f"{complaint} was asked for, but out has" in refused("train", "--data", text, "--init", "out", "--out", "new",
                                                                *sizes[2:], "--preset", name)


@pytest.mark.parametrize("arguments, complaint", [
    (["--tokenizer", "bpe"], "tokenizer bpe was asked for, but {} has char"), (["--vocab-size", 300], "vocab_size 300 was asked for, but {} has 28")])
def test_a_pretrained_model_keeps_its_tokenizer(refused, text, model, arguments, complaint):
    assert complaint.format(model) in refused("train", "--data", text, "--init", model, *arguments)


@pytest.mark.parametrize("arguments, complaint", [
    (["--tokenizer", "byte"], "tokenizer byte was asked for, but tokens has char"),
    (["--vocab-size", 300, "--preset", "tiny"], "vocab_size 300 was asked for, but tokens has 7")])
def test_token_files_keep_the_tokenizer_beside_them(refused, tmp_path, arguments, complaint):
    write_tokens(tmp_path / "tokens", np.arange(40) % 7, np.arange(40) % 7)
    CharacterTokenizer("abcdefg").save(tmp_path / "tokens")
    assert complaint in refused("train", "--data", "tokens", *SMALL, *arguments)


def test_token_files_cannot_be_tokenized_again(refused, tmp_path):
    write_tokens(tmp_path / "tokens", np.arange(40) % 7, np.arange(40) % 7)
    assert "--tokenizer cannot be chosen: tokens has token ids, not text" in refused(
        "train", "--data", "tokens", "--tokenizer", "bpe", *SMALL)


def test_the_memory_announced_includes_the_text(npgpt, tmp_path):
    (tmp_path / "long.txt").write_text("a long text\n" * 250_000)
    outcome = npgpt("train", "--data", "long.txt", "--dry-run", *SMALL)
    assert outcome.status == 0 and ", text 3)" in outcome.err              # MB: 3,000,000 characters, a byte for each


def test_a_run_on_the_text_files_of_a_folder_is_resumed_while_they_are_the_same(npgpt, refused, text, tmp_path):
    (tmp_path / "texts").mkdir()
    text.rename(tmp_path / "texts" / "one.txt")
    (tmp_path / "texts" / "notes.md").write_text("not read")
    assert npgpt("train", "--data", "texts", *SMALL).status == 0
    assert npgpt("train", "--resume", "out", "--steps", 4).status == 0
    (tmp_path / "texts" / "two.txt").write_text("more")
    assert "texts: not the data that the run was trained on" in refused("train", "--resume", "out", "--steps", 6)
