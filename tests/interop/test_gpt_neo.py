"""GPT-3's form in Hugging Face's files, which is that of GPT-Neo: names, layout, and what is refused."""
import dataclasses
import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, language_model, separate_qkv
from npgpt.errors import InputError
from npgpt.interop.families import family_of
from npgpt.interop.gpt_neo import fields, parse_config
from npgpt.interop.huggingface import CONFIG, WEIGHTS, load_config, load_model, save
from npgpt.interop.safetensors import read_safetensors, write_safetensors
from npgpt.interop.tensors import shapes_in_file, stored_tensors, tensors_to_save
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import named_views
from npgpt.model.presets import preset

GPT3 = GPTConfig(vocab_size=11, n_positions=7, n_embd=6, n_layer=3, n_head=2, n_inner=5, window_size=2, qkv_bias=False)
BLOCK = {"ln_1.weight": (6,), "ln_1.bias": (6,),
         **{f"attn.attention.{name}.weight": (6, 6) for name in ("q_proj", "k_proj", "v_proj", "out_proj")},
         "attn.attention.out_proj.bias": (6,),
         "ln_2.weight": (6,), "ln_2.bias": (6,), "mlp.c_fc.weight": (5, 6), "mlp.c_fc.bias": (5,),
         "mlp.c_proj.weight": (6, 5), "mlp.c_proj.bias": (6,)}
SHAPES = {"transformer.wte.weight": (11, 6), "transformer.wpe.weight": (7, 6),
          **{f"transformer.h.{i}.{name}": shape for i in range(3) for name, shape in BLOCK.items()},
          "transformer.ln_f.weight": (6,), "transformer.ln_f.bias": (6,)}
SIZES = {"vocab_size": 11, "max_position_embeddings": 7, "hidden_size": 6, "num_heads": 2}
ALTERNATING, ALL_GLOBAL = ["global", "local"], ["global"]


@pytest.fixture
def folder(tmp_path):
    """A model on the disk, in float64."""
    save(tmp_path, Model(language_model(GPT3, dtype=np.float64), GPT3, None))
    return tmp_path


def test_names_and_shapes_are_those_of_gptneoforcausallm():
    assert shapes_in_file(GPT3) == SHAPES
    assert shapes_in_file(dataclasses.replace(GPT3, tie_word_embeddings=False)) == SHAPES | {"lm_head.weight": (11, 6)}


