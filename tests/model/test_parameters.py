"""Parameters: the table of names and shapes, the flat vector and its views, and the initialisation."""
import math

import numpy as np
import pytest
from hypothesis import given

from helpers import language_model, small_configs
from npgpt.model.block import block
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt_table
from npgpt.model.heads import language_model_head, language_model_table
from npgpt.model.parameters import (Parameter, groups, initial_parameters, map_leaves, named_leaves, named_views,
                                    parameter_count, weight)
from npgpt.model.presets import preset

CONFIG = GPTConfig(vocab_size=11, n_positions=7, n_embd=6, n_layer=2, n_head=3, n_inner=5)
TABLE = language_model_table(CONFIG)
BLOCK = {"ln_1.gain": (6,), "ln_1.bias": (6,), "attn.w_qkv": (6, 18), "attn.b_qkv": (18,), "attn.w_proj": (6, 6),
         "attn.b_proj": (6,), "ln_2.gain": (6,), "ln_2.bias": (6,), "mlp.w_up": (6, 5), "mlp.b_up": (5,),
         "mlp.w_down": (5, 6), "mlp.b_down": (6,)}
SHAPES = {"wte": (11, 6), "wpe": (7, 6), **{f"blocks.{i}.{name}": shape for i in range(2) for name, shape in BLOCK.items()},
          "ln_f.gain": (6,), "ln_f.bias": (6,)}
DECAYING = {"wte", "wpe", "attn.w_qkv", "attn.w_proj", "mlp.w_up", "mlp.w_down", "unembedding"}
RESIDUAL = ("attn.w_proj", "mlp.w_down")          # what they give is added to the residual stream



def shapes_of(table):
    return {name: row.shape for name, row in named_leaves(table)}


def in_block(name):
    """A parameter's name without the block's: blocks.0.attn.w_qkv -> attn.w_qkv"""
    return name.split(".", 2)[2] if name.startswith("blocks.") else name


def test_names_and_shapes_in_order():
    assert list(shapes_of(TABLE).items()) == list(SHAPES.items())


def test_an_untied_head_is_a_table_of_its_own():
    config = GPTConfig(vocab_size=11, n_embd=12, tie_word_embeddings=False)
    assert shapes_of(language_model_table(config))["unembedding"] == (11, 12)
    p = groups(language_model(config), language_model_table(config))
    assert language_model_head(p) is p.unembedding
    tied = groups(language_model(CONFIG), TABLE)
    assert language_model_head(tied) is tied.wte


def test_a_head_may_be_a_group_of_any_parameters():
    table = gpt_table(CONFIG, heads=((weight(6, 4, deviation=0.02), Parameter((4,))),))
    shapes = shapes_of(table)
    assert shapes == SHAPES | {"heads.0.0": (6, 4), "heads.0.1": (4,)}
    assert parameter_count(table) == parameter_count(TABLE) + 28
    w, b = groups(initial_parameters(table), table).heads[0]
    assert w.shape == (6, 4) and w.all() and not b.any()


def test_sinusoidal_positions_have_no_parameters():
    table = language_model_table(GPTConfig(position_embedding_type="sinusoidal"))
    assert "wpe" not in shapes_of(table) and groups(np.zeros(parameter_count(table), np.int8), table).wpe is None


@given(small_configs)
def test_views_cover_the_vector_once_in_order(config):
    table = language_model_table(config)
    vector = np.arange(parameter_count(table))
    views = named_views(vector, table)
    assert {name: view.shape for name, view in views.items()} == shapes_of(table)
    np.testing.assert_array_equal(np.concatenate([view.ravel() for view in views.values()]), vector)


@given(small_configs)
def test_groups_are_the_same_views_in_the_tables_structure(config):
    table = language_model_table(config)
    vector = np.zeros(parameter_count(table))
    nested = groups(vector, table)
    assert type(nested) is type(table) and len(nested.blocks) == config.n_layer
    assert shapes_of(nested) == shapes_of(table)
    views = named_views(vector, table).items()
    for number, ((name, leaf), (same_name, view)) in enumerate(zip(named_leaves(nested), views)):
        assert name == same_name and leaf.base is not None
        leaf[...] = number                                  # writing into a group writes into the vector
        assert (view == number).all()
    assert (np.diff(vector) >= 0).all() and vector[-1] == number


