"""Models that transformers made: npgpt computes what PyTorch computed."""
from pathlib import Path

import numpy as np
import pytest

from npgpt.generation.beam_search import beam_search
from npgpt.interop.huggingface import load_model, save_model
from npgpt.interop.safetensors import read_safetensors
from npgpt.model.gpt import gpt, loss_and_gradients
from npgpt.model.parameters import named_views

GOLDEN = Path(__file__).parent / "golden"
END = 0
EXPECTED = "golden.safetensors"
FOLDERS = sorted(path.parent for path in GOLDEN.glob(f"*/{EXPECTED}"))


def require_equal(actual, expected, name):
    """To 1e-10 of the largest entry."""
    assert actual.dtype == np.float64 and actual.shape == expected.shape, name
    worst = abs(actual - expected).max() / abs(expected).max()
    assert worst < 1e-10, f"{name}: {worst:.1e} of its largest entry"


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def test_there_are_golden_models_with_a_tied_and_with_a_separate_head():
    assert {load_model(folder)[1].tie_word_embeddings for folder in FOLDERS} == {True, False}


def test_logits(folder):
    parameters, config = load_model(folder)
    expected, _ = read_safetensors(folder / EXPECTED)
    require_equal(gpt(expected["ids"], parameters, config)[0], expected["logits"], "logits")


def test_loss_and_every_gradient(folder):
    parameters, config = load_model(folder)
    expected, _ = read_safetensors(folder / EXPECTED)
    loss, gradients = loss_and_gradients(expected["ids"], expected["targets"], parameters, config)
    require_equal(np.float64(loss), expected["loss"], "loss")
    views = named_views(gradients, config)
    assert {f"gradient.{name}" for name in views} == {name for name in expected if name.startswith("gradient.")}
    for name, gradient in views.items():
        require_equal(gradient, expected[f"gradient.{name}"], name)


def test_the_best_continuations(folder):
    """Texts that ended are filled up with the end token."""
    parameters, config = load_model(folder)
    expected, _ = read_safetensors(folder / EXPECTED)
    beams, new = expected["beams"].shape
    found = beam_search(parameters, config, expected["prompt"], beams, config.n_positions - len(expected["prompt"]), END)
    assert [beam.tokens + [END] * (new - len(beam.tokens)) for beam in found] == expected["beams"].tolist()


def test_a_model_that_came_from_transformers_goes_back_as_it_was(folder, tmp_path):
    save_model(tmp_path, *load_model(folder))
    before, after = (read_safetensors(path / "model.safetensors")[0] for path in (folder, tmp_path))
    assert {name: tensor.tobytes() for name, tensor in before.items()} == {name: tensor.tobytes() for name, tensor in after.items()}
