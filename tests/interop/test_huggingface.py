"""Model directories in Hugging Face's layout."""
import dataclasses
import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import language_model, seeds
from npgpt.errors import InputError
from npgpt.interop.gpt2 import FIXED
from npgpt.interop.huggingface import CONFIG, GENERATION_CONFIG, TOKENIZER_CONFIG, WEIGHTS, holds_model, load, load_config, load_model, save
from npgpt.interop.safetensors import BFLOAT16, as_float, read_safetensors, write_safetensors
from npgpt.interop.tensors import shapes_in_file, tensors_as_in_file
from npgpt.interop.weights import INDEX
from npgpt.layers.embedding import sinusoidal_positions
from npgpt.model.config import GPTConfig
from npgpt.model.model import Model
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.tokenizer import load_tokenizer
from npgpt.text.vocabulary import with_special_tokens

GPT = GPTConfig(vocab_size=5, n_positions=3, n_embd=4, n_layer=2, n_head=2, resid_pdrop=0.25, bos_token_id=4)

configs = st.builds(lambda heads, width, **fields: GPTConfig(n_head=heads, n_embd=heads * width, **fields),
                    heads=st.integers(1, 2), width=st.integers(1, 2), vocab_size=st.integers(1, 5), n_positions=st.integers(1, 5),
                    n_layer=st.integers(1, 2), n_inner=st.none() | st.integers(1, 5), resid_pdrop=st.floats(0, 0.9),
                    activation_function=st.sampled_from(["gelu_new", "relu"]), layer_norm_epsilon=st.floats(1e-12, 1),
                    tie_word_embeddings=st.booleans(), position_embedding_type=st.sampled_from(["learned", "sinusoidal"]),
                    eos_token_id=st.none() | st.just(0) | st.just((0,)) | st.just((0, 0)))


@pytest.fixture
def folder(tmp_path):
    """A model on the disk, in float32."""
    save(tmp_path, Model(language_model(GPT), GPT, None))
    return tmp_path


def edit_config(folder, **changes):
    stored = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(stored | changes))


def edit_weights(folder, change):
    """Replace the tensors by what `change` makes of a dictionary of them."""
    tensors = {name: tensor.copy() for name, tensor in read_safetensors(folder / WEIGHTS)[0].items()}
    write_safetensors(folder / WEIGHTS, change(tensors) or tensors, {})


def bfloat16(tensor):
    """The upper half of float32."""
    return (np.float32(tensor).view(np.uint32) >> 16).astype("<u2").view(BFLOAT16)


@given(configs, st.sampled_from([np.float32, np.float64]), seeds)
def test_a_saved_model_is_loaded_bit_for_bit(tmp_path_factory, config, dtype, seed):
    folder = tmp_path_factory.mktemp("model")
    parameters = language_model(config, seed, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)              # slow on some disks
        save(folder, Model(parameters, config, None))
    loaded, loaded_config = load_model(folder)
    assert loaded_config == config
    assert loaded.dtype == dtype and loaded.tobytes() == parameters.tobytes()


def test_load_and_save_have_the_tokenizer_too(tmp_path):
    for tokenizer in (CharacterTokenizer("abcde"), None):
        folder = tmp_path / str(tokenizer is None)
        save(folder, Model(language_model(GPT), GPT, tokenizer))
        loaded = load(folder)
        assert loaded.parameters.tobytes() == language_model(GPT).tobytes() and loaded.config == GPT
        assert tokenizer is None and loaded.tokenizer is None or loaded.tokenizer.vocabulary == tokenizer.vocabulary


def test_the_weights_are_named_and_shaped_as_in_gpt2lmheadmodel(folder):
    tensors, metadata = read_safetensors(folder / WEIGHTS)
    assert {name: tensor.shape for name, tensor in tensors.items()} == shapes_in_file(GPT)
    assert metadata == {"format": "pt"}                            # without it transformers does not load the file


def test_the_config_is_gpt2configs(folder):
    stored = json.loads((folder / CONFIG).read_text())
    assert stored["model_type"] == "gpt2" and stored["architectures"] == ["GPT2LMHeadModel"] and stored["dtype"] == "float32"
    assert (stored["n_embd"], stored["n_inner"], stored["resid_pdrop"], stored["bos_token_id"]) == (4, None, 0.25, 4)
    assert stored["activation_function"] == "gelu_new" and stored["scale_attn_weights"] is True


