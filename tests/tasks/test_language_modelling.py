"""Language modelling: its batches, its loss and every gradient."""
import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from helpers import draw_tokens, language_model, logits_of, seeds
from npgpt.checking.catalogue import GPT_VARIANTS
from npgpt.checking.model import check_model, unit_scale_parameters
from npgpt.errors import InputError
from npgpt.layers.cross_entropy import IGNORED, cross_entropy
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import named_views
from npgpt.model.presets import preset
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch
from npgpt.text.corpus import Corpus

CONFIG = GPTConfig(vocab_size=7, n_positions=5, n_embd=6, n_layer=2, n_head=2, n_inner=9).without_dropout()
TASK = LanguageModelling(CONFIG)
variants = st.sampled_from(sorted(GPT_VARIANTS)).map(lambda name: dataclasses.replace(CONFIG, **GPT_VARIANTS[name]))


def draw_arguments(task, B=2, T=5, seed=0):
    """A batch, and parameters of unit scale."""
    return draw_tokens(task.config, B, T, seed), unit_scale_parameters(task.table, np.random.default_rng(seed))


@pytest.mark.parametrize("variant", GPT_VARIANTS)
def test_every_gradient_by_complex_step(variant):
    config = dataclasses.replace(CONFIG, **GPT_VARIANTS[variant])
    check_model(LanguageModelling(config), draw_tokens(config, B=2, T=4), methods=["complex"]).require()


def test_every_gradient_by_central_differences():
    check_model(TASK, draw_tokens(CONFIG, B=2, T=4), methods=["central"]).require()


@settings(max_examples=5)
@given(variants, st.integers(1, 3), st.integers(2, 5), seeds)
def test_gradients_along_random_directions_of_a_larger_model(config, B, T, seed):
    large = dataclasses.replace(config, vocab_size=50, n_embd=24, n_head=3, n_inner=None)
    check_model(LanguageModelling(large), draw_tokens(large, B, T, seed), seed, methods=["complex"]).require()


@given(variants, seeds)
def test_the_loss_is_the_cross_entropy_of_the_logits(config, seed):
    task = LanguageModelling(config)
    batch, parameters = draw_arguments(task, seed=seed)
    expected, _ = cross_entropy(logits_of(batch.ids, parameters, config), batch.targets)
    assert float(task.loss(batch, parameters)) == pytest.approx(float(expected), rel=1e-13)
    assert task.loss_and_gradients(batch, parameters)[0] == pytest.approx(float(expected), rel=1e-13)


@given(variants.filter(lambda config: not config.resid_pdrop), st.integers(1, 3), st.integers(1, 3), seeds)
def test_parts_of_a_batch_add_up_to_the_whole(config, first, second, seed):
    """Also where they differ in how many targets count: each part's fraction is its part of those."""
    task = LanguageModelling(config)
    (ids, targets), parameters = draw_arguments(task, B=first + second, seed=seed)
    targets[0, :3] = IGNORED
    whole = TokenBatch(ids, targets)
    parts = [TokenBatch(ids[rows], targets[rows]) for rows in (slice(0, first), slice(first, None))]
    loss, gradients = task.loss_and_gradients(whole, parameters)
    results = [task.loss_and_gradients(part, parameters, fraction=task.count(part) / task.count(whole)) for part in parts]
    assert sum(part_loss for part_loss, _ in results) == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(sum(part_gradients for _, part_gradients in results), gradients, rtol=0,
                               atol=1e-13 * np.abs(gradients).max())


@given(seeds)
def test_padding_with_ignored_targets_changes_nothing(seed):
    """Longer sequences whose further targets are ignored: the same loss and gradients."""
    (ids, targets), parameters = draw_arguments(TASK, T=3, seed=seed)
    padding = np.zeros((2, 2), int)
    loss, gradients = TASK.loss_and_gradients((ids, targets), parameters)
    padded_batch = TokenBatch(np.hstack([ids, padding]), np.hstack([targets, padding + IGNORED]))
    padded_loss, padded = TASK.loss_and_gradients(padded_batch, parameters)
    assert TASK.count(padded_batch) == targets.size
    assert padded_loss == pytest.approx(loss, rel=1e-13)
    np.testing.assert_allclose(padded, gradients, rtol=0, atol=1e-13 * np.abs(gradients).max())


def test_a_tied_table_gets_the_sum_of_the_gradients_of_both_its_uses():
    """Those of an untied model with the same numbers in both tables."""
    batch, parameters = draw_arguments(TASK)
    untied = LanguageModelling(dataclasses.replace(CONFIG, tie_word_embeddings=False))
    both = np.concatenate([parameters, named_views(parameters, TASK.table)["wte"].ravel()])
    g = named_views(TASK.loss_and_gradients(batch, parameters)[1], TASK.table)
    u = named_views(untied.loss_and_gradients(batch, both)[1], untied.table)
    expected = u["wte"] + u["unembedding"]
    np.testing.assert_allclose(g["wte"], expected, rtol=0, atol=1e-14 * np.abs(expected).max())


@pytest.mark.parametrize("variant", GPT_VARIANTS)
def test_gradients_are_written_into_out_whatever_it_held(variant):
    task = LanguageModelling(dataclasses.replace(CONFIG, **GPT_VARIANTS[variant]))
    batch, parameters = draw_arguments(task)
    rngs = [np.random.default_rng(0) for _ in range(2)]
    expected_loss, expected = task.loss_and_gradients(batch, parameters, rngs[0])
    out = np.full_like(parameters, np.nan)
    loss, gradients = task.loss_and_gradients(batch, parameters, rngs[1], out=out)
    assert gradients is out and out.tobytes() == expected.tobytes() and loss == expected_loss


