"""Parameters: the list of names and shapes, the vector and its views, and how they begin."""
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.layers.cross_entropy import cross_entropy
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.parameters import block_views, decays, initial_parameters, named_views, parameter_count, parameter_shapes
from npgpt.model.presets import preset

CONFIG = GPTConfig(vocab_size=11, n_positions=7, n_embd=6, n_layer=2, n_head=3, n_inner=5)
BLOCK = {"ln_1.weight": (6,), "ln_1.bias": (6,), "attn.c_attn.weight": (6, 18), "attn.c_attn.bias": (18,),
         "attn.c_proj.weight": (6, 6), "attn.c_proj.bias": (6,), "ln_2.weight": (6,), "ln_2.bias": (6,),
         "mlp.c_fc.weight": (6, 5), "mlp.c_fc.bias": (5,), "mlp.c_proj.weight": (5, 6), "mlp.c_proj.bias": (6,)}
SHAPES = {"transformer.wte.weight": (11, 6), "transformer.wpe.weight": (7, 6),
          **{f"transformer.h.{i}.{name}": shape for i in range(2) for name, shape in BLOCK.items()},
          "transformer.ln_f.weight": (6,), "transformer.ln_f.bias": (6,)}

configs = st.builds(lambda heads, width, **sizes: GPTConfig(n_head=heads, n_embd=heads * width, **sizes),
                    heads=st.integers(1, 3), width=st.integers(1, 4), vocab_size=st.integers(1, 9), n_positions=st.integers(1, 9),
                    n_layer=st.integers(1, 12), n_inner=st.none() | st.integers(1, 9), tie_word_embeddings=st.booleans(),
                    position_embedding_type=st.sampled_from(["learned", "sinusoidal"]))


def test_names_and_shapes_are_those_of_gpt2():
    shapes = parameter_shapes(CONFIG)
    assert shapes == SHAPES and list(shapes) == list(SHAPES)


def test_an_untied_head_is_a_table_of_its_own():
    config = GPTConfig(vocab_size=11, n_embd=12, tie_word_embeddings=False)
    assert parameter_shapes(config)["lm_head.weight"] == (11, 12)


def test_sinusoidal_positions_have_no_parameters():
    assert "transformer.wpe.weight" not in parameter_shapes(GPTConfig(position_embedding_type="sinusoidal"))


@given(configs)
def test_views_cover_the_vector_once_in_order(config):
    vector = np.arange(parameter_count(config))
    views = named_views(vector, config)
    assert {name: view.shape for name, view in views.items()} == parameter_shapes(config)
    np.testing.assert_array_equal(np.concatenate([view.ravel() for view in views.values()]), vector)


@given(configs)
def test_writing_into_a_view_writes_into_the_vector(config):
    vector = np.zeros(parameter_count(config))
    for view in named_views(vector, config).values():
        assert np.shares_memory(view, vector)
        view[...] = 1
    assert (vector == 1).all()


def test_a_view_cannot_be_put_in_anothers_place():
    views = named_views(np.zeros(parameter_count(CONFIG)), CONFIG)
    with pytest.raises(TypeError):
        views["transformer.ln_f.bias"] = np.ones(6)


@pytest.mark.parametrize("surplus", [-1, 1])
def test_a_vector_of_another_length_is_refused(surplus):
    with pytest.raises(ValueError):
        named_views(np.zeros(parameter_count(CONFIG) + surplus), CONFIG)


def test_a_block_has_its_own_parameters_in_the_order_that_block_takes_them():
    """Block 1 is not confused with blocks 10 and 11."""
    config = GPTConfig(vocab_size=2, n_positions=2, n_embd=6, n_layer=12, n_head=1, n_inner=5)
    views = named_views(np.arange(parameter_count(config)), config)
    block = block_views(views, 1)
    assert [view.shape for view in block] == list(BLOCK.values())
    assert all(mine is views[f"transformer.h.1.{name}"] for name, mine in zip(BLOCK, block, strict=True))


def test_gains_begin_at_one_biases_at_zero_and_matrices_small():
    views = named_views(initial_parameters(preset("small")), preset("small"))
    for name, view in views.items():
        if name.endswith(".bias"):
            assert (view == 0).all(), name
        elif ".ln_" in name:
            assert (view == 1).all(), name
        else:                                        # 0.02, and what joins the stream smaller by sqrt(2 n_layer)
            deviation = 0.02 / math.sqrt(8) if name.endswith("c_proj.weight") else 0.02
            error = 5 / math.sqrt(2 * view.size)     # five standard deviations of a standard deviation
            assert view.std() == pytest.approx(deviation, rel=error), name
            assert abs(view.mean()) < 5 * deviation / math.sqrt(view.size), name


def test_the_range_of_the_configuration_scales_all_that_is_random():
    wide, narrow = (initial_parameters(GPTConfig(vocab_size=11, n_embd=12, n_layer=1, initializer_range=r)) for r in (0.5, 0.25))
    random = (wide != 0) & (wide != 1)
    np.testing.assert_array_equal(wide[random], 2 * narrow[random])


def test_the_seed_decides_all():
    first, same, other = (initial_parameters(CONFIG, seed) for seed in (1, 1, 2))
    assert first.tobytes() == same.tobytes() and (first != other).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_dtypes_begin_with_the_same_numbers(dtype):
    parameters = initial_parameters(CONFIG, 3, dtype)
    assert parameters.dtype == dtype
    np.testing.assert_array_equal(parameters, initial_parameters(CONFIG, 3, np.float64).astype(dtype))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_a_new_model_knows_nothing_so_its_loss_is_ln_v(name, seed):
    config = preset(name)
    ids = np.random.default_rng(seed).integers(config.vocab_size, size=(2, 4, config.n_positions))
    logits, _ = gpt(ids[0], initial_parameters(config, seed), config)
    assert cross_entropy(logits, ids[1])[0] == pytest.approx(math.log(config.vocab_size), rel=0.05)


def test_matrices_and_embeddings_decay_gains_and_biases_do_not():
    decaying = {name for name, shape in SHAPES.items() if len(shape) == 2}
    assert {name for name in SHAPES if decays(name)} == decaying
    assert decays("lm_head.weight")
