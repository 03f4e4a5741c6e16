"""Translation: batches of pairs, their loss and every gradient."""
import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import seeds
from npgpt.checking.model import check_model, unit_scale_parameters
from npgpt.checking.tasks import SMALL_ENCODER_DECODER
from npgpt.layers.cross_entropy import IGNORED
from npgpt.layers.embedding import unembedding
from npgpt.model.encoder_decoder import encoder_decoder
from npgpt.model.parameters import groups, initial_parameters
from npgpt.tasks.translation import BUCKET, Pair, PairBatch, Translation, cut, token_ids
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.vocabulary import with_special_tokens

CONFIG = SMALL_ENCODER_DECODER
PAD, END = CONFIG.pad_token_id, CONFIG.eos_token_id
TASK = Translation(CONFIG)


def draw_pairs(*lengths, seed=0):
    """Pairs of (S, T) tokens, the end token included."""
    rng = np.random.default_rng(seed)
    return [Pair(*(np.append(rng.integers(END, size=length - 1), END) for length in one)) for one in lengths]


def draw_parameters(seed=0):
    return unit_scale_parameters(TASK.table, np.random.default_rng(seed))


def test_decoder_inputs_are_the_target_shifted_right_after_a_pad_token():
    batch = TASK.batch([Pair(np.array([1, 2, END]), np.array([3, 4, 5, END])), Pair(np.array([6, END]), np.array([END]))])
    assert batch.source.tolist() == [[1, 2, END], [6, END, PAD]]
    assert batch.ids.tolist() == [[PAD, 3, 4, 5], [PAD, PAD, PAD, PAD]]
    assert batch.targets.tolist() == [[3, 4, 5, END], [END, IGNORED, IGNORED, IGNORED]]
    assert TASK.count(batch) == 5


def test_every_gradient_by_complex_step():
    check_model(TASK, TASK.batch(draw_pairs((6, 4), (3, 5))), methods=["complex"]).require()


@given(st.sampled_from([0.0, 0.1, 0.3]), seeds)
def test_the_loss_is_the_smoothed_cross_entropy_of_the_logits(smoothing, seed):
    """(1 - smoothing) times that of the targets, and smoothing times the mean over all tokens (Szegedy et al. 2016)."""
    task, parameters = Translation(CONFIG, smoothing=smoothing), draw_parameters(seed)
    batch = task.batch(draw_pairs((4, 3), (2, 5), seed=seed))
    p = groups(parameters, task.table)
    logits = unembedding(encoder_decoder(batch.source, batch.ids, p, CONFIG)[0], p.shared)[0]
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    counted = batch.targets != IGNORED
    losses = [-(1 - smoothing) * row[target] - smoothing * row.mean() for row, target in zip(log_p[counted], batch.targets[counted])]
    assert float(task.loss(batch, parameters)) == pytest.approx(np.mean(losses), rel=1e-12)
    assert task.loss_and_gradients(batch, parameters)[0] == pytest.approx(np.mean(losses), rel=1e-12)


@given(st.integers(0, 2), st.integers(0, 2), seeds)
def test_further_padding_changes_neither_loss_nor_gradients(more_source, more_target, seed):
    batch, parameters = TASK.batch(draw_pairs((4, 3), (2, 4), seed=seed)), draw_parameters(seed)
    longer = PairBatch(*(np.pad(array, [(0, 0), (0, more)], constant_values=filler) for array, more, filler in
                         zip(batch, (more_source, more_target, more_target), (PAD, PAD, IGNORED))))
    (loss, gradients), (other_loss, others) = (TASK.loss_and_gradients(one, parameters) for one in (batch, longer))
    assert other_loss == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(others, gradients, rtol=0, atol=1e-12 * np.abs(gradients).max())


@given(seeds)
def test_parts_of_a_batch_add_up_to_the_whole(seed):
    """Each pair by itself, without padding."""
    pairs, parameters = draw_pairs((5, 2), (2, 4), (3, 3), seed=seed), draw_parameters(seed)
    whole = TASK.batch(pairs)
    loss, gradients = TASK.loss_and_gradients(whole, parameters)
    parts = [TASK.batch([pair]) for pair in pairs]
    results = [TASK.loss_and_gradients(part, parameters, fraction=TASK.count(part) / TASK.count(whole)) for part in parts]
    assert sum(part_loss for part_loss, _ in results) == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(sum(part for _, part in results), gradients, rtol=0, atol=1e-12 * np.abs(gradients).max())


def test_gradients_are_written_into_out_whatever_it_held():
    batch, parameters = TASK.batch(draw_pairs((5, 2), (2, 4))), draw_parameters()
    expected, out = TASK.loss_and_gradients(batch, parameters)[1], np.full_like(parameters, np.nan)
    assert TASK.loss_and_gradients(batch, parameters, out=out)[1] is out and out.tobytes() == expected.tobytes()


def test_an_epoch_has_every_pair_once_and_batches_have_pairs_of_like_lengths():
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 7, size=(2 * BUCKET, 2)).tolist()
    task = Translation(CONFIG, [Pair(np.full(S, i), np.full(T, i)) for i, (S, T) in enumerate(lengths)])
    batches = [task.training_batch(number, 32, rng) for number in range(2 * BUCKET // 32)]
    drawn = [source[0] for batch in batches for source in batch.source]
    assert sorted(drawn) == list(range(2 * BUCKET))
    spreads = [np.ptp([sum(lengths[i]) for i in batch.source[:, 0]]) for batch in batches]
    assert max(spreads) < max(map(sum, lengths)) - min(map(sum, lengths))
    again = Translation(CONFIG, task.training).training_batch(3, 32, rng)
    assert all((one == other).all() for one, other in zip(again, batches[3]))


def test_all_pairs_are_validated_once():
    pairs = draw_pairs(*[(3, 2)] * 7)
    task = Translation(CONFIG, validation=pairs)
    assert [len(batch.source) for batch in task.validation_batches(3)] == [3, 3, 1]
    assert sum(map(task.count, task.validation_batches())) == 14


def test_a_text_ends_with_the_end_token():
    tokenizer = with_special_tokens(CharacterTokenizer("abcdefg"), ["</s>", "<pad>"])
    assert token_ids("cab", tokenizer, CONFIG).tolist() == [2, 0, 1, END]


@pytest.mark.parametrize("length", [1, 5, 6, 7, 9])
def test_a_text_that_is_too_long_is_cut_before_its_end_token(length):
    ids = np.append(np.arange(length - 1), END)
    found = cut(ids, CONFIG)
    assert len(found) == min(length, CONFIG.n_positions) and found[-1] == END
    assert (found[:-1] == np.arange(len(found) - 1)).all()


def test_a_model_of_another_size_has_the_same_loss_and_shorter_texts_where_it_must():
    task = Translation(CONFIG, draw_pairs((6, 4), (3, 5)), smoothing=0.3)
    assert task.units_per_example == round(4.5) and [array.shape for array in task.largest_batch(2)] == [(2, 6), (2, 5), (2, 5)]
    smaller = task.with_config(dataclasses.replace(CONFIG, n_positions=5))
    assert smaller.smoothing == 0.3 and smaller.config.n_positions == 5
    assert [array.shape for array in smaller.largest_batch(2)] == [(2, 5)] * 3


def test_the_initial_loss_is_about_that_of_a_uniform_guess():
    loss = TASK.loss(TASK.batch(draw_pairs((5, 5), (6, 6))), initial_parameters(TASK.table))
    assert float(loss) == pytest.approx(math.log(CONFIG.vocab_size), rel=0.05) and TASK.uniform_loss == math.log(CONFIG.vocab_size)
