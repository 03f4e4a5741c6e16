"""Generation: the next token again and again, and its text as it comes."""
import dataclasses
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import language_model, logits_of, seeds, small_configs
from npgpt.errors import InputError
from npgpt.generation import generate as generation
from npgpt.generation.beam_search import beam_search
from npgpt.generation.generate import Choice, default_prompt, generate, generate_batch, stream_text
from npgpt.generation.sampling import log_probabilities, penalise_repetition
from npgpt.model.config import GPTConfig
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import named_views
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.word_bpe import WordBPETokenizer
from npgpt.text.word_piece import WordPieceTokenizer

CONFIG = GPTConfig(vocab_size=7, n_positions=5, n_embd=6, n_layer=1, n_head=2, initializer_range=0.5)
PARAMETERS = language_model(CONFIG, 1)
BYTES = ByteTokenizer()
prompts = st.lists(st.integers(0, 6), min_size=1, max_size=12)
texts = st.text(st.characters(codec="utf-8"))


def generated(prompt, n, seed=0, **settings):
    return list(itertools.islice(generate(PARAMETERS, CONFIG, prompt, np.random.default_rng(seed), **settings), n))


@given(prompts)
def test_greedy_takes_the_largest_logit_after_the_last_n_positions_tokens(prompt):
    ids = list(prompt)
    for token in generated(prompt, 8, greedy=True):
        logits = logits_of(np.array([ids[-CONFIG.n_positions:]]), PARAMETERS, CONFIG)
        assert token == logits[0, -1].argmax()
        ids.append(token)


@given(prompts, seeds)
def test_the_same_seed_gives_the_same_text_even_past_the_end_of_the_context(prompt, seed):
    first, same = (generated(prompt, 15, seed, temperature=2.0) for _ in range(2))
    assert first == same and all(type(token) is int and 0 <= token < 7 for token in first)


def test_another_seed_gives_another_text():
    assert generated([0], 30, seed=0) != generated([0], 30, seed=1)


@given(prompts, seeds)
def test_settings_are_passed_to_sampling(prompt, seed):
    assert generated(prompt, 8, seed, temperature=5.0, top_k=1) == generated(prompt, 8, greedy=True)


def test_a_prompt_may_be_an_array_and_is_not_changed():
    prompt = np.array([1, 2, 3], np.uint16)
    assert generated(prompt, 5) == generated([1, 2, 3], 5)
    assert prompt.tolist() == [1, 2, 3]


def test_there_is_no_dropout_in_generation():
    assert CONFIG.resid_pdrop > 0 and generated([1], 9, greedy=True) == generated([1], 9, greedy=True, seed=1)


@pytest.mark.parametrize("prompt, complaint", [([], "the prompt is empty"), ([0, 7], "ids from 0 to 7"),
                                               ([-1, 3], "ids from -1 to 3")])
def test_a_prompt_that_is_empty_or_outside_the_vocabulary_is_refused(prompt, complaint):
    with pytest.raises(InputError, match=complaint):
        generated(prompt, 1)


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_whose_logits_are_nan_or_infinite_is_refused(bad, greedy):
    parameters = PARAMETERS.copy()
    named_views(parameters, language_model_table(CONFIG))["ln_f.bias"][0] = bad
    with np.errstate(all="ignore"), pytest.raises(InputError, match="logits are NaN or infinite"):
        next(generate(parameters, CONFIG, [1], np.random.default_rng(0), greedy))


def batch(prompts, n, seeds=None, **settings):
    rngs = [np.random.default_rng(seed) for seed in seeds or range(len(prompts))]
    return list(itertools.islice(generate_batch(PARAMETERS, CONFIG, prompts, rngs, **settings), n))


@given(st.lists(prompts, min_size=1, max_size=4), st.booleans(), st.sampled_from([1.0, 1.5]), st.integers(1, 5))
def test_in_a_batch_every_text_is_what_it_is_alone(several, greedy, penalty, slide):
    """Long ones, short ones, repeated ones; also past the end of the context, where each slides when it is full itself."""
    settings = {"greedy": greedy, "repetition_penalty": penalty, "slide": slide}
    steps = batch(several, 15, **settings)
    for b, prompt in enumerate(several):
        assert [step[b].token for step in steps] == generated(prompt, 15, b, **settings)


