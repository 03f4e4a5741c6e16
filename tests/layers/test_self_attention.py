"""Causal self-attention: heads side by side, each looking back only."""
import numpy as np
from hypothesis import given, strategies as st

from npgpt.checking.layer import check_layer
from npgpt.layers.attention import attention
from npgpt.layers.self_attention import (causal_self_attention, causal_self_attention_backward, merge_heads,
                                         split_heads)

sizes = st.integers(1, 4)
several = st.integers(2, 5)
seeds = st.integers(0, 10**6)


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


@given(sizes, sizes, sizes, sizes)
def test_heads_are_split_by_channels_and_merged_again(B, T, H, D):
    x = np.arange(B * T * 3 * H * D).reshape(B, T, 3 * H * D)
    q, k, v = split_heads(x, H)
    for b, t, h, d in np.ndindex(B, T, H, D):
        assert [z[b, h, t, d] for z in (q, k, v)] == [x[b, t, part * H * D + h * D + d] for part in range(3)]
    assert (np.concatenate([merge_heads(z) for z in (q, k, v)], axis=-1) == x).all()


def self_attention_arguments(B, T, H, D, seed):
    C = H * D
    return draw(seed, (B, T, C), (C, 3 * C), (3 * C,), (C, C), (C,))


@given(st.integers(1, 2), st.integers(2, 4), st.integers(1, 3), st.integers(2, 3), seeds)
def test_gradients_of_causal_self_attention(B, T, H, D, seed):
    check_layer(causal_self_attention, causal_self_attention_backward, *self_attention_arguments(B, T, H, D, seed),
                n_head=H, seed=seed).require()


@given(st.integers(3, 4), seeds)
def test_gradients_of_causal_self_attention_with_dropout(T, seed):
    """p is small, so that no draw drops all that a gradient flows through."""
    check_layer(causal_self_attention, causal_self_attention_backward, *self_attention_arguments(1, T, 2, 2, seed),
                n_head=2, p=0.1, rng=np.random.default_rng(seed), seed=seed).require()


def test_each_head_attends_by_itself():
    x, w_qkv, b_qkv, w_proj, b_proj = self_attention_arguments(1, 5, 2, 3, seed=0)
    y, _ = causal_self_attention(x, w_qkv, b_qkv, w_proj, b_proj, n_head=2)
    q, k, v = np.split(x[0] @ w_qkv + b_qkv, 3, axis=-1)
    heads = [attention(q[:, part], k[:, part], v[:, part], causal=True)[0] for part in (slice(0, 3), slice(3, 6))]
    np.testing.assert_allclose(y[0], np.concatenate(heads, axis=-1) @ w_proj + b_proj, rtol=1e-12)


@given(several, seeds)
def test_the_key_bias_has_no_gradient(T, seed):
    """It shifts all scores of a query alike, and softmax does not see a shift."""
    x, w_qkv, b_qkv, w_proj, b_proj = self_attention_arguments(2, T, 2, 3, seed)
    y, cache = causal_self_attention(x, w_qkv, b_qkv, w_proj, b_proj, n_head=2)
    db_qkv = causal_self_attention_backward(draw(seed, y.shape)[0], cache)[2]
    db_q, db_k, db_v = np.split(db_qkv, 3)
    assert np.abs(db_k).max() < 1e-13 * np.abs(db_v).max() and db_v.all()


@given(several, seeds)
def test_a_later_token_leaves_earlier_outputs_bit_identical(T, seed):
    x, *parameters = self_attention_arguments(1, T, 2, 3, seed)
    changed = x.copy()
    changed[0, -1] += 1
    before, after = (causal_self_attention(z, *parameters, n_head=2)[0] for z in (x, changed))
    assert (before[0, :-1] == after[0, :-1]).all() and (before[0, -1] != after[0, -1]).any()
