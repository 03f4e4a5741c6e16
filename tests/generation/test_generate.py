"""Generation: the next token again and again, and its text as it comes."""
import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.generation.generate import default_prompt, generate, stream_text
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.parameters import initial_parameters, named_views
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer

CONFIG = GPTConfig(vocab_size=7, n_positions=5, n_embd=6, n_layer=1, n_head=2, initializer_range=0.5)
PARAMETERS = initial_parameters(CONFIG, 1)
BYTES = ByteTokenizer()
prompts = st.lists(st.integers(0, 6), min_size=1, max_size=12)
texts = st.text(st.characters(codec="utf-8"))


def generated(prompt, n, seed=0, **settings):
    return list(itertools.islice(generate(PARAMETERS, CONFIG, prompt, np.random.default_rng(seed), **settings), n))


@given(prompts)
def test_greedy_takes_the_largest_logit_after_the_last_n_positions_tokens(prompt):
    ids = list(prompt)
    for token in generated(prompt, 8, greedy=True):
        logits, _ = gpt(np.array([ids[-CONFIG.n_positions:]]), PARAMETERS, CONFIG)
        assert token == logits[0, -1].argmax()
        ids.append(token)


@given(prompts, st.integers(0, 10**6))
def test_a_seed_repeats_past_the_end_of_the_context(prompt, seed):
    first, same = (generated(prompt, 15, seed, temperature=2.0) for _ in range(2))
    assert first == same and all(type(token) is int and 0 <= token < 7 for token in first)


def test_another_seed_writes_something_else():
    assert generated([0], 30, seed=0) != generated([0], 30, seed=1)


@given(prompts, st.integers(0, 10**6))
def test_settings_go_to_the_sampling(prompt, seed):
    assert generated(prompt, 8, seed, temperature=5.0, top_k=1) == generated(prompt, 8, greedy=True)


def test_a_prompt_may_be_an_array_and_is_only_read():
    prompt = np.array([1, 2, 3], np.uint16)
    assert generated(prompt, 5) == generated([1, 2, 3], 5)
    assert prompt.tolist() == [1, 2, 3]


def test_dropout_rests():
    assert CONFIG.resid_pdrop > 0 and generated([1], 9, greedy=True) == generated([1], 9, greedy=True, seed=1)


@pytest.mark.parametrize("prompt, complaint", [([], "the prompt is empty"), ([0, 7], "ids from 0 to 7"), ([-1, 3], "ids from -1 to 3")])
def test_a_prompt_that_cannot_be_continued_is_refused(prompt, complaint):
    with pytest.raises(InputError, match=complaint):
        generated(prompt, 1)


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_whose_scores_are_no_numbers_is_refused(bad, greedy):
    parameters = PARAMETERS.copy()
    named_views(parameters, CONFIG)["transformer.ln_f.bias"][0] = bad
    with np.errstate(all="ignore"), pytest.raises(InputError, match="scores are no finite numbers"):
        next(generate(parameters, CONFIG, [1], np.random.default_rng(0), greedy))


def test_the_prompt_by_default_is_the_end_of_text_else_a_new_line_else_token_0():
    ends = GPTConfig(vocab_size=7, n_embd=12, eos_token_id=3)
    assert default_prompt(ends, CharacterTokenizer("ab\n")) == [3]
    assert default_prompt(CONFIG, CharacterTokenizer("ab\n")) == [2]
    assert default_prompt(CONFIG, CharacterTokenizer("ab")) == [0]


@given(texts)
def test_pieces_are_whole_characters_that_come_as_soon_as_they_can(text):
    """A token is a byte: each piece is one character, said when its last byte has come."""
    pieces = list(stream_text(text.encode(), BYTES))
    assert [piece for piece in pieces if piece] == list(text)


def test_a_piece_comes_before_the_next_token_is_asked_for():
    asked = []
    pieces = stream_text((asked.append(i) or i for i in "aé".encode()), BYTES)
    assert next(pieces) == "a" and len(asked) == 1
    assert next(pieces) == "é" and len(asked) == 3


@given(st.binary())
def test_bytes_that_are_no_text_become_replacement_characters_as_in_decode(data):
    assert "".join(stream_text(data, BYTES)) == BYTES.decode(data)


def test_half_a_character_at_the_end_becomes_a_replacement_character():
    assert "".join(stream_text("aé".encode()[:-1], BYTES)) == "a\ufffd"


@given(st.text("abé", max_size=30), st.text("abé", min_size=1, max_size=4), st.sampled_from([BYTES, CharacterTokenizer("abé")]))
def test_text_ends_before_the_stop_wherever_tokens_split_it(text, stop, tokenizer):
    tokens = tokenizer.encode(text)
    assert "".join(stream_text(tokens, tokenizer, stop)) == text.split(stop)[0]


class Words:
    """A tokenizer whose tokens are words, as those of byte-pair encoding may be."""
    vocabulary = [b"one", b". two. three.", b" four"]

    def decode_bytes(self, ids):
        return b"".join(self.vocabulary[i] for i in ids)


@pytest.mark.parametrize("stop, expected", [(".", "one"), (". th", "one. two"), ("e. ", "on"), (". four", "one. two. three"), ("five", "one. two. three. four")])
def test_the_stop_may_stand_in_the_middle_of_a_token_and_more_than_once(stop, expected):
    assert "".join(stream_text([0, 1, 2], Words(), stop)) == expected


@given(st.text("ab", max_size=30), st.text("ab", min_size=1, max_size=4))
def test_no_piece_holds_any_of_the_stop(text, stop):
    """What was said before is never to be taken back."""
    said = ""
    for piece in stream_text((text + stop).encode(), BYTES, stop):
        said += piece
        assert (text + stop).split(stop)[0].startswith(said)


def test_after_the_stop_no_token_is_asked_for():
    tokens = iter(b"one. two")
    assert "".join(stream_text(tokens, BYTES, ".")) == "one"
    assert bytes(tokens) == b" two"


def test_what_only_began_like_the_stop_is_said_in_the_end():
    assert "".join(stream_text(b"abab", BYTES, "abc")) == "abab"
