"""Beam search: the likeliest text that a search over a few at a time finds."""
import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import language_model, logits_of, seeds, small_configs
from npgpt.errors import InputError
from npgpt.generation import beam_search as search
from npgpt.generation.beam_search import Beam, beam_search, best_beams, likeliest
from npgpt.generation.generate import generate
from npgpt.generation.sampling import log_probabilities
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import named_views

CONFIG = GPTConfig(vocab_size=4, n_positions=8, n_embd=6, n_layer=2, n_head=2, initializer_range=0.7)
prompts = st.lists(st.integers(0, 3), min_size=1, max_size=4)
END = 0


def model(seed):
    return language_model(CONFIG, seed, np.float64)


def log_probability(parameters, prompt, tokens):
    """Of the whole continuation, without a cache."""
    logits = logits_of(np.array([prompt + tokens]), parameters, CONFIG)
    chosen = log_probabilities(logits[0, len(prompt) - 1:-1])
    return float(chosen[np.arange(len(tokens)), tokens].sum())


@given(seeds, prompts, st.sampled_from([0.5, 1.0, 1.3, 3.0]), st.sampled_from([(), (END,), (1, 3)]))
def test_one_beam_is_greedy_search(seed, prompt, penalty, end):
    """With a penalty too: it acts on logits in greedy search, and on log-probabilities where there are several beams."""
    beam, = beam_search(model(seed), CONFIG, prompt, 1, 4, end, repetition_penalty=penalty)
    greedy = generate(model(seed), CONFIG, prompt, None, greedy=True, repetition_penalty=penalty, end=end)
    assert beam.tokens == list(itertools.islice(greedy, 4))
    assert beam.score == pytest.approx(log_probability(model(seed), prompt, beam.tokens) / len(beam.tokens))


@given(seeds, prompts, st.integers(1, 3), st.floats(0, 2))
def test_enough_beams_find_the_best_text_of_all(seed, prompt, new, length_penalty):
    """With a beam for every possible text, none is discarded; without an end token all have the same length."""
    parameters = model(seed)
    found = beam_search(parameters, CONFIG, prompt, 4**new, new, length_penalty=length_penalty)
    every = list(itertools.product(range(4), repeat=new))
    scores = {tokens: log_probability(parameters, prompt, list(tokens)) / new**length_penalty for tokens in every}
    assert {tuple(beam.tokens) for beam in found} == set(every)
    assert [beam.score for beam in found] == pytest.approx(sorted(scores.values(), reverse=True), rel=1e-5)


@given(seeds, prompts, st.integers(1, 5), st.sampled_from([0.0, 1.0, 2.0]), st.sampled_from([{END}, {END, 2}]))
def test_texts_end_at_an_end_token_or_at_the_limit_and_are_scored_by_their_length(seed, prompt, beams, length_penalty, end):
    parameters = model(seed)
    found = beam_search(parameters, CONFIG, prompt, beams, 4, end, length_penalty)
    assert len({tuple(beam.tokens) for beam in found}) == len(found) == min(beams, len(found))
    for beam in found:
        assert len(beam.tokens) == 4 or beam.tokens[-1] in end
        assert end.isdisjoint(beam.tokens[:-1])
        expected = log_probability(parameters, prompt, beam.tokens) / len(beam.tokens)**length_penalty
        assert beam.score == pytest.approx(expected, rel=1e-5)
    assert [beam.score for beam in found] == sorted((beam.score for beam in found), reverse=True)


def test_a_text_that_ends_is_closed_only_if_it_is_among_the_first_beams():
    """And others stay open in its place."""
    config = dataclasses.replace(CONFIG, n_layer=1)
    parameters = np.zeros_like(language_model(config, 0, np.float64))
    views = named_views(parameters, language_model_table(config))
    views["ln_f.bias"][0] = 1
    views["wte"][:, 0] = 0, -0.1, -0.2, -0.3                      # every text ends more likely than it goes on
    for end, expected in (({0, 1}, [[0], [1]]),
                          ({1}, [[1], [0, 0]]),
                          ({2}, [[0, 0], [0, 1]])):              # the third of the continuations is no beam
        found = beam_search(parameters, config, [3], 2, 2, end, length_penalty=0.0)
        assert [beam.tokens for beam in found] == expected


