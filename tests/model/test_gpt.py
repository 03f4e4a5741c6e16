"""The GPT's body: every gradient, and what its structure guarantees."""
import dataclasses
import weakref

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, draw_tokens, seeds, separate_qkv
from npgpt.checking.catalogue import GPT_VARIANTS
from npgpt.checking.layer import check_layer
from npgpt.checking.model import unit_scale_parameters
from npgpt.layers.pattern import CAUSAL, bidirectional
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt, gpt_backward, gpt_table
from npgpt.model.parameters import groups, map_leaves

CONFIG = GPTConfig(vocab_size=7, n_positions=5, n_embd=6, n_layer=2, n_head=2, n_inner=9).without_dropout()
variants = st.sampled_from(sorted(GPT_VARIANTS)).map(lambda name: dataclasses.replace(CONFIG, **GPT_VARIANTS[name]))
EVERYWHERE = [bidirectional()] * CONFIG.n_layer


def draw_arguments(config=CONFIG, B=2, T=5, seed=0, dtype=np.float64):
    """Ids, and the parameters in groups."""
    table = gpt_table(config)
    parameters = unit_scale_parameters(table, np.random.default_rng(seed)).astype(dtype)
    return draw_tokens(config, B, T, seed).ids, groups(parameters, table)


def gpt_layer(ids, p, config, **settings):
    """gpt as a layer, so that check_layer can check it."""
    y, cache = gpt(ids, p, config, **settings)
    return y, (cache, p)


def gpt_layer_backward(dy, cache):
    cache, p = cache
    g = map_leaves(lambda leaf: np.full(leaf.shape, np.nan, dy.dtype), p)
    ids, rows = gpt_backward(dy, cache._replace(blocks=list(cache.blocks)), g)       # it empties the list
    g.wte[...] = 0
    g.wte[ids] = rows
    return g


@pytest.mark.parametrize("patterns", [None, [CAUSAL, bidirectional(np.array([[True] * 4, [True, True, False, False]]))]],
                         ids=["causal", "causal, then padded"])
def test_every_gradient(patterns):
    """Those of the variants are checked with a head and a loss, by the tests of language modelling."""
    check_layer(gpt_layer, gpt_layer_backward, *draw_arguments(T=4), config=CONFIG, patterns=patterns,
                methods=["complex"]).require()


def test_the_backward_pass_frees_the_caches_of_the_blocks():
    ids, p = draw_arguments()
    y, cache = gpt(ids, p, CONFIG)
    held = [weakref.ref(block.attn.attention[0].weights) for block in cache.blocks]
    gpt_backward(y, cache, map_leaves(np.zeros_like, p))
    assert not cache.blocks and not any(array() is not None for array in held)


def test_without_keep_the_hidden_states_are_the_same_and_no_block_keeps_its_cache():
    ids, p = draw_arguments()
    (y, cache), (kept, _) = gpt(ids, p, CONFIG, keep=False), gpt(ids, p, CONFIG)
    assert (y == kept).all() and not cache.blocks


def test_a_single_position_attends_to_itself_alone():
    """With T = 1 attention has one key: queries and keys get no gradient, positions after the first neither."""
    ids, p = draw_arguments(B=3, T=1)
    y, cache = gpt_layer(ids, p, CONFIG)
    g = gpt_layer_backward(draw(0, y.shape)[0], cache)
    dw_q, dw_k, dw_v = separate_qkv(g.blocks[0].attn.w_qkv, CONFIG.n_head)
    assert not dw_q.any() and not dw_k.any() and dw_v.all()
    assert g.wpe[0].all() and not g.wpe[1:].any()


def hidden_states_before_and_after_a_change_of_the_last_token(config, T, seed, **settings):
    ids, p = draw_arguments(config, T=T, seed=seed)
    changed = ids.copy()
    changed[:, -1] = (ids[:, -1] + 1) % config.vocab_size
    return gpt(ids, p, config, **settings)[0], gpt(changed, p, config, **settings)[0]


@given(variants, st.integers(2, 5), seeds)
def test_a_later_token_leaves_earlier_hidden_states_bit_identical(config, T, seed):
    before, after = hidden_states_before_and_after_a_change_of_the_last_token(config, T, seed)
    assert (before[:, :-1] == after[:, :-1]).all() and (before[:, -1] != after[:, -1]).any()


