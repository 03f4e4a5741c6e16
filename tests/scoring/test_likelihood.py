"""Likelihoods of continuations, in token trees: equal to those of each text alone."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import language_model, logits_of, seeds, small_configs
from npgpt.errors import InputError
from npgpt.generation.sampling import log_probabilities
from npgpt.model.config import GPTConfig
from npgpt.model.model import Model
from npgpt.scoring.likelihood import Continuation, continuation, likelihoods
from npgpt.scoring.token_tree import TokenTree, trees
from npgpt.text.characters import CharacterTokenizer
from npgpt.text.raw_bytes import ByteTokenizer
from npgpt.text.vocabulary import with_special_tokens

CONFIG = GPTConfig(vocab_size=257, n_positions=12, n_embd=8, n_layer=2, n_head=2, eos_token_id=256, initializer_range=0.5)
TOKENIZER = with_special_tokens(ByteTokenizer(), ["<end>"])


def alone(one, parameters, config):
    """The log-probability of a continuation, and whether it is the likeliest at every step, by one pass without a tree."""
    ids = np.array(one.context + one.ids)
    logits = logits_of(ids[None, :-1], parameters, config)[0][-len(one.ids):]
    right = ids[-len(one.ids):]
    return log_probabilities(logits)[np.arange(len(right)), right].sum(), bool((logits.argmax(axis=1) == right).all())


@given(small_configs, seeds, st.integers(1, 40))
def test_likelihoods_in_trees_are_those_of_each_text_alone(config, seed, tree_size):
    rng, n = np.random.default_rng(seed), config.n_positions
    parameters = language_model(config, seed, np.float64)
    shared = rng.integers(config.vocab_size, size=n).tolist()
    some = []
    for _ in range(5):
        context = shared[:rng.integers(1, n)]
        ids = rng.integers(config.vocab_size, size=rng.integers(1, n + 2 - len(context)))
        some.append(Continuation(context, ids.tolist()))
    some.append(some[0])
    likeliest = int(logits_of(np.array([shared[:2]]), parameters, config)[0, -1].argmax())
    some.append(Continuation(shared[:2], [likeliest]))
    found = likelihoods(Model(parameters, config, None), some, tree_size=tree_size)
    assert found[-1].greedy
    for one, likelihood in zip(some, found, strict=True):
        total, greedy = alone(one, parameters, config)
        assert abs(likelihood.log_probability - total) < 1e-10
        assert (likelihood.tokens, likelihood.greedy) == (len(one.ids), greedy)


def test_what_sequences_share_is_computed_once():
    (tree, paths), = trees([(1, 2, 3), (1, 2, 4), (1, 5)], size=9)
    assert tree.ids == [1, 2, 3, 4, 5] and tree.depths == [0, 1, 2, 2, 1]
    assert paths == [[0, 1, 2], [0, 1, 3], [0, 4]]


def test_trees_are_of_about_the_size_asked_for_unless_most_is_shared():
    sizes = [len(tree) for tree, _ in trees([(1, 2, 3, 4), (5, 6, 7, 8), (5, 6, 7, 9)], size=4)]
    assert sizes == [4, 5]


def test_a_longer_sequence_than_the_size_has_a_tree_of_its_own():
    assert [len(tree) for tree, _ in trees([(1,) * 9, (2,)], size=3)] == [9, 1]


def test_no_sequence_needs_no_tree():
    assert [*trees([], 5)] == [] and len(TokenTree()) == 0


@pytest.mark.parametrize("context, text, before, after", [
    ("ab", " c", "ab", " c"),
    ("ab ", "c", "ab", " c"),                   # spaces at the end of the context belong to what follows
    ("ab \n", "c", "ab", " \nc"),
    ("abcdefghijkl", " yz", "cdefghijkl", " yz"),              # 13 tokens: the last one is predicted only
    ("", " c", [256], " c"),
])
def test_continuations_are_divided_from_their_context_as_in_lm_evaluation_harness(context, text, before, after):
    found = continuation(context, text, TOKENIZER, CONFIG)
    before = [*before.encode()] if isinstance(before, str) else before
    assert (found.context, found.ids) == (before, [*after.encode()])
    assert found.cut == max(len(context) + len(text) - 13, 0)


def test_tokens_beyond_those_of_the_context_alone_are_the_continuation():
    class Merging(CharacterTokenizer):
        """Has one token for "ab"."""
        def encode_plain(self, text):
            return super().encode_plain(text.replace("ab", "c"))

    found = continuation("ca", "ba", Merging("abc"), CONFIG)
    assert (found.context, found.ids) == ([2, 0], [0])             # whole: c, ab, a


@pytest.mark.parametrize("bos, expected", [(3, 3), (None, 256)])
def test_an_empty_context_is_the_token_that_texts_begin_with(bos, expected):
    config = GPTConfig(**{**vars(CONFIG), "bos_token_id": bos})
    assert continuation("", "x", TOKENIZER, config).context == [expected]


@pytest.mark.parametrize("context, text, complaint", [
    ("a", "", "is empty"), ("a ", " ", "is empty"), ("a", "x" * 13, "13 tokens, more than the model's context of 12")])
def test_continuations_that_cannot_be_scored_are_refused(context, text, complaint):
    with pytest.raises(InputError, match=complaint):
        continuation(context, text, TOKENIZER, CONFIG)


def test_nan_is_no_likelihood():
    parameters = language_model(CONFIG)
    parameters[0] = np.nan
    with pytest.raises(InputError, match="NaN or infinite"):
        likelihoods(Model(parameters, CONFIG, None), [Continuation([0], [1])])
