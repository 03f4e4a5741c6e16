"""BERTs written by transformers: npgpt computes what PyTorch computed, and reads the files of every age."""
from pathlib import Path

import numpy as np
import pytest

from npgpt.errors import InputError
from npgpt.interop.huggingface import load, save
from npgpt.interop.safetensors import read_safetensors, write_safetensors
from npgpt.interop.tensors import tensors_as_in_file
from npgpt.json_files import read_json, write_json
from npgpt.layers.cross_entropy import IGNORED
from npgpt.model.bert import bert
from npgpt.model.heads import language_model_head
from npgpt.model.masked_head import masked_head
from npgpt.model.parameters import groups
from npgpt.tasks.masked_language_modelling import MaskedLanguageModelling
from npgpt.tasks.masking import MaskedBatch

GOLDEN = Path(__file__).parent / "bert"
WEIGHTS, EXPECTED = "model.safetensors", "golden.safetensors"
FOLDERS = sorted(path.parent for path in GOLDEN.glob(f"*/{EXPECTED}"))


def require_equal(actual, expected, name):
    """To 1e-10 of the largest entry. Gradients of keys' biases are 0, but for rounding."""
    assert actual.dtype == np.float64 and actual.shape == expected.shape, name
    worst = abs(actual - expected).max() / max(abs(expected).max(), 1e-4)
    assert worst < 1e-10, f"{name}: {worst:.1e} of its largest entry"


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def logits_of(model, ids, segments=None):
    p = groups(model.parameters, model.table)
    y, _ = bert(ids, p, model.config, segments=segments)
    return masked_head(y, p.head, language_model_head(p), model.config)[0]


def test_there_are_golden_models_with_a_tied_and_with_an_untied_head():
    assert {load(folder).config.tie_word_embeddings for folder in FOLDERS} == {True, False}


@pytest.mark.parametrize("segments, logits", [(None, "logits"), ("segments", "segmented_logits")])
def test_logits_of_padded_sequences_of_one_segment_and_of_two(folder, segments, logits):
    model, (expected, _) = load(folder), read_safetensors(folder / EXPECTED)
    real = expected["ids"] != model.config.pad_token_id
    assert not real.all()
    actual = logits_of(model, expected["ids"], segments and expected[segments])
    require_equal(actual[real], expected[logits][real], logits)


def test_loss_and_every_gradient(folder):
    model, (expected, _) = load(folder), read_safetensors(folder / EXPECTED)
    assert (expected["targets"] == IGNORED).any()
    loss, gradients = MaskedLanguageModelling(model.config).loss_and_gradients(
        MaskedBatch(expected["ids"], expected["targets"]), model.parameters)
    require_equal(np.float64(loss), expected["loss"], "loss")
    tensors = tensors_as_in_file(gradients, model.config)
    names = {name.removeprefix("gradient.") for name in expected if name.startswith("gradient.")}
    assert names <= tensors.keys() and len(names) > 40
    for name in names:
        require_equal(tensors[name], expected[f"gradient.{name}"], name)


def test_a_model_of_transformers_is_saved_with_the_same_bytes_in_every_tensor_that_is_used(folder, tmp_path):
    model = load(folder)
    save(tmp_path, model)
    before, after = (read_safetensors(path / WEIGHTS)[0] for path in (folder, tmp_path))
    if not model.config.tie_word_embeddings:                       # transformers then uses the decoder's bias only
        before["cls.predictions.bias"] = before["cls.predictions.decoder.bias"]
    before, after = ({name: tensor.tobytes() for name, tensor in tensors.items()} for tensors in (before, after))
    assert before == after
    assert {**read_json(folder / "config.json"), **read_json(tmp_path / "config.json")} == {
        **read_json(tmp_path / "config.json"), **read_json(folder / "config.json")}


def rewritten(tmp_path, change):
    """The tied golden model with its tensors changed: the folder, and the model as it was."""
    folder = GOLDEN / "tied"
    tensors, _ = read_safetensors(folder / WEIGHTS)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    write_safetensors(tmp_path / WEIGHTS, change(tensors), {})
    return tmp_path, load(folder)


def old_names(tensors):
    return {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
            for name, tensor in tensors.items()}


def without_prefix(tensors):
    return {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}


def with_other_parts(tensors):
    C = 6
    return {**tensors, "bert.pooler.dense.weight": np.ones((C, C)), "bert.pooler.dense.bias": np.ones(C),
            "cls.seq_relationship.weight": np.ones((2, C)), "cls.seq_relationship.bias": np.ones(2),
            "bert.embeddings.position_ids": np.arange(8)[None]}


def with_repeated_head(tensors):
    return {**tensors, "cls.predictions.decoder.weight": tensors["bert.embeddings.word_embeddings.weight"],
            "cls.predictions.decoder.bias": tensors["cls.predictions.bias"]}


def head_in_place_of_the_embedding(tensors):
    tensors = with_repeated_head(tensors)
    del tensors["bert.embeddings.word_embeddings.weight"], tensors["cls.predictions.bias"]
    return tensors


@pytest.mark.parametrize("change", [old_names, without_prefix, with_other_parts, with_repeated_head,
                                    head_in_place_of_the_embedding])
def test_files_of_other_ages_hold_the_same_model(tmp_path, change):
    folder, model = rewritten(tmp_path, change)
    read = load(folder)
    assert read.config == model.config
    np.testing.assert_array_equal(read.parameters, model.parameters)


def test_a_decoder_that_differs_from_the_embedding_is_kept(tmp_path, capsys):
    folder, _ = rewritten(tmp_path, lambda tensors: {**with_repeated_head(tensors),
                                                     "cls.predictions.decoder.weight": np.ones((11, 6))})
    assert not load(folder).config.tie_word_embeddings and "differs" in capsys.readouterr().err


def test_two_different_biases_of_a_tied_head_are_refused(tmp_path):
    folder, _ = rewritten(tmp_path, lambda tensors: {**tensors, "cls.predictions.decoder.bias": np.ones(11)})
    with pytest.raises(InputError, match="differ"):
        load(folder)


def test_a_body_without_a_masked_language_model_head_is_refused(tmp_path):
    folder, _ = rewritten(tmp_path, lambda tensors: {name: tensor for name, tensor in tensors.items() if "cls" not in name})
    with pytest.raises(InputError, match="cls.predictions.bias is missing"):
        load(folder)


@pytest.mark.parametrize("field, value", [("is_decoder", True), ("position_embedding_type", "relative_key"),
                                          ("add_cross_attention", True), ("hidden_act", "tanh"), ("type_vocab_size", 0)])
def test_settings_that_npgpt_does_not_compute_are_refused(tmp_path, field, value):
    folder, _ = rewritten(tmp_path, dict)
    write_json(folder / "config.json", {**read_json(folder / "config.json"), field: value})
    with pytest.raises(InputError, match=field if field != "hidden_act" else "activation_function"):
        load(folder)
