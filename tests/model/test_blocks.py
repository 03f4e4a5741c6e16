"""Blocks, pre-LN and post-LN: two branches of a residual stream."""
import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, seeds, separate_qkv
from npgpt.checking.layer import check_layer
from npgpt.checking.model import unit_scale_parameters
from npgpt.layers.pattern import CAUSAL, bidirectional
from npgpt.model.block import block, block_backward
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import block_table, groups
from npgpt.model.post_ln_block import post_ln_block, post_ln_block_backward

CONFIG = GPTConfig(n_embd=4, n_head=2, n_inner=7, layer_norm_epsilon=0.1).without_dropout()
TABLE = block_table(CONFIG.n_embd, CONFIG.inner, 1.0, 1.0)
DROPPING = dataclasses.replace(CONFIG, resid_pdrop=0.2, attn_pdrop=0.2)
PADDED = bidirectional(np.arange(5) < np.array([[5], [2]]))
both = pytest.mark.parametrize("forward, backward", [(block, block_backward), (post_ln_block, post_ln_block_backward)],
                               ids=["pre-LN", "post-LN"])


def draw_arguments(B, T, seed=0):
    """x and the block's parameters, all of unit scale."""
    return draw(seed, (B, T, CONFIG.n_embd))[0], groups(unit_scale_parameters(TABLE, np.random.default_rng(seed)), TABLE)


def without_branches(p):
    """Parameters with which both branches give zeros."""
    attn = p.attn._replace(w_proj=np.zeros_like(p.attn.w_proj), b_proj=np.zeros_like(p.attn.b_proj))
    mlp = p.mlp._replace(w_down=np.zeros_like(p.mlp.w_down), b_down=np.zeros_like(p.mlp.b_down))
    return p._replace(attn=attn, mlp=mlp)


def textbook_layer_norm(x, gain, bias):
    return gain * (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + CONFIG.layer_norm_epsilon) + bias


def textbook_attention(x, w_qkv, b_qkv, w_proj, b_proj):
    """Causal, one sequence and one head at a time."""
    H, T, C = CONFIG.n_head, *x.shape[1:]
    D = C // H
    concatenated = np.zeros_like(x)
    for b in range(len(x)):
        q, k, v = (x[b] @ w + bias for w, bias in zip(separate_qkv(w_qkv, H), separate_qkv(b_qkv, H)))
        for own in (slice(h * D, (h + 1) * D) for h in range(H)):
            for t in range(T):
                weights = np.exp(k[:t + 1, own] @ q[t, own] / math.sqrt(D))
                concatenated[b, t, own] = weights / weights.sum() @ v[:t + 1, own]
    return concatenated @ w_proj + b_proj


def textbook_feed_forward(x, w_up, b_up, w_down, b_down):
    h = x @ w_up + b_up
    return 0.5 * h * (1 + np.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3))) @ w_down + b_down


def textbook_pre_ln(x, p):
    """Radford et al. 2019, section 2.3."""
    m = x + textbook_attention(textbook_layer_norm(x, *p.ln_1), *p.attn)
    return m + textbook_feed_forward(textbook_layer_norm(m, *p.ln_2), *p.mlp)


def textbook_post_ln(x, p):
    """Vaswani et al. 2017, section 3.1: LayerNorm(x + Sublayer(x)), twice."""
    n = textbook_layer_norm(x + textbook_attention(x, *p.attn), *p.ln_1)
    return textbook_layer_norm(n + textbook_feed_forward(n, *p.mlp), *p.ln_2)


@pytest.mark.parametrize("forward, textbook", [(block, textbook_pre_ln), (post_ln_block, textbook_post_ln)],
                         ids=["pre-LN", "post-LN"])
@given(seed=seeds)
def test_values_follow_the_papers_equations(forward, textbook, seed):
    x, p = draw_arguments(2, 4, seed)
    y, _ = forward(x, p, CONFIG)
    expected = textbook(x, p)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@both
