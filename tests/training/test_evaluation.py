"""Evaluation: the mean loss over all targets of many batches."""
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import language_model, logits_of, seeds
from npgpt.layers.cross_entropy import IGNORED
from npgpt.layers.softmax import softmax
from npgpt.model.config import GPTConfig
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch
from npgpt.training.evaluation import batch_losses, bits_per_nat, evaluate

CONFIG = GPTConfig(vocab_size=7, n_positions=4, n_embd=6, n_layer=1, n_head=2, initializer_range=0.5)
TASK = LanguageModelling(CONFIG)
PARAMETERS = language_model(CONFIG, 0, np.float64)


def loss_of_text(tokens, batch_size=None, task=TASK, parameters=PARAMETERS):
    return evaluate(task, parameters, task.batches(tokens, batch_size))


def loss_of_token(tokens, t):
    """-ln of the probability that token t has after those before it in its window."""
    start = (t - 1) // CONFIG.n_positions * CONFIG.n_positions
    logits = logits_of(tokens[None, start:t], PARAMETERS, CONFIG)
    return -math.log(softmax(logits[0, -1])[0][tokens[t]])


@given(st.integers(2, 30), seeds)
def test_the_loss_of_a_text_is_the_mean_over_every_token_but_the_first(N, seed):
    tokens = np.random.default_rng(seed).integers(CONFIG.vocab_size, size=N)
    expected = np.mean([loss_of_token(tokens, t) for t in range(1, N)])
    assert loss_of_text(tokens) == pytest.approx(expected, rel=1e-12)


@given(st.integers(2, 60), st.integers(1, 6))
def test_the_size_of_the_batches_changes_nothing(N, batch_size):
    tokens = np.random.default_rng(N).integers(CONFIG.vocab_size, size=N)
    losses = list(batch_losses(TASK, PARAMETERS, TASK.batches(tokens, batch_size)))
    assert sum(count for _, count in losses) == N - 1
    assert sum(loss * count for loss, count in losses) / (N - 1) == pytest.approx(loss_of_text(tokens), rel=1e-12)
    assert loss_of_text(tokens, batch_size) == pytest.approx(loss_of_text(tokens), rel=1e-12)


def test_targets_that_are_ignored_do_not_count():
    ids, targets = np.array([[1, 2, 3, 4], [3, 2, 1, 0]]), np.array([[2, 3, 4, 5], [6, IGNORED, IGNORED, IGNORED]])
    apart = evaluate(TASK, PARAMETERS, [TokenBatch(ids[:1], targets[:1]), TokenBatch(ids[1:], targets[1:])])
    assert apart == pytest.approx(float(TASK.loss((ids, targets), PARAMETERS)), rel=1e-12)


def test_a_uniform_guess_gives_ln_v():
    assert loss_of_text(np.arange(7), parameters=np.zeros_like(PARAMETERS)) == pytest.approx(math.log(7), rel=1e-15)


def test_evaluation_has_no_dropout():
    assert CONFIG.resid_pdrop > 0
    assert loss_of_text(np.arange(7)) == loss_of_text(np.arange(7), task=LanguageModelling(CONFIG.without_dropout()))


def test_bits_a_byte_are_the_loss_of_the_text_over_its_bytes():
    token_bytes = [b"a", b"bc", b"def", b"", b"g", b"h", b"\xc3\xa9"]
    tokens = np.random.default_rng(0).integers(7, size=23)
    batches = list(TASK.batches(tokens))
    nats = loss_of_text(tokens) * 22
    expected = nats / math.log(2) / len(b"".join(token_bytes[i] for i in tokens[1:]))
    assert loss_of_text(tokens) * bits_per_nat(batches, token_bytes) == pytest.approx(expected, rel=1e-12)
    ignored = [TokenBatch(batches[0].ids, np.full_like(batches[0].targets, IGNORED))]
    assert bits_per_nat(batches + ignored, token_bytes) == bits_per_nat(batches, token_bytes)


@pytest.mark.parametrize("token_bytes", [[b""] * 7, [b"a"] * 6])
def test_tokens_without_bytes_have_no_bits_a_byte(token_bytes):
    assert bits_per_nat(TASK.batches(np.arange(7)), token_bytes) is None