def test_sinusoidal_positions_are_written_for_libraries_that_have_them_as_parameters(tmp_path):
    config = GPTConfig(vocab_size=5, n_positions=3, n_embd=4, n_layer=1, n_head=2, position_embedding_type="sinusoidal")
    save(tmp_path, Model(language_model(config), config, None))
    stored = read_safetensors(tmp_path / WEIGHTS)[0]["transformer.wpe.weight"]
    np.testing.assert_array_equal(stored, sinusoidal_positions(np.arange(3), 4, np.float32))


SINUSOIDAL = dataclasses.replace(GPT, position_embedding_type="sinusoidal")


@pytest.mark.parametrize("precision", [np.float64, np.float32, np.float16, bfloat16])
def test_sinusoidal_positions_of_any_precision_are_not_parameters(tmp_path, capsys, precision):
    config = dataclasses.replace(SINUSOIDAL, n_positions=2000)
    save(tmp_path, Model(language_model(config, 0, np.float64), config, None))
    edit_weights(tmp_path, lambda tensors: {name: precision(tensor) for name, tensor in tensors.items()})
    assert load_model(tmp_path)[1] == config and capsys.readouterr().err == ""


@pytest.mark.parametrize("place", [0, 1, -1])
def test_sinusoidal_positions_that_were_changed_are_kept_with_a_warning(tmp_path, capsys, place):
    """As a tied head that differs is."""
    config = dataclasses.replace(SINUSOIDAL, n_positions=2000)
    save(tmp_path, Model(language_model(config), config, None))
    edit_weights(tmp_path, lambda tensors: np.add.at(tensors["transformer.wpe.weight"].reshape(-1), place, 1e-5))
    positions = read_safetensors(tmp_path / WEIGHTS)[0]["transformer.wpe.weight"]
    parameters, loaded = load_model(tmp_path)
    assert loaded == dataclasses.replace(config, position_embedding_type="learned")
    np.testing.assert_array_equal(tensors_as_in_file(parameters, loaded)["transformer.wpe.weight"], positions)
    assert capsys.readouterr().err == (f"npgpt: warning: {tmp_path}: config.json says that positions are sinusoidal, but "
                                       "transformer.wpe.weight differs: it is kept, as learned positions\n")


def test_sinusoidal_positions_may_be_missing_and_must_have_their_shape(tmp_path):
    save(tmp_path, Model(language_model(SINUSOIDAL), SINUSOIDAL, None))
    edit_weights(tmp_path, lambda tensors: tensors | {"transformer.wpe.weight": np.zeros((4, 4))})
    with pytest.raises(InputError, match=r"transformer.wpe.weight has shape \(4, 4\) for \(3, 4\)"):
        load_model(tmp_path)
    edit_weights(tmp_path, lambda tensors: {name: tensor for name, tensor in tensors.items() if "wpe" not in name})
    assert load_model(tmp_path)[1] == SINUSOIDAL


def test_the_tokenizer_is_written_beside_the_weights(tmp_path):
    save(tmp_path, Model(language_model(GPT), GPT, CharacterTokenizer("abcde")))
    assert load_tokenizer(tmp_path).vocabulary == list("abcde")
    stored = json.loads((tmp_path / TOKENIZER_CONFIG).read_text())
    assert stored["tokenizer_class"] == "PreTrainedTokenizerFast" and stored["model_max_length"] == 3


def test_only_special_tokens_of_the_tokenizer_are_named(tmp_path):
    class Special(CharacterTokenizer):
        special_tokens = {"e": 4}
    for tokenizer, expected in ((Special("abcde"), "e"), (CharacterTokenizer("abcde"), None)):
        save(tmp_path, Model(language_model(GPT), GPT, tokenizer))
        stored = json.loads((tmp_path / TOKENIZER_CONFIG).read_text())
        assert stored.get("bos_token") == expected and "eos_token" not in stored


def test_special_tokens_whose_names_say_what_they_are_for_are_named(tmp_path):
    tokenizer = with_special_tokens(CharacterTokenizer("ab"), ["[MASK]", "<unk>", "_start_"])
    save(tmp_path, Model(language_model(GPT), GPT, tokenizer))
    stored = json.loads((tmp_path / TOKENIZER_CONFIG).read_text())
    assert {role: token for role, token in stored.items() if role.endswith("_token")} == {
        "mask_token": "[MASK]", "unk_token": "<unk>", "bos_token": "_start_"}


