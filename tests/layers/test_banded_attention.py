"""Banded attention: each query sees its own position and those before it within a window."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import draw, seeds
from npgpt.checking.layer import check_layer
from npgpt.inspection.attention import block_weights
from npgpt.layers import causal_attention as module
from npgpt.layers.attention import attention, attention_backward, causal_mask
from npgpt.layers.causal_attention import causal_attention, causal_attention_backward
from npgpt.layers.pattern import CAUSAL, banded
from npgpt.model.block import block
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import block_table, groups, initial_parameters

TILE = 3
lengths = st.integers(1, 11)
pasts = st.sampled_from([0, 1, 2, 9])                   # positions before the first query
windows = st.sampled_from([1, 2, TILE, 4, 7, 30])       # narrower than a tile, as wide, wider, wider than the sequence


@pytest.fixture(autouse=True, scope="module")
def small_tiles():
    """Tiles of 3 queries, so that short sequences have several, of which the last is often smaller."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "QUERY_TILE", TILE)
        yield


def draw_qkv(seed, T, past=0):
    return draw(seed, (2, T, 4), (2, past + T, 4), (2, past + T, 5))


def band(T, past, window):
    """(T, S), True where query t sees key s."""
    return np.array([[t + past - window < s <= t + past for s in range(past + T)] for t in range(T)])


def require_those_of_attention_under(mask, q, k, v, result):
    y, cache = result
    expected, expected_cache = attention(q, k, v, mask)
    dy, = draw(0, y.shape)
    np.testing.assert_allclose(y, expected, rtol=0, atol=4e-15 * np.abs(expected).max())
    for d, plain in zip(causal_attention_backward(dy, cache), attention_backward(dy, expected_cache)):
        assert d.shape == plain.shape
        np.testing.assert_allclose(d, plain, rtol=0, atol=2e-14 * np.abs(dy).max())


@given(lengths, pasts, windows, seeds)
def test_values_and_gradients_are_those_of_attention_under_a_band_mask(T, past, window, seed):
    q, k, v = draw_qkv(seed, T, past)
    require_those_of_attention_under(band(T, past, window), q, k, v, causal_attention(q, k, v, window=window))


@given(lengths, pasts, windows, seeds)
def test_attention_in_one_piece_has_the_same_band(T, past, window, seed):
    q, k, v = draw_qkv(seed, T, past)
    np.testing.assert_array_equal(causal_mask(T, past + T, window), band(T, past, window))
    assert (attention(q, k, v, causal=True, window=window)[0] == attention(q, k, v, band(T, past, window))[0]).all()


@given(lengths, pasts, windows, seeds)
def test_a_padding_mask_hides_further_keys(T, past, window, seed):
    """A query that sees no key at all gives zeros."""
    q, k, v = draw_qkv(seed, T, past)
    padding = np.arange(past + T) < np.array([past + T, (past + T) // 2])[:, None, None]         # (2, 1, S)
    require_those_of_attention_under(padding & band(T, past, window), q, k, v, causal_attention(q, k, v, padding, window))


@given(st.integers(2, 10), windows, seeds)
def test_a_key_changes_the_window_of_queries_from_its_own_on_and_no_other(T, window, seed):
    q, k, v = draw_qkv(seed, T)
    s = seed % T
    before = causal_attention(q, k, v, window=window)[0]
    k[:, s] += 1
    v[:, s] += 1
    changed = (causal_attention(q, k, v, window=window)[0] != before).any(axis=(0, 2))
    assert changed.tolist() == [s <= t < s + window for t in range(T)]


@pytest.mark.parametrize("T, past, window", [(2, 0, 2), (7, 0, 2), (7, 2, 4), (8, 0, 5), (4, 9, 3)])
def test_gradients(T, past, window):
    check_layer(causal_attention, causal_attention_backward, *draw_qkv(0, T, past), window=window).require()


def test_gradients_with_dropout():
    check_layer(causal_attention, causal_attention_backward, *draw_qkv(0, 7), window=4, p=0.2,
                rng=np.random.default_rng(0)).require()


def test_a_tile_computes_no_more_than_its_own_band():
    """Except the first, which has all earlier keys."""
    _, tiles = causal_attention(*draw_qkv(0, T=20, past=5), window=4)
    assert [tile.weights.shape[-1] for tile in tiles] == [8, 6, 6, 6, 6, 6, 5]


@given(lengths, seeds)
def test_the_pattern_is_causal_where_the_window_is_wide_enough(T, seed):
    q, k, v = draw_qkv(seed, T)
    assert (banded(T).forward(q, k, v)[0] == CAUSAL.forward(q, k, v)[0]).all()


@given(seeds)
def test_with_a_window_of_one_every_position_sees_itself_only(seed):
    q, k, v = draw_qkv(seed, 7)
    assert (banded(1).forward(q, k, v)[0] == v).all()


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        banded(0)


def test_the_attention_map_of_a_banded_block_is_zero_outside_the_band():
    config = GPTConfig(n_head=2, n_embd=4, n_positions=8, vocab_size=5)
    table = block_table(4, 16, 1.0, 1.0)
    x, = draw(0, (1, 8, 4))
    _, cache = block(x, groups(initial_parameters(table, 0, np.float64), table), config, pattern=banded(3))
    weights = block_weights(cache)
    assert weights.shape == (2, 8, 8) and ((weights > 0) == band(8, 0, 3)).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-14)
