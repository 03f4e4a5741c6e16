"""Masked language modelling: the loss is over masked tokens alone, padding changes nothing, batches are as promised."""
import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import require_close, seeds
from npgpt.checking.model import unit_scale_parameters
from npgpt.errors import InputError
from npgpt.layers.cross_entropy import IGNORED
from npgpt.model.bert import bert
from npgpt.model.bert_config import BertConfig
from npgpt.model.parameters import groups, initial_parameters
from npgpt.parallel.data_parallel import parallel_gradients
from npgpt.tasks.masked_language_modelling import MaskedLanguageModelling
from npgpt.tasks.masking import SPECIAL, MaskedBatch, masking_of
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.corpus import Corpus, encode_corpus
from npgpt.text.vocabulary import with_special_tokens

TOKENIZER = with_special_tokens(CharacterTokenizer("abcdef"), SPECIAL)
MASKING, PAD = masking_of(TOKENIZER), TOKENIZER.special_tokens["[PAD]"]
CONFIG = BertConfig(vocab_size=TOKENIZER.vocab_size, n_positions=9, n_embd=6, n_layer=2, n_head=2, n_inner=7,
                    pad_token_id=PAD).without_dropout()
TASK = MaskedLanguageModelling(CONFIG)
CORPUS = encode_corpus("abcdeffedcabbacddcaf" * 20, TOKENIZER)


def parameters_of(task, seed=0):
    return unit_scale_parameters(task.table, np.random.default_rng(seed))


def draw_batch(seed, B, T):
    rng = np.random.default_rng(seed)
    targets = np.where(rng.random((B, T)) < 0.4, rng.integers(6, size=(B, T)), IGNORED)
    return MaskedBatch(rng.integers(6, size=(B, T)), targets)


def test_the_loss_is_the_mean_over_masked_tokens_alone():
    """Against the logits of all positions."""
    batch, parameters = draw_batch(0, 3, 5), parameters_of(TASK)
    everywhere = MaskedBatch(batch.ids, np.zeros_like(batch.ids))
    logits = TASK.logits(everywhere, parameters)[0].reshape(3, 5, -1)
    surprise = np.log(np.exp(logits).sum(axis=-1))
    losses = [surprise[b, t] - logits[b, t, batch.targets[b, t]]
              for b in range(3) for t in range(5) if batch.targets[b, t] != IGNORED]
    assert 0 < len(losses) < 15 and TASK.count(batch) == len(losses)
    assert TASK.loss(batch, parameters) == pytest.approx(np.mean(losses), rel=1e-13)
    assert TASK.loss_and_gradients(batch, parameters)[0] == pytest.approx(np.mean(losses), rel=1e-13)


def test_without_targets_loss_and_gradients_are_zero():
    ids = np.zeros((2, 4), np.int64)
    loss, gradients = TASK.loss_and_gradients(MaskedBatch(ids, np.full((2, 4), IGNORED)), parameters_of(TASK))
    assert loss == 0 and not gradients.any()


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 3), seeds)
def test_padding_changes_neither_outputs_nor_loss_nor_gradients(lengths, more, seed):
    """A padded batch, against its sequences one by one."""
    width = max(lengths) + more
    batch, parameters = draw_batch(seed, len(lengths), width), parameters_of(TASK, seed)
    real = np.arange(width) < np.array(lengths)[:, None]
    batch = MaskedBatch(np.where(real, batch.ids, PAD), np.where(real, batch.targets, IGNORED))
    p, count = groups(parameters, TASK.table), max(TASK.count(batch), 1)
    y, _ = bert(batch.ids, p, CONFIG)
    loss, gradients = 0.0, np.zeros_like(parameters)
    for i, length in enumerate(lengths):
        alone = MaskedBatch(*(array[i:i + 1, :length] for array in batch))
        require_close(y[i:i + 1, :length], bert(alone.ids, p, CONFIG)[0], 1e-12)
        part_loss, part_gradients = TASK.loss_and_gradients(alone, parameters, fraction=TASK.count(alone) / count)
        loss, gradients = loss + part_loss, gradients + part_gradients
    whole_loss, whole_gradients = TASK.loss_and_gradients(batch, parameters)
    assert whole_loss == pytest.approx(loss, rel=1e-12, abs=1e-12)
    require_close(whole_gradients, gradients, 1e-12)


def test_every_position_sees_those_on_both_sides():
    p = groups(parameters_of(TASK), TASK.table)
    ids = np.array([[0, 1, 2, 3, 4]])
    before, _ = bert(ids, p, CONFIG)
    for changed in (0, 4):
        other = ids.copy()
        other[0, changed] = 5
        assert (abs(bert(other, p, CONFIG)[0] - before).max(axis=-1) > 1e-3).all()


