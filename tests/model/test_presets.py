"""Presets: the published sizes to the last parameter, and small ones."""
import math
import tracemalloc

import pytest

from npgpt.errors import InputError
from npgpt.model.heads import language_model_table, model_table
from npgpt.model.parameters import parameter_count
from npgpt.model.presets import BERT_PRESETS, PRESETS, TRANSLATION_PRESETS, preset


@pytest.mark.parametrize("name, count", [("gpt2", 124_439_808), ("gpt2-medium", 354_823_168),
                                         ("gpt2-large", 774_030_080), ("gpt2-xl", 1_557_611_200),
                                         ("gpt1", 116_534_784), ("gpt3-125m", 125_198_592)])
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


@pytest.mark.parametrize("name, billions, n_layer, d_head", [
    ("gpt3-125m", 0.125, 12, 64), ("gpt3-350m", 0.35, 24, 64), ("gpt3-760m", 0.76, 24, 96), ("gpt3-1.3b", 1.3, 24, 128),
    ("gpt3-2.7b", 2.65, 32, 80), ("gpt3-6.7b", 6.65, 32, 128), ("gpt3-13b", 12.85, 40, 128), ("gpt3-175b", 174.6, 96, 128)])
def test_gpt3_has_the_shapes_of_its_paper_and_their_numbers_of_parameters(name, billions, n_layer, d_head):
    config = preset(name)
    assert (config.n_layer, config.n_embd // config.n_head, config.n_positions) == (n_layer, d_head, 2048)
    assert config.inner == 4 * config.n_embd and config.window_size == 256 and not config.qkv_bias
    assert parameter_count(language_model_table(config)) == pytest.approx(billions * 1e9, rel=0.02)


def test_gpt1_has_post_ln_blocks_and_the_published_shape():
    config = preset("gpt1")
    assert (config.n_layer, config.n_head, config.n_embd, config.n_positions, config.vocab_size) == (12, 12, 768, 512, 40478)
    assert not config.pre_layer_norm and config.resid_pdrop == config.embd_pdrop == config.attn_pdrop == 0.1


@pytest.mark.parametrize("name, n_layer, n_head, n_embd, count", [("bert-base", 12, 12, 768, 109_514_298),
                                                                  ("bert-large", 24, 16, 1024, 335_174_458)])
def test_bert_has_the_shape_of_its_paper_and_as_many_parameters_as_in_transformers(name, n_layer, n_head, n_embd, count):
    config = preset(name)
    assert (config.n_layer, config.n_head, config.n_embd, config.inner) == (n_layer, n_head, n_embd, 4 * n_embd)
    assert (config.vocab_size, config.n_positions, config.type_vocab_size, config.pad_token_id) == (30522, 512, 2, 0)
    assert (config.activation_function, config.layer_norm_epsilon) == ("gelu", 1e-12)
    assert config.resid_pdrop == config.attn_pdrop == 0.1 and parameter_count(model_table(config)) == count


@pytest.mark.parametrize("name, n_head, n_embd, dropout, millions", [("transformer-base", 8, 512, 0.1, 65),
                                                                     ("transformer-big", 16, 1024, 0.3, 213)])
def test_the_first_transformers_have_the_shapes_of_their_paper(name, n_head, n_embd, dropout, millions):
    """Vaswani et al. 2017, table 3 and section 5.4: dropout acts on the branches and on the embeddings."""
    config = preset(name)
    assert (config.n_layer, config.decoder_layers, config.n_head, config.n_embd) == (6, 6, n_head, n_embd)
    assert (config.vocab_size, config.inner, config.activation_function) == (37000, 4 * n_embd, "relu")
    assert (config.resid_pdrop, config.attn_pdrop) == (dropout, 0.0) and config.n_positions == 512
    assert parameter_count(model_table(config)) == pytest.approx(millions * 1e6, rel=0.04)


def test_the_small_siblings_differ_from_small_only_as_their_models_do_from_gpt2():
    assert preset("gpt1-small") == preset("small", pre_layer_norm=False)
    assert preset("gpt3-small") == preset("small", window_size=16, qkv_bias=False)


@pytest.mark.parametrize("name", ["tiny", "small", "gpt1-small", "gpt3-small", "bert-small", "transformer-small"])
def test_small_ones_have_fewer_than_a_million_parameters_and_no_dropout(name):
    config = preset(name)
    assert parameter_count(model_table(config)) < 10**6
    assert config == config.without_dropout()


def test_some_fields_may_be_changed():
    assert preset("small", n_layer=2).n_layer == 2 and preset("small", n_layer=2).n_embd == preset("small").n_embd
    with pytest.raises(InputError, match="n_head"):
        preset("small", n_head=3)


def test_an_unknown_name_is_refused_with_a_list_of_the_known_ones():
    with pytest.raises(InputError, match="'gpt3'") as error:
        preset("gpt3")
    assert all(name in str(error.value) for name in [*PRESETS, *BERT_PRESETS, *TRANSLATION_PRESETS])


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
