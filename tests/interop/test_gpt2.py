"""GPT-2 in Hugging Face's files: names and shapes, the order of the numbers, and where these names may occur."""
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

import npgpt
from helpers import draw, separate_qkv
from npgpt.interop.tensors import shapes_in_file, stored_tensors, tensors_as_in_file
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import named_views, parameter_count

CONFIG = GPTConfig(vocab_size=11, n_positions=7, n_embd=6, n_layer=2, n_head=3, n_inner=5, tie_word_embeddings=False)
BLOCK = {"ln_1.weight": (6,), "ln_1.bias": (6,), "attn.c_attn.weight": (6, 18), "attn.c_attn.bias": (18,),
         "attn.c_proj.weight": (6, 6), "attn.c_proj.bias": (6,), "ln_2.weight": (6,), "ln_2.bias": (6,),
         "mlp.c_fc.weight": (6, 5), "mlp.c_fc.bias": (5,), "mlp.c_proj.weight": (5, 6), "mlp.c_proj.bias": (6,)}
SHAPES = {"transformer.wte.weight": (11, 6), "transformer.wpe.weight": (7, 6),
          **{f"transformer.h.{i}.{name}": shape for i in range(2) for name, shape in BLOCK.items()},
          "transformer.ln_f.weight": (6,), "transformer.ln_f.bias": (6,), "lm_head.weight": (11, 6)}
ROOT = Path(__file__).parents[2]
TORCH_PEER = "torch_peer.py"                    # builds the other side of a comparison, of transformers' own model
SOURCES = sorted({*Path(npgpt.__file__).parent.rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")})


def test_names_and_shapes_are_those_of_gpt2lmheadmodel():
    assert shapes_in_file(CONFIG) == SHAPES


@given(st.booleans(), st.sampled_from(["learned", "sinusoidal"]))
def test_parameters_that_a_model_does_not_have_are_not_in_its_file(tied, positions):
    names = set(shapes_in_file(GPTConfig(tie_word_embeddings=tied, position_embedding_type=positions)))
    assert ("lm_head.weight" in names) != tied and ("transformer.wpe.weight" in names) == (positions == "learned")


def test_queries_keys_and_values_are_side_by_side_in_the_file():
    vector = np.arange(parameter_count(language_model_table(CONFIG)))
    ours, tensors = named_views(vector, language_model_table(CONFIG)), tensors_as_in_file(vector, CONFIG)
    assert {name: tensor.shape for name, tensor in tensors.items()} == SHAPES
    w_qkv, b_qkv = (separate_qkv(ours[f"blocks.1.attn.{name}"], CONFIG.n_head) for name in ("w_qkv", "b_qkv"))
    np.testing.assert_array_equal(tensors["transformer.h.1.attn.c_attn.weight"], np.hstack(w_qkv))
    np.testing.assert_array_equal(tensors["transformer.h.1.attn.c_attn.bias"], np.hstack(b_qkv))
    for name, own_name in (("transformer.h.0.attn.c_proj.weight", "blocks.0.attn.w_proj"), ("lm_head.weight", "unembedding"),
                           ("transformer.h.1.mlp.c_proj.weight", "blocks.1.mlp.w_down"), ("transformer.ln_f.weight", "ln_f.gain")):
        np.testing.assert_array_equal(tensors[name], ours[own_name])


def test_writing_a_files_tensors_into_the_views_gives_the_vector_back():
    vector, = draw(0, (parameter_count(language_model_table(CONFIG)),))
    copy = np.zeros_like(vector)
    for name, tensor in tensors_as_in_file(vector, CONFIG).items():
        view = stored_tensors(copy, CONFIG)[name].view
        view[...] = tensor.reshape(view.shape)
    assert (copy == vector).all()


@pytest.mark.parametrize("name", ["c_attn", "c_proj", "c_fc", "transformer.", "lm_head", "q_proj"])
def test_hugging_faces_names_occur_in_interop_only(name):
    """transformers. is the name of a library."""
    found = [path for path in SOURCES if name in path.read_text(encoding="utf-8")
             and path.parent.name != "interop" and path.name != TORCH_PEER]
    assert not found and len(SOURCES) > 50
    assert any(name in path.read_text(encoding="utf-8") for path in SOURCES) or name == "q_proj"
