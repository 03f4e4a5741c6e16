"""A conversation: turns of reading and writing, with the key-value cache kept between them."""
import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import language_model, logits_of, seeds, small_configs
from npgpt.errors import InputError
from npgpt.generation import inference
from npgpt.generation.conversation import Conversation
from npgpt.generation.generate import generate
from npgpt.model.config import GPTConfig

CONFIG = GPTConfig(vocab_size=7, n_positions=40, n_embd=6, n_layer=2, n_head=2, initializer_range=0.5)
KINDS = [CONFIG, dataclasses.replace(CONFIG, window_size=3, qkv_bias=False),
         dataclasses.replace(CONFIG, pre_layer_norm=False)]
turns = st.lists(st.tuples(st.lists(st.integers(0, 6), max_size=9), st.integers(0, 7)), min_size=1, max_size=5)


@pytest.fixture
def computed(monkeypatch):
    """How many tokens each pass through the model computes."""
    counts, gpt, decode_step = [], inference.gpt, inference.decode_step
    monkeypatch.setattr(inference, "gpt", lambda ids, *rest, **kept: counts.append(ids.size) or gpt(ids, *rest, **kept))
    monkeypatch.setattr(inference, "decode_step", lambda *arguments: counts.append(1) or decode_step(*arguments))
    return counts


@given(small_configs, turns, seeds)
def test_each_token_is_the_likeliest_after_all_that_was_read_and_written(config, turns, seed):
    """Of that, what the window shows: it slides by eighths of the context."""
    parameters, n = language_model(config, seed, np.float64), config.n_positions
    conversation, text, begin = Conversation(parameters, config), [1], 0
    conversation.read([1])
    for ids, new in turns:
        conversation.read(ids)
        text += ids
        for choice in itertools.islice(conversation.answer(None, greedy=True), new):
            while len(text) - begin > n:
                begin += max(n // 8, 1)
            logits = logits_of(np.array([text[begin:]]), parameters, config)[0, -1]
            assert logits[choice.token] >= logits.max() - 1e-9
            text.append(choice.token)
    assert conversation.text == text


@pytest.mark.parametrize("config", KINDS)
def test_a_turn_costs_its_own_tokens_only(config, computed):
    """And the last token before it, which was chosen but not computed yet."""
    conversation = Conversation(language_model(config), config)
    conversation.read([1] * 9)
    list(itertools.islice(conversation.answer(None, greedy=True), 4))
    assert computed == [9, 1, 1, 1]
    conversation.read([2, 3, 4])
    list(itertools.islice(conversation.answer(None, greedy=True), 3))
    assert computed[4:] == [1 + 3, 1, 1]
    list(itertools.islice(conversation.answer(None, greedy=True), 2))
    assert computed[7:] == [1, 1]


def test_a_full_window_slides_by_eighths_of_the_context_and_its_tokens_are_computed_again(computed):
    conversation = Conversation(language_model(CONFIG), CONFIG)
    conversation.read([1] * 39)
    list(itertools.islice(conversation.answer(None, greedy=True), 4))
    assert computed == [39, 1, 36, 1] and conversation.begin == 5
    conversation.read([2] * 100)
    next(conversation.answer(None, greedy=True))
    assert computed[4:] == [143 - 105] and conversation.begin == 105


def test_a_single_turn_is_what_generate_writes():
    parameters, rngs = language_model(CONFIG), [np.random.default_rng(3) for _ in range(2)]
    conversation = Conversation(parameters, CONFIG)
    conversation.read([1, 2])
    settings = {"temperature": 2.0, "top_k": 5, "repetition_penalty": 1.1}
    written = [choice.token for choice in itertools.islice(conversation.answer(rngs[0], **settings), 90)]
    assert written == list(itertools.islice(generate(parameters, CONFIG, [1, 2], rngs[1], **settings), 90))


def test_an_end_token_ends_an_answer_and_is_no_part_of_the_text():
    conversation = Conversation(language_model(CONFIG), CONFIG)
    conversation.read([1])
    answer = [choice.token for choice in conversation.answer(np.random.default_rng(0), end=range(4), temperature=5.0)]
    assert answer and set(answer) <= {4, 5, 6} and conversation.text == [1, *answer]
    assert len(list(itertools.islice(conversation.answer(None, greedy=True), 3))) == 3


@pytest.mark.parametrize("config", KINDS)
@pytest.mark.parametrize("interrupted", [0, 1])
def test_an_interrupted_pass_is_computed_again(config, interrupted, monkeypatch):
    """It may have replaced columns of a ring that it needs itself."""
    config = dataclasses.replace(config, n_layer=3)            # the second of them is banded
    parameters = language_model(config, dtype=np.float64)
    conversation = Conversation(parameters, config)
    conversation.read([1, 2, 3, 4, 5])
    next(conversation.answer(None, greedy=True))
    conversation.read([6, 5, 4, 3][:4 - 3 * interrupted])
    patterns = type(conversation.cache).patterns

    class Interrupted:
        def __init__(self, pattern):
            self.pattern = pattern

        def forward(self, *arguments, **settings):
            self.pattern.forward(*arguments, **settings)
            raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(inference, "is_gpt2", lambda config: False)
        patch.setattr(type(conversation.cache), "patterns", lambda *rest: [
            pattern if i != 1 else Interrupted(pattern) for i, pattern in enumerate(patterns(*rest))])
        with pytest.raises(KeyboardInterrupt):
            next(conversation.answer(None, greedy=True))
    text = list(conversation.text)
    choice = next(conversation.answer(None, greedy=True))
    assert choice.token == logits_of(np.array([text]), parameters, config)[0, -1].argmax()
    assert choice.log_probability == pytest.approx(next(fresh(parameters, config, text)).log_probability, abs=1e-12)


def fresh(parameters, config, text):
    conversation = Conversation(parameters, config)
    conversation.read(text)
    return conversation.answer(None, greedy=True)


def test_what_makes_no_sense_is_refused():
    conversation = Conversation(language_model(CONFIG), CONFIG)
    with pytest.raises(InputError, match="the prompt is empty"):
        next(conversation.answer(None, greedy=True))
    with pytest.raises(InputError, match="ids from 1 to 7"):
        conversation.read([1, 7])
    conversation.read([1])
    with pytest.raises(InputError, match="temperature must be above 0"):
        next(conversation.answer(None, temperature=0.0))
    assert conversation.text == [1]
