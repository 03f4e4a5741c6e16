"""A block: two branches off the residual stream."""
import dataclasses

import numpy as np
from hypothesis import given, strategies as st

from npgpt.checking.layer import check_layer
from npgpt.layers.self_attention import causal_self_attention
from npgpt.layers.feed_forward import feed_forward
from npgpt.layers.layer_norm import layer_norm
from npgpt.model.block import block, block_backward
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import block_shapes

CONFIG = GPTConfig(vocab_size=5, n_positions=8, n_embd=6, n_layer=1, n_head=2, n_inner=7).without_dropout()
seeds = st.integers(0, 10**6)


def draw(B, T, seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in ((B, T, 6), *block_shapes(6, 7).values())]


@given(st.integers(1, 2), st.integers(2, 4), st.sampled_from(["gelu_new", "relu"]), seeds)
def test_gradients(B, T, activation, seed):
    config = dataclasses.replace(CONFIG, activation_function=activation)
    check_layer(block, block_backward, *draw(B, T, seed), config=config, methods=["complex"], seed=seed).require()


@given(seeds)
def test_gradients_with_dropout(seed):
    config = dataclasses.replace(CONFIG, resid_pdrop=0.2, attn_pdrop=0.2)
    check_layer(block, block_backward, *draw(2, 4, seed), config=config, rng=np.random.default_rng(seed),
                methods=["complex"], seed=seed).require()


@given(seeds)
def test_each_branch_reads_a_normalised_stream_and_adds_to_it(seed):
    x, gain_1, bias_1, w_qkv, b_qkv, w_proj, b_proj, gain_2, bias_2, *mlp = draw(2, 3, seed)
    m = x + causal_self_attention(layer_norm(x, gain_1, bias_1)[0], w_qkv, b_qkv, w_proj, b_proj, n_head=2)[0]
    y = m + feed_forward(layer_norm(m, gain_2, bias_2)[0], *mlp)[0]
    result, _ = block(x, gain_1, bias_1, w_qkv, b_qkv, w_proj, b_proj, gain_2, bias_2, *mlp, CONFIG)
    np.testing.assert_allclose(result, y, rtol=1e-13)


def test_branches_that_give_nothing_leave_the_stream_alone():
    x, *parameters = draw(2, 3, seed=0)
    parameters[4:6] = [np.zeros_like(p) for p in parameters[4:6]]          # w_proj, b_proj
    parameters[10:12] = [np.zeros_like(p) for p in parameters[10:12]]      # w_down, b_down
    y, cache = block(x, *parameters, CONFIG)
    dx, *_ = block_backward(x, cache)
    assert (y == x).all() and (dx == x).all()


def test_without_a_generator_nothing_is_dropped():
    arguments = draw(2, 3, seed=0)
    dropping = dataclasses.replace(CONFIG, resid_pdrop=0.5, attn_pdrop=0.5)
    assert (block(*arguments, dropping)[0] == block(*arguments, CONFIG)[0]).all()
    assert (block(*arguments, dropping, np.random.default_rng(0))[0] != block(*arguments, CONFIG)[0]).any()
