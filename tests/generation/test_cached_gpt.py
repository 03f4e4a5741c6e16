"""The GPT with a memory computes what model.gpt computes, however the text is cut."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.generation.cached_gpt import cached_gpt
from npgpt.generation.kv_cache import empty_cache
from npgpt.generation.views import arrange
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.parameters import initial_parameters

configs = st.builds(lambda heads, width, **fields: GPTConfig(n_head=heads, n_embd=heads * width, vocab_size=7, initializer_range=0.5, **fields),
                    heads=st.integers(1, 3), width=st.integers(1, 4), n_positions=st.integers(3, 12), n_layer=st.integers(1, 3),
                    n_inner=st.none() | st.integers(1, 5), activation_function=st.sampled_from(["gelu_new", "relu"]),
                    tie_word_embeddings=st.booleans(), position_embedding_type=st.sampled_from(["learned", "sinusoidal"]))
dtypes = st.sampled_from([(np.float32, 1e-5), (np.float64, 1e-12)])
seeds = st.integers(0, 10**6)
CONFIG = GPTConfig(vocab_size=7, n_positions=150, n_embd=6, n_layer=2, n_head=2, initializer_range=0.5)


def require_close(actual, expected, tolerance):
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(abs(expected).max(), 1))


def unwritten_cache(config, texts, dtype):
    """NaN wherever nothing was written yet: whoever looks there gives NaN."""
    cache = empty_cache(config, texts, dtype)
    for array in cache.arrays():
        array[...] = np.nan
    return cache


@given(configs, dtypes, seeds, st.data())
def test_however_the_text_is_cut_the_scores_are_those_of_the_whole(config, precision, seed, data):
    dtype, tolerance = precision
    T = data.draw(st.integers(1, config.n_positions))
    ends = sorted({*data.draw(st.lists(st.integers(1, T), max_size=T)), T})
    ids = np.random.default_rng(seed).integers(7, size=(2, T))
    parameters = initial_parameters(config, seed, dtype)
    expected, _ = gpt(ids, parameters, config)
    views, cache = arrange(parameters, config), unwritten_cache(config, 2, dtype)
    for start, end in zip([0, *ends], ends):
        require_close(cached_gpt(ids[:, start:end], views, cache, start), expected[:, end - 1], tolerance)
    assert all(np.isnan(array[:, :, T:]).all() for array in cache.arrays())


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_every_split_of_prompt_and_continuation(dtype, tolerance):
    """A context of more than two blocks of queries."""
    parameters = initial_parameters(CONFIG, 0, dtype)
    ids = np.random.default_rng(0).integers(7, size=(1, CONFIG.n_positions))
    expected, _ = gpt(ids, parameters, CONFIG)
    views = arrange(parameters, CONFIG)
    for split in [*range(1, CONFIG.n_positions, 7), 63, 64, 65, 128, 129]:
        cache = unwritten_cache(CONFIG, 1, dtype)
        logits = [cached_gpt(ids[:, :split], views, cache, 0)]
        logits += [cached_gpt(ids[:, t:t + 1], views, cache, t) for t in range(split, CONFIG.n_positions)]
        require_close(np.stack(logits, axis=1), expected[:, split - 1:], tolerance)


@given(configs, dtypes, seeds, st.data())
def test_texts_that_begin_in_different_columns_do_not_see_each_other(config, precision, seed, data):
    dtype, tolerance = precision
    lengths = data.draw(st.lists(st.integers(1, config.n_positions - 1), min_size=1, max_size=4))
    new = data.draw(st.integers(1, config.n_positions - max(lengths)))
    rng = np.random.default_rng(seed)
    texts = [rng.integers(7, size=(1, length + new)) for length in lengths]
    parameters = initial_parameters(config, seed, dtype)
    views, cache = arrange(parameters, config), unwritten_cache(config, len(texts), dtype)
    first = max(lengths) - np.array(lengths)
    for b, (text, length) in enumerate(zip(texts, lengths)):
        cached_gpt(text[:, :length], views, cache.text(b, first[b]), 0)
    for array in cache.arrays():
        array[np.isnan(array)] = 1e6                   # weighs nothing, but 0 * NaN is not 0
    ids = np.concatenate([text[:, length:] for text, length in zip(texts, lengths)])
    at_once = data.draw(st.booleans())
    if at_once:
        logits = cached_gpt(ids, views, cache, max(lengths), first)
    else:
        for t in range(new):
            logits = cached_gpt(ids[:, t:t + 1], views, cache, max(lengths) + t, first)
    for text, row in zip(texts, logits):
        require_close(row, gpt(text, parameters, config)[0][0, -1], tolerance)


def test_more_than_the_context_is_refused():
    views, cache = arrange(initial_parameters(CONFIG), CONFIG), empty_cache(CONFIG, 1, np.float32)
    with pytest.raises(ValueError, match=r"149 \+ 2 tokens do not fit n_positions \(150\)"):
        cached_gpt(np.zeros((1, 2), int), views, cache, 149)


def test_the_parameters_are_only_looked_at():
    parameters = initial_parameters(CONFIG)
    before = parameters.copy()
    views = arrange(parameters, CONFIG)
    cached_gpt(np.zeros((1, 5), int), views, empty_cache(CONFIG, 1, np.float32), 0)
    assert np.shares_memory(views.head, parameters) and (parameters == before).all()