@pytest.mark.parametrize("surplus", [-300, -7, -1, 1, 1000])
def test_a_vector_of_another_length_is_refused_with_both_counts(surplus):
    count = parameter_count(TABLE)
    for function in (groups, named_views):
        with pytest.raises(ValueError, match=f"{count:,} parameters.* {count + surplus:,}"):
            function(np.zeros(count + surplus), TABLE)


def test_a_blocks_group_is_in_the_order_of_the_layers_arguments():
    """Block 1 is not confused with blocks 10 and 11, and the block computes with it."""
    config = GPTConfig(vocab_size=2, n_positions=2, n_embd=6, n_layer=12, n_head=1, n_inner=5)
    table = language_model_table(config)
    vector = np.arange(parameter_count(table)) / parameter_count(table)
    p = groups(vector, table).blocks[1]
    assert [(name, leaf.shape) for name, leaf in named_leaves(p)] == list(BLOCK.items())
    views = named_views(vector, table)
    assert all((leaf == views[f"blocks.1.{name}"]).all() for name, leaf in named_leaves(p))
    assert block(np.ones((1, 2, 6)), p, config)[0].shape == (1, 2, 6)


def test_map_leaves_keeps_the_structure_and_calls_in_order():
    seen = []
    mapped = map_leaves(lambda row: seen.append(row) or row.size, TABLE)
    assert seen == [row for _, row in named_leaves(TABLE)]
    assert type(mapped) is type(TABLE) and mapped.unembedding is None
    assert mapped.wte == 66 and mapped.blocks[1].attn.w_qkv == 108
    assert map_leaves(len, ((["ab"], "c"), None)) == (([2], 1), None)


def test_named_leaves_names_places_by_field_or_number_and_leaves_out_what_is_not_there():
    x, y, z = np.zeros(1), np.zeros(2), np.zeros(3)
    named = dict(named_leaves({"no": "group"}, "leaf"))
    assert named == {"leaf": {"no": "group"}}
    leaves = named_leaves([x, None, (y, z)], "p")
    assert [(name, len(leaf)) for name, leaf in leaves] == [("p.0", 1), ("p.2.0", 2), ("p.2.1", 3)]


def test_gains_start_at_1_biases_at_0_and_matrices_small():
    config = preset("small")
    views = named_views(language_model(config), language_model_table(config))
    for name, view in views.items():
        if name.endswith(".gain"):
            assert (view == 1).all(), name
        elif in_block(name) not in DECAYING:
            assert (view == 0).all(), name
        else:                                        # residual matrices smaller by sqrt(2 n_layer)
            deviation = config.initializer_range / (math.sqrt(6) if name.endswith(RESIDUAL) else 1)
            error = 5 / math.sqrt(2 * view.size)     # five standard deviations of a standard deviation
            assert view.std() == pytest.approx(deviation, rel=error), name
            assert abs(view.mean()) < 5 * deviation / math.sqrt(view.size), name


def test_initializer_range_scales_all_that_is_random():
    wide, narrow = (language_model(GPTConfig(vocab_size=11, n_embd=12, n_layer=1, initializer_range=r)) for r in (0.5, 0.25))
    random = (wide != 0) & (wide != 1)
    np.testing.assert_array_equal(wide[random], 2 * narrow[random])


def test_the_seed_decides_everything():
    first, same, other = (initial_parameters(TABLE, seed) for seed in (1, 1, 2))
    assert first.tobytes() == same.tobytes() and (first != other).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_dtypes_start_with_the_same_numbers(dtype):
    parameters = initial_parameters(TABLE, 3, dtype)
    assert parameters.dtype == dtype
    np.testing.assert_array_equal(parameters, initial_parameters(TABLE, 3, np.float64).astype(dtype))


@given(small_configs)
def test_matrices_and_tables_decay_gains_and_biases_do_not(config):
    for name, row in named_leaves(language_model_table(config)):
        assert row.decays == (in_block(name) in DECAYING), name
