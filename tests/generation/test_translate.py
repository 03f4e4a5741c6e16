"""Translation: greedy and beam search with caches of source and target."""
import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import seeds
from npgpt.checking.model import unit_scale_parameters
from npgpt.checking.tasks import SMALL_ENCODER_DECODER
from npgpt.errors import InputError
from npgpt.generation.sampling import log_probabilities
from npgpt.generation.translate import Decoding, most_tokens, translate, translate_by_beams, translate_greedily
from npgpt.layers.embedding import unembedding
from npgpt.model.encoder_decoder import encoder_decoder, encoder_decoder_table
from npgpt.model.model import Model
from npgpt.model.parameters import groups
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.vocabulary import with_special_tokens

CONFIG = SMALL_ENCODER_DECODER
PAD, END = CONFIG.pad_token_id, CONFIG.eos_token_id
TABLE = encoder_decoder_table(CONFIG)


def draw_parameters(seed):
    return unit_scale_parameters(TABLE, np.random.default_rng(seed))


def draw_sources(seed, *lengths):
    rng = np.random.default_rng(seed)
    return [[*rng.integers(END, size=length).tolist(), END] for length in lengths]


def next_log_probabilities(source, target, parameters):
    """Without a cache: all tokens again."""
    p = groups(parameters, TABLE)
    y, _ = encoder_decoder(np.array([source]), np.array([[PAD, *target]]), p, CONFIG)
    return log_probabilities(unembedding(y[0, -1], p.shared)[0])


def plain_greedy(source, parameters, most):
    target = []
    while len(target) < most and (token := int(next_log_probabilities(source, target, parameters).argmax())) != END:
        target.append(token)
    return target


@given(seeds)
def test_greedy_search_takes_the_likeliest_token_of_the_whole_computation(seed):
    """Also for several sources of different lengths at once."""
    parameters, sources = draw_parameters(seed), draw_sources(seed, 1, 5, 3)
    expected = [plain_greedy(source, parameters, 6) for source in sources]
    assert translate_greedily(sources, parameters, CONFIG, 6) == expected
    assert [translate_by_beams(source, parameters, CONFIG, 1, 6)[0] for source in sources] == expected


@settings(max_examples=5)
@given(st.integers(1, 2), seeds)
def test_with_enough_beams_the_likeliest_target_is_found(most, seed):
    """Of all targets of at most so many tokens; the score of one is its mean log-probability, its end included."""
    parameters, (source,) = draw_parameters(seed), draw_sources(seed, 3)
    scores = {}
    for length in range(most + 1):
        for target in itertools.product([token for token in range(CONFIG.vocab_size) if token != END], repeat=length):
            ended = [*target, END][:most]
            steps = [next_log_probabilities(source, ended[:t], parameters)[token] for t, token in enumerate(ended)]
            scores[target] = sum(steps) / len(steps)
    best = max(scores, key=scores.get)
    assert translate_by_beams(source, parameters, CONFIG, CONFIG.vocab_size, most)[0] == list(best)


def test_several_sources_have_limits_of_their_own(monkeypatch):
    """A model that never ends: every target has fifty tokens more than its source (Vaswani et al. 2017, section 6.1)."""
    config = dataclasses.replace(CONFIG, n_positions=60)
    monkeypatch.setattr(Decoding, "next_logits", lambda self, tokens, length: np.tile(np.arange(9) == 1, (len(tokens), 1)))
    sources = draw_sources(0, 1, 4, 30)
    assert [len(target) for target in translate_greedily(sources, draw_parameters(0), config)] == [52, 55, 60]
    assert [most_tokens(source, config) for source in sources] == [52, 55, 60]


def test_a_target_that_has_ended_stays_ended(monkeypatch):
    script = [[1, END, 2], [3, 4, END], [END, 5, 6]]
    monkeypatch.setattr(Decoding, "next_logits", lambda self, tokens, length: np.eye(CONFIG.vocab_size)[script[length]])
    assert translate_greedily(draw_sources(0, 2, 2, 2), draw_parameters(0), CONFIG) == [[1, 3], [], [2]]


def test_texts_are_translated_with_the_beams_and_the_length_penalty_that_are_asked_for():
    tokenizer, different = with_special_tokens(CharacterTokenizer("abcdefg"), ["</s>", "<pad>"]), 0
    for seed in range(20):
        parameters, found = draw_parameters(seed), []
        for penalty in (-3.0, 3.0):
            found += translate(Model(parameters, CONFIG, tokenizer, ()), ["bad"], 3, 4, penalty)
            best = translate_by_beams([1, 0, 3, END], parameters, CONFIG, 3, 4, penalty)[0]
            assert found[-1] == tokenizer.decode([token for token in best if token < END])
        different += found[0] != found[1]
    assert different


def test_a_target_has_at_most_fifty_tokens_more_than_its_source_and_fits_the_positions():
    parameters, sources = draw_parameters(0), draw_sources(0, 1, 2)
    assert all(len(target) <= CONFIG.n_positions for target in translate_greedily(sources, parameters, CONFIG))
    assert all(len(target) <= 2 for target in translate_greedily(sources, parameters, CONFIG, 2))


@pytest.mark.parametrize("source, settings, message", [
    ([], {}, "tokens"), ([1] * 9, {}, "tokens"), ([99], {}, "vocabulary"), ([-1], {}, "vocabulary"),
    ([1], {"max_new_tokens": 0}, "tokens"), ([1], {"max_new_tokens": 9}, "tokens")])
def test_what_the_model_cannot_translate_is_refused(source, settings, message):
    parameters = draw_parameters(0)
    with pytest.raises(InputError, match=message):
        translate_greedily([source], parameters, CONFIG, **settings)
    with pytest.raises(InputError, match=message):
        translate_by_beams(source, parameters, CONFIG, 2, **settings)


def test_damaged_models_and_no_beams_are_refused():
    parameters = draw_parameters(0)
    with pytest.raises(InputError, match="beams"):
        translate_by_beams([1, END], parameters, CONFIG, 0)
    parameters[0] = np.nan
    for search in (lambda: translate_greedily([[1, END]], parameters, CONFIG),
                   lambda: translate_by_beams([1], parameters, CONFIG, 2)):
        with pytest.raises(InputError, match="NaN"):
            search()
