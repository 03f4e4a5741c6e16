"""The loss over a text, in windows side by side or overlapping."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import language_model, logits_of, seeds, small_configs
from npgpt.errors import InputError
from npgpt.generation.sampling import log_probabilities
from npgpt.model.config import GPTConfig
from npgpt.scoring.perplexity import Window, text_loss, windows
from npgpt.tasks.language_modelling import LanguageModelling
from npgpt.training.evaluation import evaluate


def guide(tokens, parameters, config, stride):
    """The loop of the guide to perplexity of transformers  ->  its loss, the mean over all targets, and their number"""
    guide_nats, guide_count, nats, count, before = 0.0, 0, 0.0, 0, 0
    for begin in range(0, len(tokens), stride):
        end = min(begin + config.n_positions, len(tokens))
        labels = np.arange(begin, end) >= before                       # which tokens are new
        lines = log_probabilities(logits_of(tokens[None, begin:end], parameters, config)[0])
        losses = -lines[np.arange(end - begin - 1), tokens[begin + 1:end]][labels[1:]]
        if len(losses):
            guide_nats, guide_count = guide_nats + losses.mean() * (labels.sum() - 1), guide_count + labels.sum() - 1
            nats, count = nats + losses.sum(), count + len(losses)
        before = end
        if end == len(tokens):
            return guide_nats / guide_count if guide_count else None, nats / count, count


@given(small_configs, seeds, st.integers(2, 40), st.data())
def test_overlapping_windows_are_those_of_the_guide_of_transformers(config, seed, length, data):
    stride = data.draw(st.integers(1, config.n_positions))
    parameters = language_model(config, seed, np.float64)
    tokens = np.random.default_rng(seed).integers(config.vocab_size, size=length)
    found = text_loss(LanguageModelling(config), parameters, tokens, stride)
    guide_loss, loss, targets = guide(tokens, parameters, config, stride)
    assert found.targets == targets and found.loss == pytest.approx(loss, abs=1e-12)
    assert found.guide_loss is guide_loss or found.guide_loss == pytest.approx(guide_loss, abs=1e-12)


@given(small_configs, seeds, st.integers(2, 40))
def test_without_a_stride_the_windows_are_side_by_side(config, seed, length):
    task, parameters = LanguageModelling(config), language_model(config, seed, np.float64)
    tokens = np.random.default_rng(seed).integers(config.vocab_size, size=length)
    found = text_loss(task, parameters, tokens)
    assert (found.targets, found.guide_loss) == (length - 1, None)
    assert found.loss == pytest.approx(evaluate(task, parameters, task.batches(tokens)), abs=1e-12)


def test_the_last_window_ends_with_the_text():
    assert [*windows(10, 4, 3)] == [Window(0, 4, 4), Window(3, 4, 3), Window(6, 4, 3)]
    assert [*windows(11, 4, 3)] == [Window(0, 4, 4), Window(3, 4, 3), Window(6, 4, 3), Window(9, 2, 1)]


@pytest.mark.parametrize("stride", [0, 6])
def test_a_stride_that_leaves_gaps_is_refused(stride):
    config = GPTConfig(vocab_size=7, n_positions=5, n_embd=4, n_layer=1, n_head=1)
    with pytest.raises(InputError, match="from 1 to the model's context .5., not"):
        text_loss(LanguageModelling(config), language_model(config), np.arange(7), stride)
