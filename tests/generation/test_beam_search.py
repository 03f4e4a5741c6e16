"""Beam search: the likeliest text, as far as a few at a time can find it."""
import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.generation.beam_search import Beam, beam_search, likeliest
from npgpt.generation.generate import generate
from npgpt.generation.sampling import log_probabilities
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.parameters import initial_parameters

CONFIG = GPTConfig(vocab_size=4, n_positions=8, n_embd=6, n_layer=2, n_head=2, initializer_range=0.7)
seeds = st.integers(0, 10**6)
prompts = st.lists(st.integers(0, 3), min_size=1, max_size=4)
END = 0


def model(seed):
    return initial_parameters(CONFIG, seed, np.float64)


def log_probability(parameters, prompt, tokens):
    """Of the whole continuation, without a cache."""
    logits, _ = gpt(np.array([prompt + tokens]), parameters, CONFIG)
    chosen = log_probabilities(logits[0, len(prompt) - 1:-1])
    return float(chosen[np.arange(len(tokens)), tokens].sum())


@given(seeds, prompts)
def test_one_beam_is_greedy(seed, prompt):
    beam, = beam_search(model(seed), CONFIG, prompt, 1, 4)
    assert beam.tokens == list(itertools.islice(generate(model(seed), CONFIG, prompt, None, greedy=True), 4))


@given(seeds, prompts, st.integers(1, 3), st.floats(0, 2))
def test_enough_beams_find_the_best_of_all(seed, prompt, new, length_penalty):
    """With a beam for every text that there is, nothing is passed over; without an end all are of one length."""
    parameters = model(seed)
    found = beam_search(parameters, CONFIG, prompt, 4**new, new, length_penalty=length_penalty)
    every = list(itertools.product(range(4), repeat=new))
    scores = {tokens: log_probability(parameters, prompt, list(tokens)) / new**length_penalty for tokens in every}
    assert {tuple(beam.tokens) for beam in found} == set(every)
    assert [beam.score for beam in found] == pytest.approx(sorted(scores.values(), reverse=True), rel=1e-5)


@given(seeds, prompts, st.integers(1, 5), st.sampled_from([0.0, 1.0, 2.0]))
def test_texts_end_at_the_end_token_or_at_the_limit_and_are_scored_by_their_length(seed, prompt, beams, length_penalty):
    parameters = model(seed)
    found = beam_search(parameters, CONFIG, prompt, beams, 4, END, length_penalty)
    assert len({tuple(beam.tokens) for beam in found}) == len(found) == min(beams, len(found))
    for beam in found:
        assert len(beam.tokens) == 4 or beam.tokens[-1] == END
        assert END not in beam.tokens[:-1]
        assert beam.score == pytest.approx(log_probability(parameters, prompt, beam.tokens) / len(beam.tokens)**length_penalty, rel=1e-5)
    assert [beam.score for beam in found] == sorted((beam.score for beam in found), reverse=True)


def test_scores_are_told_apart_as_far_as_float32_does():
    """As in transformers, or its choices among near ones would be others: of equals the first goes on."""
    logits = np.array([[0.0, -1.0, 1e-6, -1.0]])
    first, second = ([beam.tokens[-1] for _, beam in likeliest([Beam([1], score)], [[1]], logits, 2, 1.0)] for score in (-0.5, -1000.0))
    assert first == [2, 0] and second == [0, 2]


def test_a_penalty_makes_repetition_rarer():
    parameters = model(3)
    plain, = beam_search(parameters, CONFIG, [1], 1, 7)
    varied, = beam_search(parameters, CONFIG, [1], 1, 7, repetition_penalty=100.0)
    assert len(set(varied.tokens[:3])) == 3 > len(set(plain.tokens[:3]))


@pytest.mark.parametrize("arguments, complaint", [
    (([], 2, 3), "the prompt is empty"), (([4], 2, 3), "ids from 4 to 4"), (([1], 0, 3), "must be 1 or more, not 0 and 3"),
    (([1], 2, 0), "must be 1 or more, not 2 and 0"), (([1, 2], 2, 7), "do not fit the context of 8.*ask for 6 or fewer"),
    (([1] * 9, 2, 1), "do not fit the context of 8.*shorten the prompt")])
def test_what_cannot_be_searched_is_refused(arguments, complaint):
    with pytest.raises(InputError, match=complaint):
        beam_search(model(0), CONFIG, *arguments)


def test_a_penalty_of_nothing_and_scores_that_are_no_numbers_are_refused():
    with pytest.raises(InputError, match="repetition-penalty must be above 0"):
        beam_search(model(0), CONFIG, [1], 2, 3, repetition_penalty=0.0)
    with np.errstate(all="ignore"), pytest.raises(InputError, match="no finite numbers"):
        beam_search(model(0) * np.nan, CONFIG, [1], 2, 3)