@given(st.integers(2, 5), seeds)
def test_with_bidirectional_attention_every_position_sees_later_tokens(T, seed):
    before, after = hidden_states_before_and_after_a_change_of_the_last_token(CONFIG, T, seed, patterns=EVERYWHERE)
    assert (before != after).any(axis=-1).all()


@given(st.integers(1, 4), seeds)
def test_a_padded_sequence_has_the_hidden_states_that_it_has_alone(length, seed):
    ids, p = draw_arguments(B=2, T=5, seed=seed)
    mask = np.arange(5) < np.array([[5], [length]])
    y, _ = gpt(ids, p, CONFIG, patterns=[bidirectional(mask)] * CONFIG.n_layer)
    alone, _ = gpt(ids[1:, :length], p, CONFIG, patterns=EVERYWHERE)
    np.testing.assert_allclose(y[1:, :length], alone, rtol=0, atol=1e-12)


def test_there_must_be_a_pattern_for_every_block():
    with pytest.raises(ValueError):
        gpt(*draw_arguments(), CONFIG, patterns=[CAUSAL])


@given(variants, seeds)
def test_positions_may_be_given_for_all_sequences_or_for_each(config, seed):
    ids, p = draw_arguments(config, B=2, T=3, seed=seed)
    shifted = np.array([[0, 1, 2], [2, 3, 4]])
    y, _ = gpt(ids, p, config, positions=shifted)
    for b in range(2):
        np.testing.assert_allclose(y[b:b + 1], gpt(ids[b:b + 1], p, config, positions=shifted[b])[0], rtol=0, atol=1e-12)
    assert (gpt(ids, p, config, positions=np.arange(3))[0] == gpt(ids, p, config)[0]).all()
    assert (y[0] != gpt(ids, p, config, positions=shifted[1])[0][0]).any()


@given(variants, st.integers(2, 4), seeds)
def test_permuting_the_batch_permutes_the_hidden_states(config, B, seed):
    ids, p = draw_arguments(config, B=B, seed=seed)
    order = np.random.default_rng(seed).permutation(B)
    np.testing.assert_allclose(gpt(ids[order], p, config)[0], gpt(ids, p, config)[0][order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("variant", GPT_VARIANTS)
def test_the_dtype_of_the_parameters_is_that_of_the_hidden_states(variant, dtype):
    config = dataclasses.replace(CONFIG, **GPT_VARIANTS[variant])
    y, _ = gpt(*draw_arguments(config, dtype=dtype), config, np.random.default_rng(0))
    assert y.dtype == dtype


def test_dropout_acts_only_where_a_generator_is_given():
    dropping = dataclasses.replace(CONFIG, embd_pdrop=0.2, attn_pdrop=0.2, resid_pdrop=0.2)
    arguments = draw_arguments(dropping)
    kept = gpt(*arguments, dropping)[0]
    one, again, other = (gpt(*arguments, dropping, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert (kept == gpt(*arguments, CONFIG)[0]).all()
    assert (one == again).all() and (one != other).any() and (one != kept).any()


def test_each_dropout_rate_acts_in_its_own_place():
    config = dataclasses.replace(CONFIG, embd_pdrop=0.1, attn_pdrop=0.3, resid_pdrop=0.6)
    ids, p = draw_arguments(config, B=40)
    _, cache = gpt(ids, p, config, np.random.default_rng(0))
    places = [(0.1, cache.dropout)]
    for block in cache.blocks:
        places += [(0.3, block.attn.attention[0].dropout), (0.6, block.attn_dropout), (0.6, block.mlp_dropout)]
    for rate, (keep, scale) in places:
        assert (~keep).mean() == pytest.approx(rate, abs=0.05) and scale == 1 / (1 - rate)
    assert len({keep.tobytes() for _, (keep, _) in places}) == len(places)                  # each has a mask of its own


@pytest.mark.parametrize("shape", [(5,), (2, 6), (2, 0), (1, 2, 3)])
def test_ids_of_another_shape_or_longer_than_the_context_are_refused(shape):
    with pytest.raises(ValueError, match="n_positions"):
        gpt(np.zeros(shape, int), draw_arguments()[1], CONFIG)
