"""Presets: GPT-2's own sizes to the last parameter, and small ones."""
import math
import tracemalloc

import pytest

from npgpt.errors import InputError
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import parameter_count
from npgpt.model.presets import PRESETS, preset


@pytest.mark.parametrize("name, count", [("gpt2", 124_439_808), ("gpt2-medium", 354_823_168),
                                         ("gpt2-large", 774_030_080), ("gpt2-xl", 1_557_611_200)])
def test_the_published_sizes_are_counted_exactly_and_nothing_is_allocated(name, count):
    tracemalloc.start()
    try:
        assert parameter_count(language_model_table(preset(name))) == count
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name, n_layer, n_head, n_embd", [("gpt2", 12, 12, 768), ("gpt2-medium", 24, 16, 1024),
                                                           ("gpt2-large", 36, 20, 1280), ("gpt2-xl", 48, 25, 1600)])
def test_gpt2_has_the_published_shape(name, n_layer, n_head, n_embd):
    config = preset(name)
    assert (config.n_layer, config.n_head, config.n_embd) == (n_layer, n_head, n_embd)
    assert (config.vocab_size, config.n_positions, config.inner) == (50257, 1024, 4 * n_embd)
    assert (config.bos_token_id, config.eos_token_id) == (50256, 50256)


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_small_ones_have_fewer_than_a_million_parameters_and_no_dropout(name):
    config = preset(name)
    assert parameter_count(language_model_table(config)) < 10**6
    assert config == config.without_dropout()


def test_some_fields_may_be_changed():
    assert preset("small", n_layer=2).n_layer == 2 and preset("small", n_layer=2).n_embd == preset("small").n_embd
    with pytest.raises(InputError, match="n_head"):
        preset("small", n_head=3)


def test_an_unknown_name_is_refused_with_a_list_of_the_known_ones():
    with pytest.raises(InputError, match="'gpt3'") as error:
        preset("gpt3")
    assert all(name in str(error.value) for name in PRESETS)


@pytest.mark.parametrize("name", ["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"])
def test_gpt2_starts_with_its_own_standard_deviation(name):
    assert preset(name).initializer_range == 0.02


@pytest.mark.parametrize("name", ["tiny", "small", "medium", "gpt2"])
@pytest.mark.parametrize("n_embd", [12, 96, 384, 756])
def test_narrow_models_start_so_that_products_with_normalised_vectors_have_the_same_variance(name, n_embd):
    config = preset(name, n_embd=n_embd, n_head=3)
    assert config.initializer_range == pytest.approx(0.8 / math.sqrt(n_embd), abs=5e-5)


def test_a_standard_deviation_that_is_given_is_kept():
    assert preset("small", initializer_range=0.05).initializer_range == 0.05