def test_matrices_are_transposed_and_queries_divided_by_the_root_of_their_channels():
    """GPT-Neo does not divide by it."""
    vector, = draw(0, language_model(GPT3).shape)
    ours, tensors = named_views(vector, language_model_table(GPT3)), tensors_to_save(Model(vector, GPT3, None))
    q, k, v = separate_qkv(ours["blocks.1.attn.w_qkv"], GPT3.n_head)
    for name, expected in (("attn.attention.q_proj.weight", q.T / math.sqrt(3)), ("attn.attention.k_proj.weight", k.T),
                           ("attn.attention.v_proj.weight", v.T), ("mlp.c_fc.weight", ours["blocks.1.mlp.w_up"].T),
                           ("attn.attention.out_proj.weight", ours["blocks.1.attn.w_proj"].T),
                           ("mlp.c_proj.weight", ours["blocks.1.mlp.w_down"].T)):
        np.testing.assert_allclose(tensors[f"transformer.h.1.{name}"], expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_head", [2, 3])
def test_what_is_saved_is_loaded_up_to_the_rounding_of_the_root(tmp_path, dtype, n_head):
    config = dataclasses.replace(GPT3, n_head=n_head, n_embd=12, resid_pdrop=0.25, eos_token_id=3)
    parameters = language_model(config, 0, dtype)
    save(tmp_path, Model(parameters, config, None))
    loaded, loaded_config = load_model(tmp_path)
    assert loaded_config == config and loaded.dtype == dtype
    np.testing.assert_allclose(loaded, parameters, rtol=2 * np.finfo(dtype).eps if n_head == 2 else 0)      # D = 6, 4


@pytest.mark.parametrize("n_layer, types, window", [
    (4, [[ALTERNATING, 2]], 256), (3, [[ALTERNATING, 1], [ALL_GLOBAL, 1]], 256),
    (3, [[["global", "local", "global"], 1]], 256),
    (3, [[ALL_GLOBAL, 3]], None), (1, [[ALL_GLOBAL, 1]], None), (4, [[ALTERNATING, 1], [[], 5], [ALTERNATING, 1]], 256)])
@pytest.mark.parametrize("stored_window", [None, 2])
def test_attention_is_global_and_local_in_turn_or_global_everywhere(n_layer, types, window, stored_window):
    stored = {**SIZES, "num_layers": n_layer, "attention_types": types}
    stored |= {} if stored_window is None else {"window_size": stored_window}
    assert parse_config(stored).window_size == (window and (stored_window or window))
    kinds = [kind for some, times in types for kind in some * times]
    del stored["attention_types"]
    assert parse_config({**stored, "attention_layers": kinds}).window_size == (window and (stored_window or window))


def test_what_a_file_leaves_out_is_what_transformers_takes():
    config = parse_config({})
    assert (config.n_layer, config.n_embd, config.n_head, config.n_positions) == (24, 2048, 16, 2048)
    assert (config.window_size, config.inner, config.vocab_size, config.qkv_bias) == (256, 4 * 2048, 50257, False)


@pytest.mark.parametrize("changes, complaint", [
    ({"attention_types": [[["local", "global"], 2]]}, "in turn"), ({"attention_types": [[["local"], 4]]}, "in turn"),
    ({"attention_types": [[ALTERNATING, 1]]}, "in turn"), ({"attention_types": [[ALTERNATING, 3]]}, "no more than 4 layers"),
    ({"attention_types": [[["global", "strided"], 2]]}, "in turn"),
    ({"attention_types": [[ALTERNATING, -1]]}, "no more than"),
    ({"attention_types": [[ALTERNATING, 10**18]]}, "no more than"),
    ({"attention_types": [[ALTERNATING, 2.0]]}, "must be a list"),
    ({"attention_types": [["global", 4]]}, "must be a list"), ({"attention_types": [[ALTERNATING]]}, "must be a list"),
    ({"attention_types": 5}, "must be a list"), ({"attention_types": [[ALTERNATING, "2"]]}, "must be a list"),
    ({"attention_types": [[[["global"]], 4]]}, "in turn"), ({"attention_layers": 5}, "in turn"),
    ({"attention_layers": ["global"] * 5}, "in turn"), ({"window_size": None}, "window_size must be a whole number"),
    ({"window_size": 0}, "window_size"), ({"window_size": "256"}, "window_size"), ({"window_size": 2**25}, "window_size"),
    ({"num_layers": 0}, "n_layer"), ({"num_heads": 4}, "n_head must be a divisor"),
    ({"activation_function": "sin"}, "activation"),
    ({"num_layers": 5}, "in turn"), ({"hidden_size": 8, "n_embd": 6}, "both mean the same size")])
def test_other_models_are_refused(changes, complaint):
    types = {} if "attention_layers" in changes else {"attention_types": [[ALTERNATING, 2]]}
    with pytest.raises(InputError, match=complaint):
        parse_config({**SIZES, "num_layers": 4, **types, **changes})


def test_a_long_list_of_layers_takes_no_memory():
    tracemalloc.start()
    with pytest.raises(InputError, match="no more than 4096 layers"):
        parse_config({**SIZES, "num_layers": 4096, "attention_types": [[ALL_GLOBAL, 4096]] * 10_000})
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()


@given(st.integers(1, 5), st.none() | st.integers(1, 9))
def test_layers_are_written_as_transformers_reads_them(n_layer, window):
    config = dataclasses.replace(GPT3, n_layer=n_layer, window_size=window)
    written = fields(config)
    kinds = [kind for some, times in written["attention_types"] for kind in some * times]
    assert kinds == written["attention_layers"] and len(kinds) == n_layer
    assert [kind == "local" for kind in kinds] == [bool(window and i % 2) for i in range(n_layer)]
    again = parse_config(json.loads(json.dumps(written)))
    assert again == (config if n_layer > 1 else dataclasses.replace(config, window_size=None))


@pytest.mark.parametrize("name, model_type", [("small", "gpt2"), ("gpt1-small", "openai-gpt"), ("gpt3-small", "gpt_neo")])
def test_every_kind_of_model_is_written_as_its_own_type(tmp_path, name, model_type):
    """transformers would read a banded model as a dense one if it were written as gpt2."""
    config = preset(name, n_layer=2, n_embd=8)
    save(tmp_path, Model(language_model(config), config, None))
    assert json.loads((tmp_path / CONFIG).read_text())["model_type"] == model_type
    assert load_config(tmp_path) == config


@pytest.mark.parametrize("changes", [{"qkv_bias": True}, {"position_embedding_type": "sinusoidal"}])
def test_a_banded_model_that_gpt_neo_cannot_hold_is_not_written_at_all(tmp_path, changes):
    config = dataclasses.replace(GPT3, **changes)
    assert family_of(config).model_type == "gpt_neo"
    with pytest.raises(InputError, match="stored as GPTNeoModel"):
        save(tmp_path / "model", Model(language_model(config), config, None))
    assert not list((tmp_path / "model").iterdir())


@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_masks_in_published_files_and_the_tied_head_are_no_parameters(folder, prefix):
    """Files of a body alone leave out the prefix."""
    expected, _ = load_model(folder)
    tensors = {prefix + name.removeprefix("transformer."): tensor.copy()
               for name, tensor in read_safetensors(folder / WEIGHTS)[0].items()}
    for i in range(GPT3.n_layer):
        tensors[f"{prefix}h.{i}.attn.attention.bias"] = np.ones((1, 1, 7, 7), bool)
        tensors[f"{prefix}h.{i}.attn.attention.masked_bias"] = np.array(-1e9)
    tensors["lm_head.weight"] = tensors[prefix + "wte.weight"]
    write_safetensors(folder / WEIGHTS, tensors, {})
    assert load_model(folder)[0].tobytes() == expected.tobytes()


def test_a_tensor_of_another_shape_is_refused(folder):
    tensors = {name: tensor.copy() for name, tensor in read_safetensors(folder / WEIGHTS)[0].items()}
    tensors["transformer.h.0.mlp.c_fc.weight"] = tensors["transformer.h.0.mlp.c_fc.weight"].T
    write_safetensors(folder / WEIGHTS, tensors, {})
    with pytest.raises(InputError, match=r"c_fc.weight has shape \(6, 5\) for \(5, 6\)"):
        load_model(folder)


def test_writing_a_files_tensors_into_the_views_gives_the_vector_back():
    vector, = draw(0, language_model(GPT3).shape)
    copy = np.zeros_like(vector)
    for name, (view, shape, _) in stored_tensors(vector, GPT3).items():
        target = stored_tensors(copy, GPT3)[name].view
        target[...] = view.reshape(shape).reshape(target.shape)
    assert (copy == vector).all()
