"""The encoder-decoder: its decoder block, both stacks, padding and positions."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import draw, seeds
from npgpt.checking.layer import check_layer
from npgpt.checking.model import unit_scale_parameters
from npgpt.errors import InputError
from npgpt.layers.cross_attention import attend_to_memory
from npgpt.layers.embedding import sinusoidal_positions
from npgpt.layers.feed_forward import feed_forward
from npgpt.layers.layer_norm import layer_norm
from npgpt.layers.self_attention import self_attention
from npgpt.model.decoder_block import decoder_block, decoder_block_backward, decoder_block_table
from npgpt.model.encoder_decoder import decoder, embedded, encoder, encoder_decoder, encoder_decoder_table
from npgpt.model.encoder_decoder_config import EncoderDecoderConfig
from npgpt.model.parameters import groups

PAD, END = 8, 7
CONFIG = EncoderDecoderConfig(vocab_size=9, n_positions=8, n_embd=6, n_layer=2, n_decoder_layer=3, n_head=2, n_inner=7,
                              eos_token_id=END, pad_token_id=PAD).without_dropout()
TABLE = decoder_block_table(CONFIG.n_embd, CONFIG.inner, 1.0)


def draw_block(B=2, T=4, S=5, seed=0):
    """x, keys_values and the parameters of a decoder block."""
    x, keys_values = draw(seed, (B, T, CONFIG.n_embd), (2, B, CONFIG.n_head, S, 3))
    return x, keys_values, groups(unit_scale_parameters(TABLE, np.random.default_rng(seed)), TABLE)


def draw_model(seed=0, config=CONFIG):
    table = encoder_decoder_table(config)
    return groups(unit_scale_parameters(table, np.random.default_rng(seed)), table)


@given(st.sampled_from([1e-5, 0.1]), st.sampled_from(["relu", "gelu"]), seeds)
def test_the_decoder_block_normalises_after_each_of_its_three_additions(eps, activation, seed):
    config = dataclasses.replace(CONFIG, layer_norm_epsilon=eps, activation_function=activation)
    x, keys_values, p = draw_block(seed=seed)
    n = layer_norm(x + self_attention(x, *p.attn, CONFIG.n_head)[0], *p.ln_1, eps)[0]
    m = layer_norm(n + attend_to_memory(n, keys_values, *p.attend)[0], *p.ln_2, eps)[0]
    expected = layer_norm(m + feed_forward(m, *p.mlp, activation)[0], *p.ln_3, eps)[0]
    np.testing.assert_array_equal(decoder_block(x, keys_values, p, config)[0], expected)


@settings(max_examples=5)
@given(st.sampled_from([0.0, 0.2]), seeds)
def test_gradients_of_the_decoder_block(dropout, seed):
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], bool)
    check_layer(decoder_block, decoder_block_backward, *draw_block(seed=seed), config=CONFIG.with_dropout(dropout), mask=mask,
                rng=np.random.default_rng(seed), methods=["complex"], seed=seed).require()


def test_the_three_branches_have_dropout_masks_of_their_own():
    *arguments, p = draw_block(20, 5)
    _, cache = decoder_block(*arguments, p, CONFIG.with_dropout(0.5), rng=np.random.default_rng(0))
    masks = [kept for kept, _ in (cache.attn_dropout, cache.attend_dropout, cache.mlp_dropout)]
    assert all(0.4 < (one == other).mean() < 0.6 for one, other in zip(masks, masks[1:] + masks[:1]))


@pytest.mark.parametrize("rate", ["resid_pdrop", "attn_pdrop"])
def test_each_dropout_rate_acts_in_its_own_place(rate):
    *arguments, p = draw_block(20, 5)
    _, cache = decoder_block(*arguments, p, dataclasses.replace(CONFIG, **{rate: 0.6}), rng=np.random.default_rng(0))
    caches = {"resid_pdrop": [cache.attn_dropout, cache.attend_dropout, cache.mlp_dropout],
              "attn_pdrop": [cache.attn.attention[0].dropout, cache.attend.attention.dropout]}
    assert all((one is None) == (rate != place) for place, several in caches.items() for one in several)
    for keep, scale in caches[rate]:
        assert keep.mean() == pytest.approx(0.4, abs=0.1) and scale == 1 / 0.4


def test_the_embeddings_of_source_and_target_have_dropout_masks_of_their_own():
    p, ids = draw_model(), np.zeros((40, 4), int)
    for config in (dataclasses.replace(CONFIG, resid_pdrop=0.6), dataclasses.replace(CONFIG, attn_pdrop=0.6)):
        _, cache = encoder_decoder(ids, ids, p, config, np.random.default_rng(0))
        masks = [dropped for *_, dropped in (cache.encoder.tokens, cache.decoder.tokens)]
        assert [one is None for one in masks] == [config.resid_pdrop == 0] * 2
        if config.resid_pdrop:
            (one, _), (other, scale) = masks
            assert other.mean() == pytest.approx(0.4, abs=0.1) and scale == 1 / 0.4 and (one != other).any()


def test_without_a_generator_nothing_is_dropped():
    p, ids = draw_model(), np.zeros((2, 4), int)
    dropping = CONFIG.with_dropout(0.5)
    assert (encoder_decoder(ids, ids, p, dropping)[0] == encoder_decoder(ids, ids, p, CONFIG)[0]).all()
    *arguments, block = draw_block()
    assert (decoder_block(*arguments, block, dropping)[0] == decoder_block(*arguments, block, CONFIG)[0]).all()


def test_the_caches_of_all_blocks_are_kept_unless_told():
    p, ids = draw_model(), np.zeros((1, 4), int)
    for keep in (True, False):
        settings = {} if keep else {"keep": False}
        (memory, alone), (_, cache) = encoder(ids, p, CONFIG, **settings), encoder_decoder(ids, ids, p, CONFIG, **settings)
        _, second = decoder(ids, [np.zeros((2, 1, CONFIG.n_head, 4, 3))] * 3, p, CONFIG, **settings)
        assert [len(one.blocks) for one in (alone, cache.encoder)] == [2 * keep] * 2
        assert [len(one.blocks) for one in (second, cache.decoder)] == [3 * keep] * 2


def test_every_position_of_the_source_sees_those_on_both_sides():
    p, source = draw_model(), np.array([[1, 2, 3, 4]])
    before, _ = encoder(source, p, CONFIG)
    for changed in (0, 3):
        other = source.copy()
        other[0, changed] = 5
        assert (encoder(other, p, CONFIG)[0] != before).any(axis=-1).all()


@pytest.mark.parametrize("channels", [6, 7])
def test_positions_in_halves_are_those_of_the_paper_with_all_sines_first(channels):
    t = np.arange(5)
    interleaved = sinusoidal_positions(t, channels, np.float64)
    np.testing.assert_array_equal(sinusoidal_positions(t, channels, np.float64, halves=True),
                                  np.hstack([interleaved[:, 0::2], interleaved[:, 1::2]]))


def test_embeddings_are_multiplied_by_the_root_of_their_number_of_channels():
    table, = draw(0, (9, 6))
    ids = np.array([[3, 1]])
    x, _ = embedded(ids, table, np.arange(2), CONFIG)
    expected = np.sqrt(6) * table[ids] + sinusoidal_positions(np.arange(2), 6, np.float64, halves=True)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-14)


@given(st.integers(0, 3), st.integers(0, 3), seeds)
def test_padding_changes_nothing(more_source, more_target, seed):
    """Each of two pairs by itself, and both in a batch that is padded further."""
    p, rng = draw_model(seed), np.random.default_rng(seed)
    pairs = [(rng.integers(PAD, size=S), rng.integers(PAD, size=T)) for S, T in ((4, 2), (2, 4))]
    source, ids = np.full((2, 4 + more_source), PAD), np.full((2, 4 + more_target), PAD)
    for b, (one, target) in enumerate(pairs):
        source[b, :len(one)], ids[b, :len(target)] = one, target
    together, _ = encoder_decoder(source, ids, p, CONFIG)
    for row, (one, target) in zip(together, pairs):
        alone, _ = encoder_decoder(one[None], target[None], p, CONFIG)
        np.testing.assert_allclose(row[:len(target)], alone[0], rtol=0, atol=1e-12 * np.abs(alone).max())


@given(seeds)
def test_targets_see_what_precedes_them_and_the_whole_source(seed):
    p, rng = draw_model(seed), np.random.default_rng(seed)
    source, ids = rng.integers(PAD, size=(1, 5)), rng.integers(PAD, size=(1, 4))
    before, _ = encoder_decoder(source, ids, p, CONFIG)
    later = np.where(np.arange(4) == 3, (ids + 1) % PAD, ids)
    after, _ = encoder_decoder(source, later, p, CONFIG)
    assert (after[:, :3] == before[:, :3]).all() and (after[:, 3] != before[:, 3]).any()
    other = np.where(np.arange(5) == 4, (source + 1) % PAD, source)
    assert (encoder_decoder(other, ids, p, CONFIG)[0] != before).any(axis=-1).all()


def test_sequences_must_fit_the_positions():
    p, ids = draw_model(), np.zeros((1, CONFIG.n_positions + 1), int)
    for source, target in ((ids, ids[:, :1]), (ids[:, :1], ids)):
        with pytest.raises(ValueError, match="n_positions"):
            encoder_decoder(source, target, p, CONFIG)


def test_the_decoder_has_as_many_layers_as_the_encoder_unless_told():
    assert dataclasses.replace(CONFIG, n_decoder_layer=None).decoder_layers == 2 and CONFIG.decoder_layers == 3
    with pytest.raises(InputError, match="n_decoder_layer"):
        dataclasses.replace(CONFIG, n_decoder_layer=0)
