"""Commands are run in an empty folder, with a small text and a small model at hand."""
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from npgpt.__main__ import main
from npgpt.interop.huggingface import save
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
from npgpt.text.characters import CharacterTokenizer

TEXT = "the quick brown fox jumps over the lazy dog\n" * 10


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def npgpt(tmp_path, monkeypatch, capsys) -> Callable[..., Outcome]:
    """Runs a command in-process  ->  its exit status, standard output and standard error"""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda file: None)            # slow on some disks
    monkeypatch.setattr("npgpt.commands.materials.SAMPLE_TOKENS", 10)        # else they take most of the time
    monkeypatch.setattr("npgpt.training.duration.SECONDS", 0.0)

    def run(*arguments) -> Outcome:
        status = main([str(argument) for argument in arguments])
        return Outcome(status, *capsys.readouterr())
    return run


@pytest.fixture
def refused(npgpt, tmp_path) -> Callable[..., str]:
    """Runs a command that must refuse its arguments in one line and leave every file as it is  ->  that line"""
    def run(*arguments) -> str:
        before = snapshot(tmp_path)
        status, out, err = npgpt(*arguments)
        assert (status, out) == (2, "") and err.startswith("npgpt: error: ") and err.count("\n") == 1 and err.endswith("\n"), err
        assert snapshot(tmp_path) == before
        return err
    return run


def snapshot(folder: Path) -> dict[Path, bytes | None]:
    """All that is below a folder: None stands for folders."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def text(tmp_path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path / "text.txt"


@pytest.fixture
def model(tmp_path) -> Path:
    """An untrained model of the characters of the text."""
    tokenizer = CharacterTokenizer.of_text(TEXT)
    config = GPTConfig(vocab_size=tokenizer.vocab_size, n_positions=8, n_embd=8, n_layer=1, n_head=2, initializer_range=0.5)
    save(tmp_path / "model", Model(initial_parameters(language_model_table(config), 0, np.float64), config, tokenizer))
    return tmp_path / "model"
