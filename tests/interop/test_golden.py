"""Models written by transformers: npgpt computes what PyTorch computed."""
from pathlib import Path

import numpy as np
import pytest

from helpers import logits_of
from npgpt.generation.beam_search import beam_search
from npgpt.interop.tensors import tensors_as_in_file
from npgpt.interop.huggingface import load_model, save
from npgpt.interop.safetensors import read_safetensors
from npgpt.model.model import Model
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch

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


def test_there_are_golden_models_with_a_tied_and_with_an_untied_head():
    assert {load_model(folder)[1].tie_word_embeddings for folder in FOLDERS} == {True, False}


def test_logits(folder):
    parameters, config = load_model(folder)
    expected, _ = read_safetensors(folder / EXPECTED)
    require_equal(logits_of(expected["ids"], parameters, config), expected["logits"], "logits")


def test_loss_and_every_gradient(folder):
    parameters, config = load_model(folder)
    expected, _ = read_safetensors(folder / EXPECTED)
    batch = TokenBatch(expected["ids"], expected["targets"])
    loss, gradients = LanguageModelling(config).loss_and_gradients(batch, parameters)
    require_equal(np.float64(loss), expected["loss"], "loss")
    tensors = tensors_as_in_file(gradients, config)
    assert {f"gradient.{name}" for name in tensors} == {name for name in expected if name.startswith("gradient.")}
    for name, gradient in tensors.items():
        require_equal(gradient, expected[f"gradient.{name}"], name)


def test_the_best_continuations(folder):
    """Texts that ended early are followed by end tokens."""
    parameters, config = load_model(folder)
    expected, _ = read_safetensors(folder / EXPECTED)
    beams, new = expected["beams"].shape
    found = beam_search(parameters, config, expected["prompt"], beams, config.n_positions - len(expected["prompt"]), [END])
    assert [beam.tokens + [END] * (new - len(beam.tokens)) for beam in found] == expected["beams"].tolist()


def test_a_model_of_transformers_is_saved_with_the_same_bytes_in_every_tensor(folder, tmp_path):
    save(tmp_path, Model(*load_model(folder), None))
    before, after = (read_safetensors(path / "model.safetensors")[0] for path in (folder, tmp_path))
    assert {name: tensor.tobytes() for name, tensor in before.items()} == {name: tensor.tobytes() for name, tensor in after.items()}
