"""Cross-attention: the positions of one sequence attend to those of another."""
import math

import numpy as np
from hypothesis import given, strategies as st

from helpers import draw, require_gradients, seeds
from npgpt.layers.cross_attention import (
    attend_to_memory, attend_to_memory_backward, cross_attention, cross_attention_backward, memory_keys_values,
    memory_keys_values_backward)

B, T, S, H, D = 3, 4, 5, 2, 3
C = H * D
sizes = st.integers(1, 3)
several = st.integers(2, 4)
lengths = st.lists(st.integers(1, S), min_size=B, max_size=B)


def draw_arguments(seed, B=B, T=T, S=S, H=H, D=D):
    """x, memory, w_q, b_q, w_kv, b_kv, w_proj, b_proj"""
    C = H * D
    return draw(seed, (B, T, C), (B, S, C), (C, C), (C,), (C, 2 * C), (2 * C,), (C, C), (C,))


def padding_mask(lengths, S=S):
    """(B, S), True for the first positions of every memory."""
    return np.arange(S) < np.array(lengths)[:, None]


def plain_cross_attention(x, memory, w_q, b_q, w_kv, b_kv, w_proj, b_proj, n_head):
    """Of one sequence (T, C) over one memory (S, C), head by head and query by query."""
    D = x.shape[-1] // n_head
    heads = np.empty((len(x), n_head, D))
    for h in range(n_head):
        q = x @ w_q[:, h * D:(h + 1) * D] + b_q[h * D:(h + 1) * D]
        k_columns = slice(2 * h * D, (2 * h + 1) * D)
        v_columns = slice((2 * h + 1) * D, (2 * h + 2) * D)
        k, v = (memory @ w_kv[:, own] + b_kv[own] for own in (k_columns, v_columns))
        for t in range(len(x)):
            weights = np.array([math.exp(q[t] @ key / math.sqrt(D)) for key in k])
            heads[t, h] = weights @ v / weights.sum()
    return heads.reshape(len(x), -1) @ w_proj + b_proj


@given(sizes, sizes, sizes, sizes, sizes, seeds)
def test_each_head_takes_its_queries_from_x_and_its_keys_and_values_from_the_memory(B, T, S, H, D, seed):
    x, memory, *parameters = draw_arguments(seed, B, T, S, H, D)
    y, _ = cross_attention(x, memory, *parameters, n_head=H)
    expected = [plain_cross_attention(*rows, *parameters, n_head=H) for rows in zip(x, memory)]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-13 * np.abs(y).max())


@given(sizes, several, several, sizes, several, seeds)
def test_gradients(B, T, S, H, D, seed):
    """With scores so small that no weight is close to 1: the other weights' gradients would have lost their digits."""
    arguments = [0.5 * argument for argument in draw_arguments(seed, B, T, S, H, D)]
    require_gradients(cross_attention, cross_attention_backward, *arguments, n_head=H, seed=seed)


@given(lengths, seeds)
def test_gradients_under_a_padding_mask(lengths, seed):
    lengths[0] = S                          # one memory has keys to choose from, or all gradients of q and k are zero
    require_gradients(cross_attention, cross_attention_backward, *draw_arguments(seed), n_head=H,
                      mask=padding_mask(lengths), seed=seed)


@given(seeds)
def test_gradients_with_dropout(seed):
    require_gradients(cross_attention, cross_attention_backward, *draw_arguments(seed), n_head=H, p=0.1,
                      rng=np.random.default_rng(seed), seed=seed)


@given(seeds)
def test_gradients_of_the_two_halves(seed):
    x, memory, w_q, b_q, w_kv, b_kv, w_proj, b_proj = draw_arguments(seed)
    keys_values, = draw(seed, (2, B, H, S, D))
    require_gradients(memory_keys_values, memory_keys_values_backward, memory, w_kv, b_kv, n_head=H, seed=seed)
    require_gradients(attend_to_memory, attend_to_memory_backward, x, keys_values, w_q, b_q, w_proj, b_proj, seed=seed)


@given(lengths, seeds)
def test_a_padded_memory_has_the_outputs_and_gradients_that_it_has_alone(lengths, seed):
    x, memory, *parameters = draw_arguments(seed)
    dy, = draw(seed + 1, x.shape)
    memory[~padding_mask(lengths)] = 1e3                                      # whatever stands in the padding
    y, cache = cross_attention(x, memory, *parameters, n_head=H, mask=padding_mask(lengths))
    dx, dmemory, *gradients = cross_attention_backward(dy, cache)
    assert not dmemory[~padding_mask(lengths)].any()
    sums = [0] * len(gradients)
    for b, length in enumerate(lengths):
        alone, alone_cache = cross_attention(x[b:b + 1], memory[b:b + 1, :length], *parameters, n_head=H)
        dx_alone, dmemory_alone, *gradients_alone = cross_attention_backward(dy[b:b + 1], alone_cache)
        np.testing.assert_allclose(y[b], alone[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(dx[b], dx_alone[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(dmemory[b, :length], dmemory_alone[0], rtol=0, atol=1e-12)
        sums = [total + d for total, d in zip(sums, gradients_alone)]
    for d, total in zip(gradients, sums):
        np.testing.assert_allclose(d, total, rtol=0, atol=1e-12)


def test_an_empty_memory_leaves_the_bias():
    x, memory, *parameters = draw_arguments(0)
    y, cache = cross_attention(x, memory, *parameters, n_head=H, mask=padding_mask([S, 0, 2]))
    assert (y[1] == parameters[-1]).all()
    assert all(np.isfinite(d).all() for d in cross_attention_backward(np.ones_like(y), cache))


@given(lengths, seeds)
def test_the_keys_and_values_of_a_memory_are_computed_once_and_attended_to_position_by_position(lengths, seed):
    x, memory, w_q, b_q, w_kv, b_kv, w_proj, b_proj = draw_arguments(seed)
    mask = padding_mask(lengths)
    whole, _ = cross_attention(x, memory, w_q, b_q, w_kv, b_kv, w_proj, b_proj, n_head=H, mask=mask)
    keys_values, _ = memory_keys_values(memory, w_kv, b_kv, H)
    assert keys_values.shape == (2, B, H, S, D)
    for t in range(T):
        y, _ = attend_to_memory(x[:, t:t + 1], keys_values, w_q, b_q, w_proj, b_proj, mask=mask)
        np.testing.assert_allclose(y[:, 0], whole[:, t], rtol=0, atol=1e-13 * np.abs(whole).max())


@given(seeds)
def test_without_a_generator_there_is_no_dropout(seed):
    arguments = draw_arguments(seed)
    y, _ = cross_attention(*arguments, n_head=H)
    assert (cross_attention(*arguments, n_head=H, p=0.5)[0] == y).all()
    assert (cross_attention(*arguments, n_head=H, p=0.5, rng=np.random.default_rng(seed))[0] != y).any()