@pytest.mark.parametrize("seed", range(30))
def test_enough_continuations_are_considered(monkeypatch, seed):
    """Considering all of them finds the same texts, although many of the likeliest end. The penalty favours long texts."""
    config = dataclasses.replace(CONFIG, vocab_size=8)
    arguments = language_model(config, seed, np.float64), config, [1], 4, 5, range(5), 3.0
    found = beam_search(*arguments)
    monkeypatch.setattr(search, "likeliest", lambda opened, texts, logits, count, penalty:
                        likeliest(opened, texts, logits, logits.size, penalty))
    assert beam_search(*arguments) == found


@given(small_configs, seeds, st.integers(2, 4), st.data())
def test_models_of_every_kind_find_what_a_search_without_a_cache_finds(config, seed, beams, data):
    """Several times the window: beams take over the keys and values of others."""
    parameters, prompt = language_model(config, seed, np.float64), [1, 2]
    new, texts = data.draw(st.integers(1, config.n_positions - 2)), [prompt]

    def extend(rows, tokens, length):
        texts[:] = [texts[row] + [token] for row, token in zip(rows, tokens, strict=True)]
        return logits_of(np.array(texts), parameters, config)[:, -1]
    expected = best_beams(logits_of(np.array(texts), parameters, config)[:, -1], extend, prompt, beams, new, [END])
    found = beam_search(parameters, config, prompt, beams, new, [END])
    assert [beam.score for beam in found] == pytest.approx([beam.score for beam in expected], rel=1e-5)
    if len(set(np.float32([beam.score for beam in expected]))) == len(expected):
        assert [beam.tokens for beam in found] == [beam.tokens for beam in expected]


def test_the_search_goes_on_while_an_open_beam_is_better_than_the_worst_closed_one():
    """A model by hand: what follows a token has these probabilities."""
    after = {1: [0.45, 0.55, 0.0], 2: [0.1, 0.9, 0.0], 11: [0.9, 0.1, 0.0], 21: [0.5, 0.5, 0.0]}
    texts = [0]

    def extend(rows, tokens, length):
        texts[:] = [10 * texts[row] + token for row, token in zip(rows, tokens, strict=True)]
        return np.log(np.maximum([after[text] for text in texts], 1e-9))
    found = best_beams(np.log([[0.5, 0.4, 0.1]]), extend, [1], 2, 3, [END], length_penalty=0.0)
    assert [beam.tokens for beam in found] == [[0], [1, 1, 0]]          # .5 and .198, after .5 and .18


def test_of_equal_scores_the_smaller_token_comes_first():
    logits = np.zeros((1, 300))
    equal = np.random.default_rng(0).choice(300, 40, replace=False)
    logits[0, equal] = 1
    found = [beam.tokens[-1] for _, beam in likeliest([Beam([], 0.0)], [[1]], logits, 40, 1.0)]
    assert found == sorted(equal.tolist())


def test_scores_are_compared_in_float32():
    """As in transformers, which would choose differently among near ones otherwise. Of equal ones the first is taken."""
    logits = np.array([[0.0, -1.0, 1e-6, -1.0]])
    first, second = ([beam.tokens[-1] for _, beam in likeliest([Beam([1], score)], [[1]], logits, 2, 1.0)]
                     for score in (-0.5, -1000.0))
    assert first == [2, 0] and second == [0, 2]


def test_a_penalty_makes_repetition_rarer():
    """In several models, because a single one may repeat nothing."""
    plain, varied = (sum(len(set(beam_search(model(seed), CONFIG, [1], 1, 7, repetition_penalty=penalty)[0].tokens))
                         for seed in range(10)) for penalty in (1.0, 100.0))
    assert varied > plain + 5


@pytest.mark.parametrize("arguments, complaint", [
    (([], 2, 3), "the prompt is empty"), (([4], 2, 3), "ids from 4 to 4"), (([1], 0, 3), "must be 1 or more, not 0 and 3"),
    (([1], 2, 0), "must be 1 or more, not 2 and 0"), (([1, 2], 2, 7), "do not fit the context of 8.*ask for 6 or fewer"),
    (([1] * 9, 2, 1), "do not fit the context of 8.*shorten the prompt")])
def test_arguments_that_do_not_fit_are_refused(arguments, complaint):
    with pytest.raises(InputError, match=complaint):
        beam_search(model(0), CONFIG, *arguments)


def test_a_penalty_of_0_and_logits_that_are_nan_are_refused():
    with pytest.raises(InputError, match="repetition-penalty must be above 0"):
        beam_search(model(0), CONFIG, [1], 2, 3, repetition_penalty=0.0)
    with np.errstate(all="ignore"), pytest.raises(InputError, match="NaN or infinite"):
        beam_search(model(0) * np.nan, CONFIG, [1], 2, 3)
