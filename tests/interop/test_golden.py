"""Models written by transformers: npgpt computes what PyTorch computed."""
from pathlib import Path

import numpy as np
import pytest

from helpers import logits_of
from npgpt.generation.beam_search import beam_search
from npgpt.interop.families import family_of
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


def test_there_are_golden_models_of_every_family_with_a_tied_and_with_an_untied_head():
    configs = [load_model(folder)[1] for folder in FOLDERS]
    assert {config.tie_word_embeddings for config in configs} == {True, False}
    assert {family_of(config).model_type for config in configs} == {"openai-gpt", "gpt2", "gpt_neo"}


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


def test_logits_of_gpt_neo_itself_which_attends_in_float32():
    parameters, config = load_model(GOLDEN / "gpt_neo")
    expected, _ = read_safetensors(GOLDEN / "gpt_neo" / EXPECTED)
    logits = logits_of(expected["ids"], parameters, config)
    np.testing.assert_allclose(logits, expected["float32_logits"], rtol=0, atol=1e-6 * abs(logits).max())


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
    assert before.keys() == after.keys()
    assert all(before[name].tobytes() == tensor.tobytes() for name, tensor in after.items())