def test_the_content_of_unused_memory_does_not_matter(monkeypatch):
    """The columns before a shorter text are read, with a weight of 0, and 0 times NaN is NaN."""
    expected = batch([[1, 2, 3], [4]], 12, greedy=True)
    monkeypatch.setattr(np, "empty", lambda *shape, **settings: np.full(shape[0], np.nan, *shape[1:], **settings))
    assert batch([[1, 2, 3], [4]], 12, greedy=True) == expected


def test_a_text_that_ended_early_does_not_affect_others_that_slide():
    several, seeds, settings = [[1] * 5, [2]], [2, 1], {"temperature": 2.0, "end": [6]}
    long, short = (generated(prompt, 500, seed, **settings) for prompt, seed in zip(several, seeds))
    assert len(short) <= 2 and len(long) > 2 * CONFIG.n_positions      # it slides
    steps = batch(several, 500, seeds, **settings)
    assert [[step[b].token for step in steps if step[b] is not None] for b in range(2)] == [long, short]


def test_a_prompt_that_is_given_several_times_is_continued_differently():
    steps = batch([[1, 2]] * 3, 30)
    assert len({tuple(step[b].token for step in steps) for b in range(3)}) == 3


@given(prompts, st.integers(1, 5), st.booleans())
def test_the_window_slides_by_the_number_of_tokens_asked_for(prompt, slide, greedy):
    ids, begin = list(prompt), max(len(prompt) - CONFIG.n_positions, 0)
    for step, in batch([prompt], 12, [3], greedy=True, slide=slide):
        logits = logits_of(np.array([ids[begin:]]), PARAMETERS, CONFIG)
        assert step.token == logits[0, -1].argmax()
        ids.append(step.token)
        if len(ids) - begin > CONFIG.n_positions:
            begin += slide


@given(small_configs, st.lists(prompts, min_size=1, max_size=3), seeds, st.data())
def test_models_of_every_kind_write_what_the_full_computation_finds_likeliest(config, several, seed, data):
    """Blocks of all kinds, with windows and without: past the end of the context, where each text slides by itself."""
    parameters, slide = language_model(config, seed, np.float64), data.draw(st.integers(1, config.n_positions))
    texts, begins = [list(prompt) for prompt in several], [max(len(prompt) - config.n_positions, 0) for prompt in several]
    steps = generate_batch(parameters, config, several, [None] * len(several), greedy=True, slide=slide)
    for step in itertools.islice(steps, 2 * config.n_positions):
        for b, (text, choice) in enumerate(zip(texts, step, strict=True)):
            logits = logits_of(np.array([text[begins[b]:]]), parameters, config)[0, -1]
            assert logits[choice.token] >= logits.max() - 1e-9
            assert choice.log_probability == pytest.approx(log_probabilities(logits)[choice.token], abs=1e-9)
            text.append(choice.token)
            if len(text) - begins[b] > config.n_positions:
                begins[b] += slide


@pytest.mark.parametrize("length", [3, 1])
def test_a_cache_that_is_widened_makes_no_difference(monkeypatch, length):
    """It has one column more than the prompt, then twice as many, and in the end those of the whole context."""
    config = dataclasses.replace(CONFIG, n_positions=11, n_layer=2, window_size=6)
    parameters, several = language_model(config, 1), [[1, 2, 3], [4] * length]

    def texts():
        steps = generate_batch(parameters, config, several, [None, None], greedy=True)
        return [[choice.token for choice in step] for step in itertools.islice(steps, 30)]
    expected = texts()
    monkeypatch.setattr(generation, "NEW_COLUMNS", 1)
    assert texts() == expected


@pytest.mark.parametrize("search", [lambda *model: list(itertools.islice(generate(*model, [1], None, greedy=True), 200)),
                                    lambda *model: beam_search(*model, [1], 2, 200)])
def test_memory_is_allocated_for_the_tokens_in_use_not_for_the_longest_text_that_the_model_allows(search):
    config = dataclasses.replace(CONFIG, n_positions=2**24, position_embedding_type="sinusoidal")
    parameters = language_model(config)
    tracemalloc.start()
    search(parameters, config)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**19


def test_a_banded_layer_keeps_its_window_only():
    """Of a text of 300 tokens: 364 columns in two layers, 16 in one. A token takes 2 x 64 numbers in each."""
    config = GPTConfig(vocab_size=7, n_positions=512, n_embd=64, n_layer=3, n_head=1, n_inner=1)

    def kept(config):
        parameters = language_model(config)
        tracemalloc.start()
        steps = generate(parameters, config, [1] * 300, None, greedy=True)
        next(steps)
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size
    kept(config)
    saved = kept(config) - kept(dataclasses.replace(config, window_size=16))
    assert saved == pytest.approx((300 + generation.NEW_COLUMNS - 16) * 2 * 64 * 4, rel=0.02)


