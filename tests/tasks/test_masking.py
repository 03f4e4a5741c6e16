"""Masking: 15% of the tokens, of these 80% [MASK], 10% random, 10% as they were; never a special token."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import seeds
from npgpt.errors import InputError
from npgpt.layers.cross_entropy import IGNORED
from npgpt.tasks.masking import BEGIN, END, MASK, SPECIAL, each_masked, encode_masked, framed, masked, masking_of
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.vocabulary import with_special_tokens

TOKENIZER = with_special_tokens(CharacterTokenizer("abcdefghij"), SPECIAL)
MASKING = masking_of(TOKENIZER)


def draw_ids(seed, B, T):
    """Framed texts of ordinary tokens."""
    return framed(np.random.default_rng(seed).integers(10, size=(B, T)), MASKING)


@given(st.integers(1, 5), st.integers(1, 40), seeds)
def test_15_percent_of_each_text_are_targets_and_at_least_one(B, T, seed):
    ids = draw_ids(seed, B, T)
    batch = masked(ids, MASKING, np.random.default_rng(seed))
    chosen = batch.targets != IGNORED
    assert (chosen.sum(axis=1) == max(round(0.15 * T), 1)).all()
    np.testing.assert_array_equal(batch.targets[chosen], ids[chosen])
    np.testing.assert_array_equal(batch.ids[~chosen], ids[~chosen])


@given(st.integers(1, 4), st.integers(1, 12), seeds)
def test_special_tokens_are_never_masked_and_never_put_in_a_tokens_place(B, T, seed):
    ids = draw_ids(seed, B, T)
    ids[:, 1 + T // 2] = TOKENIZER.special_tokens["[UNK]"]
    batch = masked(ids, MASKING, np.random.default_rng(seed))
    assert not np.isin(batch.targets, MASKING.special).any()
    special = np.isin(ids, MASKING.special)
    np.testing.assert_array_equal(batch.ids[special], ids[special])
    assert not np.isin(batch.ids[~special], np.setdiff1d(MASKING.special, MASKING.mask)).any()


def test_a_text_of_special_tokens_alone_has_no_targets():
    batch = masked(np.full((2, 3), MASKING.mask), MASKING, np.random.default_rng(0))
    assert (batch.targets == IGNORED).all() and (batch.ids == MASKING.mask).all()


def test_of_the_targets_80_percent_are_masked_10_random_and_10_as_they_were():
    ids = draw_ids(0, 400, 300)
    batch = masked(ids, MASKING, np.random.default_rng(1))
    chosen = batch.targets != IGNORED
    seen, hidden = batch.ids[chosen], ids[chosen]
    share_masked, share_kept = (seen == MASKING.mask).mean(), (seen == hidden).mean()
    assert share_masked == pytest.approx(0.8, abs=0.01)
    assert share_kept == pytest.approx(0.1 + 0.1 / 10, abs=0.01)           # a random token of ten may be the same
    others = seen[(seen != MASKING.mask) & (seen != hidden)]
    assert np.bincount(others, minlength=10)[:10] == pytest.approx(len(others) / 10, rel=0.15)


def test_targets_are_spread_over_the_whole_text():
    chosen = masked(draw_ids(0, 4000, 20), MASKING, np.random.default_rng(1)).targets != IGNORED
    assert chosen[:, 1:-1].mean(axis=0) == pytest.approx(0.15, abs=0.02)


def test_masks_do_not_depend_on_how_many_texts_are_masked_at_once():
    ids = draw_ids(0, 6, 9)
    rng = np.random.default_rng(3)
    alone = [masked(row[None], MASKING, rng) for row in ids]
    together = masked(ids, MASKING, np.random.default_rng(3))
    for field in ("ids", "targets"):
        np.testing.assert_array_equal(np.concatenate([getattr(batch, field) for batch in alone]), getattr(together, field))


def test_each_token_is_masked_once_and_no_other_at_the_same_time():
    ids = draw_ids(0, 1, 7)[0]
    batch = each_masked(ids, MASKING)
    assert batch.ids.shape == batch.targets.shape == (7, 9)
    for i, (row, targets) in enumerate(zip(*batch), 1):
        assert np.flatnonzero(targets != IGNORED).tolist() == np.flatnonzero(row != ids).tolist() == [i]
        assert row[i] == MASKING.mask and targets[i] == ids[i]


def test_a_text_is_read_with_masks_and_framed():
    special = TOKENIZER.special_tokens
    assert encode_masked("a[MASK]c", TOKENIZER).tolist() == [special[BEGIN], 0, special[MASK], 2, special[END]]


def test_a_tokenizer_without_mask_is_refused():
    with pytest.raises(InputError, match=r"\[MASK\]"):
        masking_of(CharacterTokenizer("ab"))