@given(variants, seeds)
def test_the_initial_loss_is_about_that_of_a_uniform_guess(config, seed):
    config = dataclasses.replace(config, vocab_size=65, n_embd=32)
    loss = LanguageModelling(config).loss(draw_tokens(config, B=4, T=5, seed=seed), language_model(config, seed))
    assert float(loss) == pytest.approx(math.log(65), rel=0.05)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["tiny", "small"])
def test_the_initial_loss_with_small_parameters_is_that_of_a_uniform_guess(name, seed):
    config = preset(name, initializer_range=0.02)
    loss = LanguageModelling(config).loss(draw_tokens(config, 4, config.n_positions, seed), language_model(config, seed))
    assert float(loss) == pytest.approx(math.log(config.vocab_size), rel=0.05)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("variant", GPT_VARIANTS)
def test_gradients_have_the_dtype_of_the_parameters(variant, dtype):
    task = LanguageModelling(dataclasses.replace(CONFIG, **GPT_VARIANTS[variant]))
    batch, parameters = draw_arguments(task)
    assert task.loss_and_gradients(batch, parameters.astype(dtype), np.random.default_rng(0))[1].dtype == dtype


def test_float32_agrees_with_float64_to_its_own_precision():
    batch, parameters = draw_arguments(TASK)
    _, exact = TASK.loss_and_gradients(batch, parameters)
    _, single = TASK.loss_and_gradients(batch, parameters.astype(np.float32))
    np.testing.assert_allclose(single, exact, rtol=0, atol=2e-5 * np.abs(exact).max())


def test_a_vector_of_another_length_is_refused():
    batch, parameters = draw_arguments(TASK)
    with pytest.raises(ValueError, match="parameters"):
        TASK.loss(batch, parameters[:-1])


def test_random_batches_are_windows_of_the_training_text():
    task = LanguageModelling(CONFIG, Corpus(np.arange(7), np.arange(3)))
    ids, targets = task.training_batch(0, 4, np.random.default_rng(0))
    assert ids.shape == targets.shape == (4, 5)
    assert (np.diff(ids) == 1).all() and (targets == ids + 1).all() and {0, 1} == set(ids[:, 0])


def test_validation_batches_are_those_of_the_validation_text():
    task = LanguageModelling(CONFIG, Corpus(np.zeros(6, int), np.arange(7)))
    batches = list(task.validation_batches(1))
    assert [batch.ids.tolist() for batch in batches] == [[[0, 1, 2, 3, 4]], [[5]]]
    assert [batch.targets.tolist() for batch in batches] == [[[1, 2, 3, 4, 5]], [[6]]]


def test_a_long_validation_text_is_sampled_in_windows_spread_over_all_of_it(monkeypatch):
    monkeypatch.setattr("npgpt.tasks.language_modelling.VALIDATION_TOKENS", 17)
    task = LanguageModelling(CONFIG, Corpus(np.zeros(6, int), np.arange(26) % CONFIG.vocab_size))
    batches = list(task.validation_batches(2))
    assert np.concatenate([batch.ids[:, 0] for batch in batches]).tolist() == [start % CONFIG.vocab_size for start in (0, 10, 20)]
    assert [batch.ids.shape for batch in batches] == [(2, 5), (1, 5)]


@given(st.integers(2, 60), st.integers(1, 6), seeds)
def test_every_token_but_the_first_is_a_target_once(N, batch_size, seed):
    tokens = np.random.default_rng(seed).integers(CONFIG.vocab_size, size=N)
    batches = list(TASK.batches(tokens, batch_size))
    assert all(TASK.count(batch) == batch.ids.size <= batch_size * CONFIG.n_positions for batch in batches)
    assert np.concatenate([batch.targets.ravel() for batch in batches]).tolist() == tokens[1:].tolist()


def test_batches_whose_size_is_left_open_have_about_a_thousand_tokens():
    config = dataclasses.replace(CONFIG, n_positions=4)
    assert [batch.ids.size for batch in LanguageModelling(config).batches(np.zeros(3000, int))] == [1024, 1024, 948, 3]


def test_a_text_without_a_second_token_is_refused():
    for tokens in ([], [3]):
        with pytest.raises(InputError, match="the text to evaluate has"):
            next(TASK.batches(np.array(tokens, np.int64)))


def test_a_training_text_shorter_than_a_window_is_refused():
    LanguageModelling(CONFIG, Corpus(np.zeros(6, int), np.zeros(0, int)))
    with pytest.raises(InputError, match="training text has 5 tokens"):
        LanguageModelling(CONFIG, Corpus(np.zeros(5, int), np.zeros(0, int)))


@pytest.mark.parametrize("place", [0, 3, 5])
def test_a_token_outside_the_vocabulary_is_named_wherever_it_stands(place):
    tokens = np.zeros(6, np.uint16)
    tokens[place] = 7
    task = LanguageModelling(CONFIG, Corpus(tokens, tokens))
    with pytest.raises(InputError, match="token id 7,"):
        task.training_batch(0, 1, np.random.default_rng(0))
    with pytest.raises(InputError, match="token id 7,"):
        list(task.validation_batches())