@given(T=st.sampled_from([2, 3, 5]), activation=st.sampled_from(["gelu_new", "relu"]),
       pattern=st.sampled_from([CAUSAL, PADDED]), seed=seeds)
def test_gradients(forward, backward, T, activation, pattern, seed):
    config = dataclasses.replace(CONFIG, activation_function=activation)
    check_layer(forward, backward, *draw_arguments(2, 5 if pattern is PADDED else T, seed), config=config, pattern=pattern,
                methods=["complex"], seed=seed).require()


@both
@given(seed=seeds)
def test_gradients_with_dropout(forward, backward, seed):
    check_layer(forward, backward, *draw_arguments(2, 5, seed), config=DROPPING, rng=np.random.default_rng(seed),
                methods=["complex"], seed=seed).require()


@both
@given(T=st.integers(2, 5), seed=seeds)
def test_a_later_position_changes_earlier_ones_only_where_the_pattern_allows_it(forward, backward, T, seed):
    x, p = draw_arguments(1, T, seed)
    p.attn.w_qkv[...] *= 0.1                    # small scores, so that every key has some weight
    changed = x.copy()
    changed[0, -1, 0] += 1
    before, after = (forward(z, p, CONFIG)[0] for z in (x, changed))
    assert (before[0, :-1] == after[0, :-1]).all() and (before[0, -1] != after[0, -1]).any()
    before, after = (forward(z, p, CONFIG, bidirectional())[0] for z in (x, changed))
    assert (before != after).any(axis=-1).all()


@both
def test_without_a_generator_nothing_is_dropped(forward, backward):
    x, p = draw_arguments(2, 3)
    assert (forward(x, p, DROPPING)[0] == forward(x, p, CONFIG)[0]).all()
    assert (forward(x, p, DROPPING, rng=np.random.default_rng(0))[0] != forward(x, p, CONFIG)[0]).any()


@both
def test_both_branches_have_dropout_masks_of_their_own(forward, backward):
    """Both branches give 1 everywhere before dropout. With one mask for both, rows would have two values at most."""
    x, p = draw_arguments(4, 5)
    p = without_branches(p)
    p.attn.b_proj[...] = p.mlp.b_down[...] = p.ln_1.gain[...] = p.ln_2.gain[...] = 1
    p.ln_1.bias[...] = p.ln_2.bias[...] = 0
    config = dataclasses.replace(CONFIG, resid_pdrop=0.5)
    y, _ = forward(np.zeros_like(x), p, config, rng=np.random.default_rng(0))
    assert max(len(np.unique(row.round(6))) for row in y.reshape(-1, CONFIG.n_embd)) > 2


@both
@pytest.mark.parametrize("rate", ["resid_pdrop", "attn_pdrop"])
def test_each_dropout_rate_acts_in_its_own_place(forward, backward, rate):
    x, p = draw_arguments(20, 5)
    _, cache = forward(x, p, dataclasses.replace(CONFIG, embd_pdrop=0.3, **{rate: 0.6}), rng=np.random.default_rng(0))
    caches = {"resid_pdrop": [cache.attn_dropout, cache.mlp_dropout], "attn_pdrop": [cache.attn.attention[0].dropout]}
    assert all((one is None) == (rate != place) for place, several in caches.items() for one in several)
    for keep, scale in caches[rate]:
        assert keep.mean() == pytest.approx(0.4, abs=0.1) and scale == 1 / 0.4


def test_pre_ln_branches_that_give_zeros_leave_the_residual_stream_unchanged():
    x, p = draw_arguments(2, 3)
    y, cache = block(x, without_branches(p), CONFIG)
    dx, _ = block_backward(x, cache)
    assert (y == x).all() and (dx == x).all()


def test_post_ln_branches_that_give_zeros_leave_two_layer_norms():
    x, p = draw_arguments(2, 3)
    y, _ = post_ln_block(x, without_branches(p), CONFIG)
    np.testing.assert_allclose(y, textbook_layer_norm(textbook_layer_norm(x, *p.ln_1), *p.ln_2), rtol=0, atol=1e-12)