def test_only_a_folder_with_weights_holds_a_model(folder, tmp_path_factory):
    assert holds_model(folder) and not holds_model(tmp_path_factory.mktemp("empty")) and not holds_model(folder / "missing")


def test_a_folder_that_does_not_exist_is_named_with_advice(tmp_path):
    with pytest.raises(InputError, match=f"the folder {tmp_path}/gpt2 does not exist; a model from huggingface.co is downloaded first"):
        load(tmp_path / "gpt2")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is not a folder"):
        load(tmp_path / "file")


def test_a_folder_is_created_with_its_parents_and_contains_only_the_model(tmp_path):
    save(tmp_path / "a" / "b", Model(language_model(GPT), GPT, None))
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == [CONFIG, WEIGHTS]


def test_a_model_that_does_not_fit_on_the_disk_leaves_the_old_one_unchanged(folder):
    """Its configuration too. A limit on the size of files takes the place of a full disk."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    program = f"""
import resource
from npgpt.interop.huggingface import save
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.model import Model
from npgpt.model.parameters import initial_parameters
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
config = GPTConfig(vocab_size=500, n_positions=3, n_embd=4, n_layer=1, n_head=1)
try:
    save({str(folder)!r}, Model(initial_parameters(language_model_table(config)), config, None))
except OSError as error:
    assert error.filename == {str(folder)!r}
else:
    raise SystemExit("it was written")
