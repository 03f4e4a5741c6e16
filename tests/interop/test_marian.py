"""Encoder-decoders of transformers: npgpt computes what PyTorch computed, and reads and writes the same files."""
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from npgpt.errors import InputError
from npgpt.generation.translate import translate_by_beams, translate_greedily
from npgpt.interop.huggingface import load, save
from npgpt.interop.marian import as_rows
from npgpt.interop.safetensors import read_safetensors, write_safetensors
from npgpt.interop.tensors import tensors_as_in_file
from npgpt.layers.embedding import sinusoidal_positions, unembedding
from npgpt.model.encoder_decoder import encoder_decoder
from npgpt.model.parameters import groups
from npgpt.tasks.translation import PairBatch, Translation

GOLDEN = Path(__file__).parent / "marian"
FOLDERS = sorted(path.parent for path in GOLDEN.glob("*/golden.safetensors"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


@pytest.fixture
def copied(tmp_path):
    """A golden model that a test may change."""
    shutil.copytree(FOLDERS[0], tmp_path / "model")
    return tmp_path / "model"


def golden(folder):
    return load(folder), read_safetensors(folder / "golden.safetensors")[0]


def require_equal(actual, expected, name, scale=None):
    """To 1e-10 of the largest entry, or of the scale."""
    assert actual.dtype == np.float64 and actual.shape == expected.shape, name
    worst = abs(actual - expected).max() / (abs(expected).max() if scale is None else scale)
    assert worst < 1e-10, f"{name}: {worst:.1e} of its largest entry"


def change(folder, **tensors):
    """Add tensors to a model's file, or replace them."""
    found, _ = read_safetensors(folder / "model.safetensors")
    found = {name: tensor.copy() for name, tensor in found.items()}
    write_safetensors(folder / "model.safetensors", found | tensors, {"format": "pt"})


def change_config(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_encoder_and_decoder_may_differ_in_their_number_of_layers():
    assert {(config.n_layer, config.decoder_layers) for config in (load(folder).config for folder in FOLDERS)} == {(2, 2), (1, 2)}


def test_logits(folder):
    model, expected = golden(folder)
    p = groups(model.parameters, model.table)
    y, _ = encoder_decoder(expected["source"], expected["ids"], p, model.config)
    require_equal(unembedding(y, p.shared)[0], expected["logits"], "logits")


def test_loss_and_every_gradient(folder):
    """The bias of keys adds the same to all scores of a query, which changes nothing: its gradient is 0 up to rounding."""
    model, expected = golden(folder)
    batch = PairBatch(expected["source"], expected["ids"], expected["targets"])
    loss, gradients = Translation(model.config).loss_and_gradients(batch, model.parameters)
    require_equal(np.float64(loss), expected["loss"], "loss")
    tensors = tensors_as_in_file(gradients, model.config)
    assert {f"gradient.{name}" for name in tensors} == {name for name in expected if name.startswith("gradient.")}
    for name, gradient in tensors.items():
        keys_bias = name.endswith("k_proj.bias")
        scale = abs(tensors[name.replace("bias", "weight")]).max() if keys_bias else None
        require_equal(gradient, expected[f"gradient.{name}"], name, scale)


def test_greedy_and_beam_search(folder):
    """Texts that end are followed by the end token, and by padding in transformers."""
    (parameters, config, _, _), expected = golden(folder)

    def until_end(row):
        row = row.tolist()
        return row[:row.index(config.eos_token_id)] if config.eos_token_id in row else row

    source, new = expected["source"][0], 10
    assert translate_greedily([source], parameters, config, new) == [until_end(expected["greedy"])]
    found = translate_by_beams(source, parameters, config, len(expected["beams"]), new)
    assert found == [until_end(row) for row in expected["beams"]]


def test_a_model_of_transformers_is_saved_with_the_same_bytes_in_every_tensor(folder, tmp_path):
    save(tmp_path, load(folder))
    before, after = (read_safetensors(path / "model.safetensors")[0] for path in (folder, tmp_path))
    assert before.keys() - after.keys() <= {"final_logits_bias"} and after.keys() <= before.keys()
    assert all(after[name].tobytes() == before[name].tobytes() for name in after)
    assert load(tmp_path).config == load(folder).config


def test_tensors_that_repeat_others_are_accepted(copied):
    model = load(copied)
    table, config = groups(model.parameters, model.table).shared, model.config
    positions = sinusoidal_positions(np.arange(config.n_positions), config.n_embd, np.float32, halves=True)
    change(copied, **{"lm_head.weight": table, "model.encoder.embed_tokens.weight": table,
                      "model.decoder.embed_positions.weight": positions, "final_logits_bias": np.zeros((1, config.vocab_size))})
    again = load(copied)
    assert again.parameters.tobytes() == model.parameters.tobytes() and again.config == config


@pytest.mark.parametrize("name", ["lm_head.weight", "model.decoder.embed_tokens.weight",
                                  "model.encoder.embed_positions.weight", "final_logits_bias"])
def test_tensors_that_change_what_is_computed_are_refused(copied, name):
    config = load(copied).config
    shape = {"lm_head.weight": (config.vocab_size, config.n_embd), "final_logits_bias": (1, config.vocab_size),
             "model.decoder.embed_tokens.weight": (config.vocab_size, config.n_embd)}.get(name, (config.n_positions, config.n_embd))
    change(copied, **{name: np.ones(shape)})
    with pytest.raises(InputError, match=name):
        load(copied)


def test_positions_that_are_no_floating_point_numbers_are_refused(copied):
    config = load(copied).config
    change(copied, **{"model.encoder.embed_positions.weight": np.zeros((config.n_positions, config.n_embd), np.int64)})
    with pytest.raises(InputError, match="embed_positions"):
        load(copied)


def test_rows_without_entries_are_not_compared_one_by_one():
    """A file of a few bytes can have a tensor with 2^59 rows of no entries."""
    assert next(as_rows(np.empty((2**59, 0))), None) is None


@pytest.mark.parametrize("fields, named", [
    ({"decoder_attention_heads": 3}, "decoder_attention_heads"), ({"decoder_ffn_dim": 9}, "decoder_ffn_dim"),
    ({"scale_embedding": False}, "scale_embedding"), ({"share_encoder_decoder_embeddings": False}, "share_encoder_decoder"),
    ({"normalize_before": True}, "normalize_before"), ({"decoder_start_token_id": 0}, "decoder_start_token_id"),
    ({"pad_token_id": 99, "decoder_start_token_id": 99}, "pad_token_id")])
def test_models_that_compute_something_else_are_refused(copied, fields, named):
    change_config(copied, **fields)
    with pytest.raises(InputError, match=named):
        load(copied)


def test_what_the_format_cannot_hold_is_not_saved(copied, tmp_path):
    model = load(copied)
    for change in ({"layer_norm_epsilon": 1e-3}, {"pad_token_id": None}):
        with pytest.raises(InputError, match="MarianMTModel"):
            save(tmp_path / "new", model._replace(config=dataclasses.replace(model.config, **change)))
