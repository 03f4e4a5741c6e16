"""GPT-1 in Hugging Face's files: names, settings, and what is refused."""
import dataclasses
import json

import numpy as np
import pytest

from helpers import language_model
from npgpt.errors import InputError
from npgpt.interop.huggingface import CONFIG, WEIGHTS, load_config, load_model, save
from npgpt.interop.openai_gpt import parse_config
from npgpt.interop.safetensors import read_safetensors, write_safetensors
from npgpt.interop.tensors import shapes_in_file
from npgpt.model.config import GPTConfig
from npgpt.model.model import Model
from npgpt.model.presets import preset

GPT1 = GPTConfig(vocab_size=11, n_positions=7, n_embd=6, n_layer=2, n_head=3, pre_layer_norm=False)
BLOCK = {"ln_1.weight": (6,), "ln_1.bias": (6,), "attn.c_attn.weight": (6, 18), "attn.c_attn.bias": (18,),
         "attn.c_proj.weight": (6, 6), "attn.c_proj.bias": (6,), "ln_2.weight": (6,), "ln_2.bias": (6,),
         "mlp.c_fc.weight": (6, 24), "mlp.c_fc.bias": (24,), "mlp.c_proj.weight": (24, 6), "mlp.c_proj.bias": (6,)}
SHAPES = {"transformer.tokens_embed.weight": (11, 6), "transformer.positions_embed.weight": (7, 6),
          **{f"transformer.h.{i}.{name}": shape for i in range(2) for name, shape in BLOCK.items()}}


@pytest.fixture
def folder(tmp_path):
    """A model on the disk, in float64."""
    save(tmp_path, Model(language_model(GPT1, dtype=np.float64), GPT1, None))
    return tmp_path


def test_names_and_shapes_are_those_of_openaigptlmheadmodel():
    """There is no final layer norm."""
    assert shapes_in_file(GPT1) == SHAPES
    assert shapes_in_file(dataclasses.replace(GPT1, tie_word_embeddings=False)) == SHAPES | {"lm_head.weight": (11, 6)}


@pytest.mark.parametrize("names", [["transformer.tokens_embed.weight"], ["lm_head.weight"],
                                   ["transformer.tokens_embed.weight", "lm_head.weight"]])
def test_the_tied_table_may_have_either_name_or_both(folder, capsys, names):
    expected, _ = load_model(folder)
    tensors = {name: tensor.copy() for name, tensor in read_safetensors(folder / WEIGHTS)[0].items()}
    table = tensors.pop("transformer.tokens_embed.weight")
    write_safetensors(folder / WEIGHTS, tensors | dict.fromkeys(names, table), {})
    parameters, config = load_model(folder)
    assert parameters.tobytes() == expected.tobytes() and config == GPT1 and capsys.readouterr().err == ""


def test_a_tied_head_that_differs_is_kept_with_a_warning(folder, capsys):
    tensors = {name: tensor.copy() for name, tensor in read_safetensors(folder / WEIGHTS)[0].items()}
    tensors["lm_head.weight"] = tensors["transformer.tokens_embed.weight"] + 1
    write_safetensors(folder / WEIGHTS, tensors, {})
    parameters, config = load_model(folder)
    assert not config.tie_word_embeddings and "lm_head.weight differs: it is kept" in capsys.readouterr().err
    assert (parameters[-66:].reshape(11, 6) == tensors["lm_head.weight"]).all()


def test_without_any_table_the_model_is_refused(folder):
    tensors = {name: tensor.copy() for name, tensor in read_safetensors(folder / WEIGHTS)[0].items()}
    del tensors["transformer.tokens_embed.weight"]
    write_safetensors(folder / WEIGHTS, tensors, {})
    with pytest.raises(InputError, match="tokens_embed.weight is missing"):
        load_model(folder)


def test_what_a_file_leaves_out_is_what_transformers_takes():
    """The published config.json of GPT-1 does."""
    config = parse_config({"afn": "gelu"})
    assert config == preset("gpt1")
    assert parse_config({}) == config


@pytest.mark.parametrize("afn, activation", [("gelu", "gelu_new"), ("relu", "relu"), ("silu", "silu"), ("swish", "swish")])
def test_its_gelu_is_the_tanh_form(tmp_path, afn, activation):
    config = parse_config({"afn": afn, "n_embd": 6, "n_head": 2, "n_layer": 1, "vocab_size": 5})
    assert config.activation_function == activation
    save(tmp_path, Model(language_model(config), config, None))
    assert parse_config({"afn": json.loads((tmp_path / CONFIG).read_text())["afn"]}).activation_function == activation
    assert load_config(tmp_path) == config


@pytest.mark.parametrize("afn", ["gelu_new", "tanh", None, 5, ["gelu"], {}])
def test_another_activation_is_refused(afn):
    with pytest.raises(InputError, match="afn must be one of gelu, relu"):
        parse_config({"afn": afn})


@pytest.mark.parametrize("changes", [{"n_inner": 5}, {"position_embedding_type": "sinusoidal"}, {"qkv_bias": False},
                                     {"window_size": 3}, {"activation_function": "gelu"}])
def test_a_post_ln_model_that_gpt1_cannot_hold_is_not_written_at_all(tmp_path, changes):
    config = dataclasses.replace(GPT1, **changes)
    with pytest.raises(InputError, match="stored as OpenAIGPTModel"):
        save(tmp_path / "model", Model(language_model(config), config, None))
    assert not list((tmp_path / "model").iterdir())


def test_an_inner_width_of_four_times_the_channels_may_be_written_out(tmp_path):
    config = dataclasses.replace(GPT1, n_inner=24)
    save(tmp_path, Model(language_model(config), config, None))
    assert load_config(tmp_path) == GPT1
