"""The body of a BERT and its masked-language-model head: what their settings do."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, seeds
from npgpt.checking.catalogue import SMALL_BERT
from npgpt.checking.model import unit_scale_parameters
from npgpt.layers.feed_forward import ACTIVATIONS
from npgpt.layers.layer_norm import layer_norm
from npgpt.layers.linear import linear
from npgpt.model.bert import bert, bert_table, embeddings
from npgpt.model.masked_head import masked_head
from npgpt.model.parameters import groups

CONFIG, TABLE = SMALL_BERT, bert_table(SMALL_BERT)
IDS = np.array([[3, 1, 4, 1], [5, 2, 6, 3]])


def draw_model(seed=0):
    return groups(unit_scale_parameters(TABLE, np.random.default_rng(seed)), TABLE)


@given(st.sampled_from([1e-12, 0.1]), seeds)
def test_the_embeddings_of_tokens_positions_and_segments_are_added_and_normalised(eps, seed):
    p, segments = draw_model(seed).embeddings, np.array([[0, 0, 1, 2]] * 2)
    y, _ = embeddings(IDS, p, dataclasses.replace(CONFIG, layer_norm_epsilon=eps), segments=segments)
    expected, _ = layer_norm(p.wte[IDS] + p.wpe[:4] + p.wse[segments], *p.ln, eps)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)


@given(st.sampled_from([1e-12, 0.1]), st.sampled_from([*ACTIVATIONS]), seeds)
def test_the_head_has_the_activation_and_the_epsilon_of_the_configuration(eps, activation, seed):
    (x,), p = draw(seed, (2, 3, CONFIG.n_embd)), draw_model(seed)
    config = dataclasses.replace(CONFIG, layer_norm_epsilon=eps, activation_function=activation)
    logits, _ = masked_head(x, p.head, p.embeddings.wte, config)
    a, _ = ACTIVATIONS[activation][0](linear(x, p.head.w, p.head.b)[0])
    expected = layer_norm(a, *p.head.ln, eps)[0] @ p.embeddings.wte.T + p.head.bias
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("rate", ["resid_pdrop", "attn_pdrop"])
def test_the_embeddings_have_the_dropout_of_the_residual_stream(rate):
    config, p, ids = dataclasses.replace(CONFIG, **{rate: 0.6}), draw_model(), np.tile(IDS, (20, 1))
    _, cache = bert(ids, p, config, np.random.default_rng(0))
    dropped = cache.embeddings.dropout
    assert (dropped is None) == (rate == "attn_pdrop")
    if dropped:
        keep, scale = dropped
        assert keep.mean() == pytest.approx(0.4, abs=0.1) and scale == 1 / 0.4
    assert (bert(ids, p, config)[0] == bert(ids, p, CONFIG)[0]).all()                  # without a generator


def test_a_mask_that_is_given_takes_the_place_of_that_of_the_pad_token():
    """Token 3 stands for padding in one call, and in the other for itself."""
    p, pad = draw_model(), dataclasses.replace(CONFIG, pad_token_id=3)
    everything = np.ones(IDS.shape, bool)
    by_token, _ = bert(IDS, p, pad)
    np.testing.assert_array_equal(bert(IDS, p, CONFIG, mask=IDS != 3)[0], by_token)
    np.testing.assert_array_equal(bert(IDS, p, pad, mask=everything)[0], bert(IDS, p, CONFIG)[0])
    assert (by_token != bert(IDS, p, CONFIG)[0]).any()


def test_the_caches_of_all_blocks_are_kept_unless_told():
    p = draw_model()
    assert [len(bert(IDS, p, CONFIG, **settings)[1].blocks) for settings in ({}, {"keep": False})] == [2, 0]
