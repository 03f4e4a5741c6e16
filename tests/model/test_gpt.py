"""The whole GPT: every gradient in every variant, and what its structure promises."""
import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from npgpt.checking.catalogue import GPT_VARIANTS
from npgpt.checking.model import check_model, unit_scale_parameters
from npgpt.layers.cross_entropy import IGNORED, cross_entropy
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt, loss_and_gradients
from npgpt.model.parameters import initial_parameters, named_views

CONFIG = GPTConfig(vocab_size=7, n_positions=5, n_embd=6, n_layer=2, n_head=2, n_inner=9).without_dropout()
seeds = st.integers(0, 10**6)
variants = st.sampled_from(sorted(GPT_VARIANTS)).map(lambda name: dataclasses.replace(CONFIG, **GPT_VARIANTS[name]))


def draw(config, B=2, T=5, seed=0):
    rng = np.random.default_rng(seed)
    parameters = unit_scale_parameters(config, rng)
    return rng.integers(config.vocab_size, size=(B, T)), rng.integers(config.vocab_size, size=(B, T)), parameters


@pytest.mark.parametrize("variant", GPT_VARIANTS)
def test_every_gradient_by_complex_step(variant):
    check_model(dataclasses.replace(CONFIG, **GPT_VARIANTS[variant]), length=4, methods=["complex"]).require()


def test_every_gradient_by_central_differences():
    check_model(CONFIG, length=4, methods=["central"]).require()


@settings(max_examples=5)
@given(variants, st.integers(1, 3), st.integers(2, 5), seeds)
def test_gradients_along_random_directions_of_a_larger_model(config, B, T, seed):
    large = dataclasses.replace(config, vocab_size=50, n_embd=24, n_head=3, n_inner=None)
    check_model(large, B, T, seed, methods=["complex"]).require()


def test_a_single_position_has_nothing_to_choose_from():
    """With T = 1 attention has one key: query and key get no gradient, positions past the first neither."""
    ids, targets, parameters = draw(CONFIG, B=3, T=1)
    _, gradients = loss_and_gradients(ids, targets, parameters, CONFIG)
    g = named_views(gradients, CONFIG)
    dw_q, dw_k, dw_v = np.split(g["transformer.h.0.attn.c_attn.weight"], 3, axis=1)
    assert not dw_q.any() and not dw_k.any() and dw_v.all()
    assert g["transformer.wpe.weight"][0].all() and not g["transformer.wpe.weight"][1:].any()


@given(variants, st.integers(2, 5), seeds)
def test_a_later_token_leaves_earlier_logits_bit_identical(config, T, seed):
    ids, _, parameters = draw(config, T=T, seed=seed)
    changed = ids.copy()
    changed[:, -1] = (ids[:, -1] + 1) % config.vocab_size
    before, after = gpt(ids, parameters, config)[0], gpt(changed, parameters, config)[0]
    assert (before[:, :-1] == after[:, :-1]).all() and (before[:, -1] != after[:, -1]).any()


@given(variants, st.integers(2, 4), seeds)
def test_permuting_the_batch_permutes_the_logits(config, B, seed):
    ids, _, parameters = draw(config, B=B, seed=seed)
    order = np.random.default_rng(seed).permutation(B)
    np.testing.assert_allclose(gpt(ids[order], parameters, config)[0], gpt(ids, parameters, config)[0][order], rtol=0, atol=1e-12)


@given(variants.filter(lambda config: not config.resid_pdrop), st.integers(1, 3), st.integers(1, 3), seeds)
def test_parts_of_a_batch_add_up_to_the_whole(config, first, second, seed):
    """Also where they differ in how many targets count: each part's share is its part of those."""
    ids, targets, parameters = draw(config, B=first + second, seed=seed)
    targets[0, :3] = IGNORED
    loss, gradients = loss_and_gradients(ids, targets, parameters, config)
    counted = np.count_nonzero(targets != IGNORED)
    parts = [loss_and_gradients(ids[rows], targets[rows], parameters, config,
                                share=np.count_nonzero(targets[rows] != IGNORED) / counted)
             for rows in (slice(0, first), slice(first, None))]
    assert sum(part[0] for part in parts) == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(sum(part[1] for part in parts), gradients, rtol=0, atol=1e-13 * np.abs(gradients).max())