def test_the_window_slides_by_an_eighth_of_the_context_by_default():
    config = dataclasses.replace(CONFIG, n_positions=16)
    parameters = language_model(config, 1)
    default, eighth, quarter = (list(itertools.islice(generate_batch(parameters, config, [[1]], [None], greedy=True, **settings), 40))
                                for settings in ({}, {"slide": 2}, {"slide": 4}))
    assert default == eighth != quarter


@pytest.mark.parametrize("slide", [0, 6])
def test_a_slide_of_0_or_of_more_than_the_context_is_refused(slide):
    with pytest.raises(InputError, match=r"slide must lie between 1 and the context \(5\)"):
        batch([[1]], 1, slide=slide)


@given(prompts, seeds, st.sampled_from([{}, {"temperature": 0.3}, {"top_k": 2}, {"top_p": 0.5}, {"greedy": True}]))
def test_the_log_probability_is_the_models_own(prompt, seed, settings):
    (step,), = batch([prompt], 1, [seed], repetition_penalty=1.7, **settings)
    logits = logits_of(np.array([prompt[-CONFIG.n_positions:]]), PARAMETERS, CONFIG)
    assert step.log_probability == pytest.approx(float(log_probabilities(logits[0, -1])[step.token]), abs=1e-5)


def test_a_text_ends_with_the_first_end_token_and_the_iteration_with_the_last_text():
    several, end = [[1], [2, 3, 4], [5]], (6, 4)
    steps = batch(several, 500, temperature=2.0, end=end)
    lengths = []
    for b, prompt in enumerate(several):
        tokens = [step[b] for step in steps]
        length = next(n for n, choice in enumerate(tokens, 1) if choice.token in end)
        assert tokens[length:] == [None] * (len(tokens) - length)
        assert [choice.token for choice in tokens[:length]] == generated(prompt, length, b, temperature=2.0)
        lengths.append(length)
    assert len(steps) == max(lengths) and len(set(lengths)) > 1


def test_generate_ends_there_too():
    tokens = list(generate(PARAMETERS, CONFIG, [1], np.random.default_rng(0), temperature=2.0, end=[6]))
    assert tokens[-1] == 6 and 6 not in tokens[:-1]


@given(prompts, st.sampled_from([0.5, 1.2, 3.0]))
def test_the_penalty_acts_on_all_tokens_of_the_text_even_those_that_left_the_window(prompt, penalty):
    ids = list(prompt)
    for token in generated(prompt, 8, greedy=True, repetition_penalty=penalty):
        logits = logits_of(np.array([ids[-CONFIG.n_positions:]]), PARAMETERS, CONFIG)
        assert token == penalise_repetition(logits[0, -1], ids, penalty).argmax()
        ids.append(token)


@pytest.mark.parametrize("settings", [{"temperature": 0.0}, {"top_p": 2.0}, {"top_k": 0}, {"repetition_penalty": 0.0},
                                      {"repetition_penalty": np.nan}])
def test_settings_out_of_range_are_refused_even_where_greedy_does_not_use_them(settings):
    with pytest.raises(InputError, match="must"):
        generated([1], 1, greedy=True, **settings)


def test_a_choice_is_a_token_and_its_log_probability():
    (step,), = batch([[1]], 1)
    assert isinstance(step, Choice) and type(step.token) is int and step.log_probability < 0


def test_the_default_prompt_is_the_end_of_text_token_else_a_new_line_else_token_0():
    ends = GPTConfig(vocab_size=7, n_embd=12, eos_token_id=3)
    assert default_prompt(ends, CharacterTokenizer("ab\n")) == [3]
    assert default_prompt(dataclasses.replace(ends, eos_token_id=(5, 3)), CharacterTokenizer("ab\n")) == [5]
    assert default_prompt(CONFIG, CharacterTokenizer("ab\n")) == [2]
    assert default_prompt(CONFIG, CharacterTokenizer("ab")) == [0]


def test_the_default_prompt_of_words_is_a_full_stop():
    tokenizer = WordPieceTokenizer({"[UNK]": 0, "a": 1, ".": 2}, ["[UNK]"])
    assert default_prompt(CONFIG, tokenizer) == [2]