def test_segments_have_embeddings_of_their_own():
    p = groups(parameters_of(TASK), TASK.table)
    ids = np.array([[0, 1, 2]])
    first, explicit, second = (bert(ids, p, CONFIG, segments=segments)[0]
                               for segments in (None, np.zeros_like(ids), np.array([[0, 0, 1]])))
    np.testing.assert_array_equal(first, explicit)
    assert abs(first - second).max() > 1e-3


@pytest.mark.parametrize("threads, sequences", [(2, 4), (3, 1)], ids=["parts of the batch", "parts of the layers"])
def test_threads_compute_the_same_gradients(threads, sequences):
    task, batch = MaskedLanguageModelling(dataclasses.replace(CONFIG, n_embd=12, n_head=3)), draw_batch(0, sequences, 7)
    parameters = parameters_of(task)
    loss, expected = task.loss_and_gradients(batch, parameters)
    with parallel_gradients(task, threads) as loss_and_gradients:
        actual_loss, actual = loss_and_gradients(batch, parameters)
    assert actual_loss == pytest.approx(loss, rel=1e-12)
    require_close(actual, expected, 1e-12)


def test_training_windows_are_framed_and_masked_afresh_in_every_batch():
    task, rng = MaskedLanguageModelling(CONFIG, CORPUS, MASKING), np.random.default_rng(0)
    batches = [task.training_batch(i, 50, rng) for i in range(2)]
    for batch in batches:
        assert batch.ids.shape == batch.targets.shape == (50, CONFIG.n_positions) and TASK.count(batch) == 50
        assert (batch.ids[:, [0, -1]] == [MASKING.begin[0], MASKING.end[0]]).all()
    assert (np.argmax(batches[0].targets, axis=1) != np.argmax(batches[1].targets, axis=1)).any()
    again = task.training_batch(1, 50, np.random.default_rng(0))
    np.testing.assert_array_equal(again.ids, batches[0].ids)               # the run's generator decides, nothing else


def test_training_and_validation_read_their_own_texts():
    task = MaskedLanguageModelling(CONFIG, Corpus(np.zeros(50, np.int64), np.ones(50, np.int64)), MASKING)
    train, validation = task.training_batch(0, 9, np.random.default_rng(0)), next(iter(task.validation_batches()))
    assert [{*batch.targets[batch.targets != IGNORED].tolist()} for batch in (train, validation)] == [{0}, {1}]


def test_the_masks_of_validation_are_the_same_at_every_call_and_for_every_batch_size():
    task = MaskedLanguageModelling(CONFIG, CORPUS, MASKING)
    rows = [[row.tolist() for batch in task.validation_batches(size) for row in batch.targets] for size in (2, 2, 3, None)]
    assert len(rows[0]) > 4 and all(other == rows[0] for other in rows)


def test_every_token_of_a_text_but_the_last_is_masked_alone_once():
    task = MaskedLanguageModelling(CONFIG, masking=MASKING)
    tokens = CORPUS.train[:17]
    hidden = [targets[targets != IGNORED] for batch in task.each_masked(tokens) for targets in batch.targets]
    np.testing.assert_array_equal(np.concatenate(hidden), tokens[:-1])
    some = sum(TASK.count(batch) for batch in task.each_masked(CORPUS.train, 30))
    assert some == 30 // task.length * task.length


def test_the_largest_batch_has_as_many_targets_as_any():
    task = MaskedLanguageModelling(CONFIG, CORPUS, MASKING)
    largest, drawn = task.largest_batch(8), task.training_batch(0, 8, np.random.default_rng(0))
    assert largest.ids.shape == drawn.ids.shape and TASK.count(largest) >= TASK.count(drawn)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="no room"):
        MaskedLanguageModelling(dataclasses.replace(CONFIG, n_positions=2), masking=MASKING)
    with pytest.raises(InputError, match="training text"):
        MaskedLanguageModelling(CONFIG, Corpus(CORPUS.train[:7], CORPUS.train), MASKING)
    with pytest.raises(ValueError, match="n_positions"):
        bert(np.zeros((1, 10), np.int64), groups(parameters_of(TASK), TASK.table), CONFIG)


def test_a_new_model_guesses_uniformly():
    config = dataclasses.replace(CONFIG, initializer_range=1e-6)
    task = MaskedLanguageModelling(config, CORPUS, MASKING)
    batch = next(itertools.islice(task.validation_batches(), 1))
    assert task.loss(batch, initial_parameters(task.table, dtype=np.float64)) == pytest.approx(task.uniform_loss, abs=1e-4)
    assert task.uniform_loss == math.log(config.vocab_size)
