"""Self-attention: heads side by side, causal unless another pattern is given."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, require_gradients, seeds, separate_qkv
from npgpt.layers.attention import attention
from npgpt.layers.pattern import bidirectional
from npgpt.layers.self_attention import merge_heads, self_attention, self_attention_backward, split_heads

sizes = st.integers(1, 4)
several = st.integers(2, 5)


def draw_arguments(B, T, H, D, seed=0):
    C = H * D
    return draw(seed, (B, T, C), (C, 3 * C), (3 * C,), (C, C), (C,))


@given(sizes, sizes, sizes, sizes)
def test_heads_are_split_by_channels_and_merged_again(B, T, H, D):
    x = np.arange(B * T * H * D).reshape(B, T, H * D)
    heads = split_heads(x, H)
    for b, t, h, d in np.ndindex(B, T, H, D):
        assert heads[b, h, t, d] == x[b, t, h * D + d]
    assert (merge_heads(heads) == x).all()


@given(st.integers(1, 2), st.integers(2, 4), st.integers(1, 3), st.integers(2, 3), seeds)
def test_gradients(B, T, H, D, seed):
    require_gradients(self_attention, self_attention_backward, *draw_arguments(B, T, H, D, seed), n_head=H, seed=seed)


@given(st.integers(3, 4), seeds)
def test_gradients_with_dropout(T, seed):
    """p is small, so that dropout never makes a gradient zero."""
    require_gradients(self_attention, self_attention_backward, *draw_arguments(1, T, 2, 2, seed), n_head=2, p=0.1,
                      rng=np.random.default_rng(seed), seed=seed)


@pytest.mark.parametrize("settings, causal", [({}, True), ({"pattern": bidirectional()}, False)])
def test_each_head_attends_by_itself_as_the_pattern_says(settings, causal):
    """Head by head, each with its own channels of q, k and v."""
    x, w_qkv, b_qkv, w_proj, b_proj = draw_arguments(B=1, T=5, H=2, D=3)
    y, _ = self_attention(x, w_qkv, b_qkv, w_proj, b_proj, n_head=2, **settings)
    q, k, v = (x[0] @ w + b for w, b in zip(separate_qkv(w_qkv, 2), separate_qkv(b_qkv, 2)))
    heads = [attention(q[:, own], k[:, own], v[:, own], causal=causal)[0] for own in (slice(0, 3), slice(3, 6))]
    np.testing.assert_allclose(y[0], np.concatenate(heads, axis=-1) @ w_proj + b_proj, rtol=1e-12)


def test_dropout_acts_on_the_attention_weights_with_probability_p_where_a_generator_is_given():
    arguments = draw_arguments(B=4, T=20, H=2, D=3)
    _, cache = self_attention(*arguments, n_head=2, p=0.3, rng=np.random.default_rng(0))
    keep, scale = cache.attention[0].dropout
    assert (~keep).mean() == pytest.approx(0.3, abs=0.03) and scale == 1 / 0.7
    assert self_attention(*arguments, n_head=2, p=0.3)[1].attention[0].dropout is None


@given(several, seeds)
def test_the_bias_of_the_keys_has_no_gradient(T, seed):
    """It adds the same to all scores of a query, which softmax ignores."""
    arguments = draw_arguments(2, T, 2, 3, seed)
    y, cache = self_attention(*arguments, n_head=2)
    dy, = draw(seed, y.shape)
    db_q, db_k, db_v = separate_qkv(self_attention_backward(dy, cache)[2], 2)
    assert np.abs(db_k).max() < 1e-13 * np.abs(db_v).max() and db_q.all() and db_v.all()


@given(several, seeds)
def test_a_later_token_leaves_earlier_outputs_bit_identical(T, seed):
    x, *parameters = draw_arguments(1, T, 2, 3, seed)
    changed = x.copy()
    changed[0, -1] += 1
    before, after = (self_attention(z, *parameters, n_head=2)[0] for z in (x, changed))
    assert (before[0, :-1] == after[0, :-1]).all() and (before[0, -1] != after[0, -1]).any()