"""
    pytest.importorskip("resource")
    subprocess.run([sys.executable, "-c", program], check=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_names_without_the_prefix_are_accepted(folder):
    expected, _ = load_model(folder)
    edit_weights(folder, lambda tensors: {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()})
    np.testing.assert_array_equal(load_model(folder)[0], expected)


def test_mask_buffers_and_a_copy_of_the_tied_head_are_ignored(folder):
    expected, _ = load_model(folder)
    edit_weights(folder, lambda tensors: tensors | {
        "transformer.h.0.attn.bias": np.tri(3, dtype=np.uint8), "h.1.attn.masked_bias": np.float32(-1e4),
        "lm_head.weight": tensors["transformer.wte.weight"]})
    np.testing.assert_array_equal(load_model(folder)[0], expected)


def test_a_tied_table_may_have_only_the_name_of_the_head(folder, capsys):
    expected, _ = load_model(folder)
    edit_weights(folder, lambda tensors: {name.replace("transformer.wte", "lm_head"): tensor for name, tensor in tensors.items()})
    parameters, config = load_model(folder)
    np.testing.assert_array_equal(parameters, expected)
    assert config == GPT and capsys.readouterr().err == ""


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_a_head_that_should_be_tied_but_differs_is_kept_with_a_warning(folder, prefix, capsys):
    """As transformers does."""
    head = np.arange(20, dtype=np.float32).reshape(5, 4)
    edit_weights(folder, lambda tensors: {prefix + name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
                 | {"lm_head.weight": head})
    parameters, config = load_model(folder)
    assert config == dataclasses.replace(GPT, tie_word_embeddings=False)
    np.testing.assert_array_equal(tensors_as_in_file(parameters, config)["lm_head.weight"], head)
    assert capsys.readouterr().err == (f"npgpt: warning: {folder}: config.json says that the head is tied to the token embedding, "
                                       "but lm_head.weight differs: it is kept\n")


@pytest.mark.parametrize("stored, dtype, expected", [("f4", None, "f4"), ("f8", None, "f8"), ("f2", None, "f4"),
                                                     ("f8", np.float32, "f4"), ("f4", np.float64, "f8")])
def test_the_dtype_is_that_of_the_file_unless_another_is_asked_for(folder, stored, dtype, expected):
    edit_weights(folder, lambda tensors: {name: tensor.astype(stored) for name, tensor in tensors.items()})
    parameters, _ = load_model(folder, dtype)
    assert parameters.dtype == expected
    np.testing.assert_array_equal(parameters, language_model(GPT).astype(stored).astype(expected))


@pytest.mark.parametrize("narrow", [np.float16, bfloat16])
def test_half_precision_is_widened_exactly(folder, narrow):
    edit_weights(folder, lambda tensors: {name: narrow(tensor) for name, tensor in tensors.items()})
    parameters, config = load_model(folder)
    assert parameters.dtype == np.float32
    for name, tensor in tensors_as_in_file(language_model(GPT), config).items():
        np.testing.assert_array_equal(tensors_as_in_file(parameters, config)[name], as_float(narrow(tensor)))


def test_a_tensor_that_is_no_parameter_takes_no_memory(folder):
    """Nor one of another shape, and neither is converted to float32."""
    large = np.zeros(2**20, BFLOAT16)
    for name in ("h.0.attn.bias", "transformer.wte.weight"):
        edit_weights(folder, lambda tensors: tensors | {name: large})
        tracemalloc.start()
        try:
            load_model(folder)
        except InputError as error:
            assert "transformer.wte.weight has shape (1048576,) for (5, 4)" in str(error)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


def test_a_model_may_be_in_several_files(folder):
    expected, _ = load_model(folder)
    tensors = dict(read_safetensors(folder / WEIGHTS)[0])
    places = {name: f"model-{'wte' in name}.safetensors" for name in tensors}
    for place in set(places.values()):
        write_safetensors(folder / place, {name: tensor for name, tensor in tensors.items() if places[name] == place}, {})
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))
    del tensors
    (folder / WEIGHTS).unlink()
    assert holds_model(folder)
    np.testing.assert_array_equal(load_model(folder)[0], expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("names, listed", [(["h.1.ln_2.bias"], "transformer.h.1.ln_2.bias"),
                                         (["wte.weight", "h.0.mlp.c_fc.weight"], "transformer.wte.weight, transformer.h.0.mlp.c_fc.weight")])
def test_weights_that_are_nan_or_infinite_are_named(folder, capsys, bad, names, listed):
    def damage(tensors):
        for name in names:
            tensors["transformer." + name].flat[-1] = bad
    edit_weights(folder, damage)
    load_model(folder)
    assert capsys.readouterr().err == f"npgpt: warning: {folder}: some numbers are NaN or infinite in {listed}\n"


def test_a_long_list_of_damaged_tensors_is_shortened_and_large_numbers_are_not_damage(folder, capsys):
    edit_weights(folder, lambda tensors: {name: np.full_like(tensor, np.nan) for name, tensor in tensors.items()})
    load_model(folder)
    assert capsys.readouterr().err.endswith("and 23 other tensors\n")
    edit_weights(folder, lambda tensors: {name: np.full_like(tensor, 1e30) for name, tensor in tensors.items()})
    load_model(folder)
    assert capsys.readouterr().err == ""


def test_changing_loaded_parameters_does_not_change_the_file(folder):
    parameters, _ = load_model(folder)
    parameters += 1
    np.testing.assert_array_equal(load_model(folder)[0], language_model(GPT))


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_folder_without_one_of_the_files_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{folder} is not a model directory: there is no {name} in it"):
        load_model(folder)


@pytest.mark.parametrize("changes", [{name: None} for name in FIXED] + [
    {"model_type": "llama"}, {"scale_attn_weights": False}, {"scale_attn_by_inverse_layer_idx": True}, {"reorder_and_upcast_attn": True},
    {"add_cross_attention": True}])
def test_a_model_with_an_unsupported_setting_is_refused_with_the_setting_named(folder, changes):
    edit_config(folder, **changes)
    with pytest.raises(InputError, match=f"{CONFIG}: {next(iter(changes))} is "):
        load_config(folder)


@pytest.mark.parametrize("changes", [{"n_head": 3}, {"n_embd": 0}, {"vocab_size": "5"}, {"activation_function": "mish"}, {"n_layer": 1e9},
                                     {"layer_norm_epsilon": None}, {"position_embedding_type": {}}])
def test_a_field_that_is_wrong_is_named_with_the_file(folder, changes):
    edit_config(folder, **changes)
    with pytest.raises(InputError, match=f"{CONFIG}: {next(iter(changes))} must be "):
        load_config(folder)


@pytest.mark.parametrize("synonym, name, value", [("hidden_size", "n_embd", 4), ("num_attention_heads", "n_head", 2), ("num_hidden_layers", "n_layer", 2),
                                                  ("max_position_embeddings", "n_positions", 3)])
def test_a_size_with_its_other_name_is_accepted_and_must_not_differ(folder, synonym, name, value):
    edit_config(folder, **{synonym: value})
    assert load_config(folder) == GPT
    stored = json.loads((folder / CONFIG).read_text())
    del stored[name]
    (folder / CONFIG).write_text(json.dumps(stored))
    assert load_config(folder) == GPT
    edit_config(folder, **{name: 2 * value})
    with pytest.raises(InputError, match=f"{CONFIG}: {synonym} is {value} where {name} is {2 * value}"):
        load_config(folder)


def test_special_tokens_outside_the_vocabulary_are_none(folder):
    """transformers writes those of GPT-2 for any vocabulary."""
    edit_config(folder, bos_token_id=50256, eos_token_id=3)
    assert (load_config(folder).bos_token_id, load_config(folder).eos_token_id) == (None, 3)


@pytest.mark.parametrize("stored, expected", [
    (3, 3), (-1, None), (5, None), (None, None), ([], None), ([3], (3,)), ([3, 0], (3, 0)), ([-1, 3, 50256], (3,)), ([7, -1], None)])
@pytest.mark.parametrize("name", [CONFIG, GENERATION_CONFIG])
def test_a_text_may_end_with_one_token_or_several_or_none(folder, name, stored, expected):
    if name == CONFIG:
        edit_config(folder, eos_token_id=stored)
    else:
        edit_config(folder, eos_token_id=1)
        (folder / name).write_text(json.dumps({"eos_token_id": stored, "do_sample": True}))
    assert load_config(folder).eos_token_id == expected
    assert load_config(folder) == dataclasses.replace(GPT, eos_token_id=expected)


def test_a_generation_config_without_an_end_token_says_that_there_is_none(folder):
    """As in transformers, whose generate does not look into config.json then."""
    edit_config(folder, eos_token_id=1)
    (folder / GENERATION_CONFIG).write_text("{}")
    assert load_config(folder).eos_token_id is None


@pytest.mark.parametrize("content", ['{"eos_token_id": "x"}', '{"eos_token_id": [1, [2]]}', '{"eos_token_id": 1.5}', "[]", "{"])
def test_a_damaged_generation_config_is_named(folder, content):
    (folder / GENERATION_CONFIG).write_text(content)
    with pytest.raises(InputError, match=f"^{folder / GENERATION_CONFIG}: "):
        load_config(folder)


def test_the_generation_config_of_another_model_does_not_survive_a_save(folder):
    (folder / GENERATION_CONFIG).write_text('{"eos_token_id": 1}')
    config = dataclasses.replace(GPT, eos_token_id=(2, 3))
    save(folder, Model(language_model(config), config, None))
    assert load_config(folder) == config


@pytest.mark.parametrize("name", ["gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"])
def test_other_names_of_the_tanh_form_of_gelu_are_accepted(folder, name):
    edit_config(folder, activation_function=name)
    assert load_config(folder) == GPT


def test_settings_without_effect_are_accepted(folder):
    edit_config(folder, summary_type="cls_index", summary_activation="tanh", use_cache=False, n_ctx=1024)
    assert load_config(folder) == GPT


def test_missing_fields_have_gpt2s_values_and_unknown_ones_are_ignored(folder):
    (folder / CONFIG).write_text('{"n_layer": 3, "summary_type": "cls_index"}')
    assert load_config(folder) == GPTConfig(n_layer=3)


def test_all_tensors_that_do_not_match_are_named(folder):
    def damage(tensors):
        del tensors["transformer.h.1.ln_2.bias"]
        tensors["transformer.h.0.mlp.c_fc.weight"] = tensors["transformer.h.0.mlp.c_fc.weight"].T
        tensors["surprise"] = np.zeros(1)
        return tensors
    edit_weights(folder, damage)
    with pytest.raises(InputError) as error:
        load_model(folder)
    assert "transformer.h.1.ln_2.bias is missing" in str(error.value)
    assert "surprise is unexpected" in str(error.value)
    assert "transformer.h.0.mlp.c_fc.weight has shape (16, 4) for (4, 16)" in str(error.value)


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_tensors_are_named_as_in_the_file(folder, prefix, capsys):
    def rename(tensors):
        renamed = {prefix + name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
        renamed[prefix + "ln_f.bias"][0] = np.nan
        return renamed
    edit_weights(folder, rename)
    load_model(folder)
    assert capsys.readouterr().err.endswith(f" in {prefix}ln_f.bias\n")
    edit_weights(folder, lambda tensors: {"score.weight": np.zeros((2, 4))} | {name: tensor for name, tensor in tensors.items() if "wpe" not in name})
    with pytest.raises(InputError, match=f"{CONFIG}: {prefix}wpe.weight is missing; score.weight is unexpected$"):
        load_model(folder)


@pytest.mark.parametrize("name", ["transformer.h.0.attn.bias.scale", "lm.transformer.h.0.attn.bias", "transformer.h.x.attn.bias"])
def test_only_tensors_with_the_names_of_mask_buffers_are_ignored(folder, name):
    edit_weights(folder, lambda tensors: tensors | {name: np.zeros(1, np.float32)})
    with pytest.raises(InputError, match=f"{CONFIG}: {name} is unexpected$"):
        load_model(folder)


def test_of_many_tensors_that_do_not_match_the_first_are_named(folder):
    edit_weights(folder, lambda tensors: {name.replace("h.", "layer."): tensor for name, tensor in tensors.items()})
    with pytest.raises(InputError, match=r"attn.c_proj.bias is missing; .* is missing; and 38 more$") as error:
        load_model(folder)
    assert str(error.value).count(" is missing") == 10


def test_a_configuration_with_enormous_sizes_and_a_file_with_many_tensors_are_refused_soon(folder):
    """Although all the sizes are possible."""
    edit_config(folder, n_layer=4096, n_embd=2**20, n_positions=2**24, vocab_size=2**24)
    edit_weights(folder, lambda tensors: {f"h.{i}": np.zeros(0, np.float32) for i in range(10_000)})
    tracemalloc.start()
    with pytest.raises(InputError, match="holds 10000 parameters: too few for n_layer 4096"):
        load_model(folder)
    assert tracemalloc.get_traced_memory()[1] < 10**8
    tracemalloc.stop()


def test_a_parameter_that_occurs_twice_or_has_integers_is_refused(folder):
    edit_weights(folder, lambda tensors: tensors | {"wte.weight": tensors["transformer.wte.weight"]})
    with pytest.raises(InputError, match="safetensors does not match its config.json: wte.weight is unexpected"):
        load_model(folder)
    edit_weights(folder, lambda tensors: {name: tensor.astype(np.int32) for name, tensor in tensors.items() if name != "wte.weight"})
    with pytest.raises(InputError, match="transformer.wte.weight holds int32"):
        load_model(folder)


@pytest.mark.parametrize("field, value", [("n_layer", 10**9), ("vocab_size", 10**12), ("n_positions", 10**18), ("n_inner", 10**30)])
def test_a_configuration_with_enormous_sizes_is_refused_at_once(folder, field, value):
    edit_config(folder, **{field: value})
    with pytest.raises(InputError):
        load_model(folder)


def test_an_untied_head_is_a_parameter(tmp_path):
    config = GPTConfig(vocab_size=5, n_positions=3, n_embd=4, n_layer=1, n_head=2, tie_word_embeddings=False)
    save(tmp_path, Model(language_model(config), config, None))
    edit_weights(tmp_path, lambda tensors: {name: tensor for name, tensor in tensors.items() if name != "lm_head.weight"})
    with pytest.raises(InputError, match="lm_head.weight is missing"):
        load_model(tmp_path)


@given(st.data())
def test_a_damaged_configuration_is_loaded_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("model")
    values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
    stored = data.draw(st.dictionaries(st.sampled_from([*FIXED, "n_head", "n_inner", "attn_pdrop", "layer_norm_epsilon", "eos_token_id",
                                                        "tie_word_embeddings", "activation_function"]), values))
    (folder / CONFIG).write_text(json.dumps(stored))
    try:
        assert isinstance(load_config(folder), GPTConfig)
    except InputError as error:
        assert str(error).startswith(str(folder))


def test_the_index_of_a_model_in_several_files_is_removed_with_it(folder):
    """Otherwise, after a crash before the new weights are written, it would be used with another configuration."""
    os.rename(folder / WEIGHTS, folder / "model-00001-of-00001.safetensors")
    places = {name: "model-00001-of-00001.safetensors" for name in shapes_in_file(GPT)}
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))
    load_model(folder)
    other = GPTConfig(vocab_size=3, n_positions=2, n_embd=2, n_layer=1, n_head=1)
    save(folder, Model(language_model(other), other, None))
    assert not (folder / INDEX).exists() and load_model(folder)[1] == other
