"""Evaluation over every token."""
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.layers.softmax import softmax
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.parameters import initial_parameters
from npgpt.training.evaluation import batch_losses, evaluate

CONFIG = GPTConfig(vocab_size=7, n_positions=4, n_embd=6, n_layer=1, n_head=2, initializer_range=0.5)
PARAMETERS = initial_parameters(CONFIG, 0, np.float64)


def surprise(tokens, t):
    """-ln of the probability that token t has after those before it in its window."""
    start = (t - 1) // CONFIG.n_positions * CONFIG.n_positions
    logits, _ = gpt(tokens[None, start:t], PARAMETERS, CONFIG)
    return -math.log(softmax(logits[0, -1])[0][tokens[t]])


@given(st.integers(2, 30), st.integers(0, 10**6))
def test_the_loss_is_the_mean_surprise_at_every_token_but_the_first(N, seed):
    tokens = np.random.default_rng(seed).integers(CONFIG.vocab_size, size=N)
    expected = np.mean([surprise(tokens, t) for t in range(1, N)])
    assert evaluate(PARAMETERS, CONFIG, tokens) == pytest.approx(expected, rel=1e-12)


@given(st.integers(2, 60), st.integers(1, 6))
def test_the_size_of_the_batches_changes_nothing_but_the_batches(N, batch_size):
    tokens = np.random.default_rng(N).integers(CONFIG.vocab_size, size=N)
    losses = list(batch_losses(PARAMETERS, CONFIG, tokens, batch_size))
    assert all(count <= batch_size * CONFIG.n_positions for _, count in losses)
    assert sum(count for _, count in losses) == N - 1
    assert sum(loss * count for loss, count in losses) / (N - 1) == pytest.approx(evaluate(PARAMETERS, CONFIG, tokens), rel=1e-12)


def test_batches_whose_size_is_left_open_are_of_a_thousand_tokens():
    tokens = np.random.default_rng(0).integers(CONFIG.vocab_size, size=3000)
    assert [count for _, count in batch_losses(PARAMETERS, CONFIG, tokens)] == [1024, 1024, 948, 3]


def test_a_model_that_knows_nothing_loses_ln_v():
    assert evaluate(np.zeros_like(PARAMETERS), CONFIG, np.arange(7)) == pytest.approx(math.log(7), rel=1e-15)


def test_dropout_rests():
    assert CONFIG.resid_pdrop > 0
    tokens = np.arange(7)
    assert evaluate(PARAMETERS, CONFIG, tokens) == evaluate(PARAMETERS, CONFIG.without_dropout(), tokens)


@pytest.mark.parametrize("tokens", [[], [3]])
def test_one_token_is_not_enough(tokens):
    with pytest.raises(InputError, match="the text to evaluate has"):
        evaluate(PARAMETERS, CONFIG, np.array(tokens, np.int64))


@pytest.mark.parametrize("place", [0, 5, 9])
def test_a_token_outside_the_vocabulary_is_named_wherever_it_stands(place):
    tokens = np.zeros(10, np.uint16)
    tokens[place] = 7
    with pytest.raises(InputError, match="token id 7,"):
        evaluate(PARAMETERS, CONFIG, tokens)