@given(seeds)
def test_padding_with_ignored_targets_changes_nothing(seed):
    """Longer sequences whose further targets are ignored: the same loss and gradient."""
    ids, targets, parameters = draw(CONFIG, T=3, seed=seed)
    padding = np.zeros((2, 2), int)
    loss, gradients = loss_and_gradients(ids, targets, parameters, CONFIG)
    padded_loss, padded = loss_and_gradients(np.hstack([ids, padding]), np.hstack([targets, padding + IGNORED]), parameters, CONFIG)
    assert padded_loss == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(padded, gradients, rtol=0, atol=1e-13 * np.abs(gradients).max())


def test_the_tied_table_collects_the_gradients_of_both_its_uses():
    """Those of an untied model with the same numbers in both tables, added up."""
    ids, targets, parameters = draw(CONFIG)
    untied = dataclasses.replace(CONFIG, tie_word_embeddings=False)
    both = np.concatenate([parameters, named_views(parameters, CONFIG)["transformer.wte.weight"].ravel()])
    g = named_views(loss_and_gradients(ids, targets, parameters, CONFIG)[1], CONFIG)
    u = named_views(loss_and_gradients(ids, targets, both, untied)[1], untied)
    expected = u["transformer.wte.weight"] + u["lm_head.weight"]
    np.testing.assert_allclose(g["transformer.wte.weight"], expected, rtol=0, atol=1e-14 * np.abs(expected).max())


@given(variants, seeds)
def test_the_initial_loss_is_about_ln_v(config, seed):
    config = dataclasses.replace(config, vocab_size=65, n_embd=32)
    ids, targets, _ = draw(config, B=4, seed=seed)
    logits, _ = gpt(ids, initial_parameters(config, seed), config)
    assert float(cross_entropy(logits, targets)[0]) == pytest.approx(math.log(65), rel=0.05)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_the_dtype_of_the_parameters_is_that_of_everything(dtype):
    for variant in GPT_VARIANTS.values():
        config = dataclasses.replace(CONFIG, **variant)
        ids, targets, parameters = draw(config)
        logits, _ = gpt(ids, parameters.astype(dtype), config, np.random.default_rng(0))
        assert logits.dtype == dtype
        if dtype != np.complex128:
            assert loss_and_gradients(ids, targets, parameters.astype(dtype), config, np.random.default_rng(0))[1].dtype == dtype


def test_float32_agrees_with_float64_to_its_own_precision():
    ids, targets, parameters = draw(CONFIG)
    _, exact = loss_and_gradients(ids, targets, parameters, CONFIG)
    _, single = loss_and_gradients(ids, targets, parameters.astype(np.float32), CONFIG)
    np.testing.assert_allclose(single, exact, rtol=0, atol=2e-5 * np.abs(exact).max())


def test_dropout_acts_only_where_a_generator_is_given():
    dropping = dataclasses.replace(CONFIG, embd_pdrop=0.2, attn_pdrop=0.2, resid_pdrop=0.2)
    ids, _, parameters = draw(dropping)
    kept = gpt(ids, parameters, dropping)[0]
    one, again, other = (gpt(ids, parameters, dropping, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert (kept == gpt(ids, parameters, CONFIG)[0]).all()
    assert (one == again).all() and (one != other).any() and (one != kept).any()


@pytest.mark.parametrize("shape", [(5,), (2, 6), (2, 0), (1, 2, 3)])
def test_ids_that_are_no_batch_of_sequences_within_the_context_are_refused(shape):
    with pytest.raises(ValueError, match="n_positions"):
        gpt(np.zeros(shape, int), draw(CONFIG)[2], CONFIG)


def test_a_vector_of_another_length_is_refused():
    ids, _, parameters = draw(CONFIG)
    with pytest.raises(ValueError, match="parameters"):
        gpt(ids, parameters[:-1], CONFIG)