def test_words_are_streamed_with_the_spaces_between_them():
    tokenizer = WordBPETokenizer({"<unk>": 0, "a": 1, "b</w>": 2, "c</w>": 3}, [])
    assert list(stream_text(tokenizer.encode("ab c"), tokenizer))[:3] == ["a", "b ", "c "]


@given(texts)
def test_pieces_are_whole_characters_that_come_as_soon_as_they_can(text):
    """A token is a byte: each piece is one character, and comes with its last byte."""
    pieces = list(stream_text(text.encode(), BYTES))
    assert [piece for piece in pieces if piece] == list(text)


def test_a_piece_comes_before_the_next_token_is_taken():
    asked = []
    pieces = stream_text((asked.append(i) or i for i in "aé".encode()), BYTES)
    assert next(pieces) == "a" and len(asked) == 1
    assert next(pieces) == "é" and len(asked) == 3


@given(st.binary())
def test_bytes_that_are_not_utf_8_become_replacement_characters_as_in_decode(data):
    assert "".join(stream_text(data, BYTES)) == BYTES.decode(data)


@pytest.mark.parametrize("prompts, generators", [([], []), ([[1], [2]], [None])])
def test_a_batch_needs_prompts_and_a_generator_for_each(prompts, generators):
    with pytest.raises(InputError, match=f"there are {len(prompts)} and {len(generators)}"):
        next(generate_batch(PARAMETERS, CONFIG, prompts, generators))


def test_a_token_that_the_tokenizer_does_not_have_becomes_a_replacement_character():
    """Many models have a vocabulary that is rounded up."""
    assert "".join(stream_text([97, 256, 98, 300], BYTES)) == "a\ufffdb\ufffd"


def test_an_incomplete_character_at_the_end_becomes_a_replacement_character():
    assert "".join(stream_text("aé".encode()[:-1], BYTES)) == "a\ufffd"


@given(st.text("abé", max_size=30), st.text("abé", min_size=1, max_size=4),
       st.sampled_from([BYTES, CharacterTokenizer("abé")]))
def test_the_text_ends_before_the_stop_text_wherever_tokens_divide_it(text, stop, tokenizer):
    tokens = tokenizer.encode(text)
    assert "".join(stream_text(tokens, tokenizer, stop)) == text.split(stop)[0]


@given(st.text("abé", max_size=30), st.lists(st.text("abé", min_size=1, max_size=4), max_size=3))
def test_of_several_stop_texts_the_first_that_occurs_ends_the_text(text, stops):
    """A token is a byte, so that a stop text never comes in one token with what follows it."""
    ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
    expected = text if not ends else min((text[:min(ends)].split(stop)[0] for stop in stops), key=len)
    assert "".join(stream_text(text.encode(), BYTES, stops)) == expected


class Words:
    """A tokenizer whose tokens are words, as those of byte-pair encoding may be."""
    vocabulary = [b"one", b". two. three.", b" four"]
    vocab_size = 3

    def decode_bytes(self, ids):
        return b"".join(self.vocabulary[i] for i in ids)


@pytest.mark.parametrize("stops", [["three", "two"], ["two", "three"], [" th", ". t", "our"]])
def test_of_several_stop_texts_in_one_token_the_one_that_stands_first_ends_the_text(stops):
    """Whatever their order."""
    assert "".join(stream_text([0, 1, 2], Words(), stops)) == ("one. " if "two" in stops else "one")


@pytest.mark.parametrize("stop, expected", [(".", "one"), (". th", "one. two"), ("e. ", "on"), (". four", "one. two. three"),
                                            ("five", "one. two. three. four")])
def test_the_stop_text_may_be_in_the_middle_of_a_token_and_occur_more_than_once(stop, expected):
    assert "".join(stream_text([0, 1, 2], Words(), stop)) == expected


@given(st.text("ab", max_size=30), st.text("ab", min_size=1, max_size=4))
def test_no_piece_contains_a_part_of_the_stop_text(text, stop):
    """Because a piece cannot be withdrawn."""
    said = ""
    for piece in stream_text((text + stop).encode(), BYTES, stop):
        said += piece
        assert (text + stop).split(stop)[0].startswith(said)


def test_after_the_stop_text_no_token_is_taken():
    tokens = iter(b"one. two")
    assert "".join(stream_text(tokens, BYTES, ".")) == "one"
    assert bytes(tokens) == b" two"


def test_what_only_started_like_the_stop_text_comes_in_the_end():
    assert "".join(stream_text(b"abab", BYTES, "abc")) == "abab"
