"""Inference with a key-value cache computes what the whole model computes, however a text is divided."""
import dataclasses

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import language_model, logits_of, precisions, require_close, seeds, small_configs, unwritten_cache
from npgpt.generation import inference
from npgpt.generation.inference import next_logits, prefill
from npgpt.generation.kv_cache import empty_cache
from npgpt.layers.causal_attention import QUERY_TILE
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import groups
from npgpt.parallel.blas import BlasThreads, find_blas_threads
from npgpt.parallel.tensor_parallel import TensorParallelLayers

LONG = 128            # tokens of a prompt that is computed by tensor-parallel layers, in these tests
CONFIG = GPTConfig(vocab_size=7, n_positions=2 * LONG + 10, n_embd=6, n_layer=3, n_head=2, initializer_range=0.5)
kinds = st.sampled_from([CONFIG, dataclasses.replace(CONFIG, pre_layer_norm=False),
                         dataclasses.replace(CONFIG, window_size=30, qkv_bias=False)])


@pytest.fixture(autouse=True, scope="module")
def threshold():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inference, "PARALLEL_SIZE", LONG * CONFIG.n_embd)
        yield


def model(config=CONFIG, seed=0, dtype=np.float32):
    """Parameters as a flat vector, and in groups."""
    parameters = language_model(config, seed, dtype)
    return parameters, groups(parameters, language_model_table(config))


@given(small_configs, precisions, seeds, st.data())
def test_however_a_text_is_divided_the_logits_are_those_of_the_whole(config, precision, seed, data):
    dtype, tolerance = precision
    B = data.draw(st.integers(1, 2))
    T = data.draw(st.integers(1, config.n_positions))
    ends = sorted({*data.draw(st.lists(st.integers(1, T), max_size=T)), T})
    ids = np.random.default_rng(seed).integers(7, size=(B, T))
    parameters, p = model(config, seed, dtype)
    expected, cache = logits_of(ids, parameters, config), unwritten_cache(config, B, dtype)
    for start, end in zip([0, *ends], ends):
        require_close(next_logits(ids[:, start:end], p, config, cache, start), expected[:, end - 1], tolerance)
    assert all(np.isnan(array[:, :, T:]).all() for array in cache.arrays() if array.shape[2] == config.n_positions)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("split", [1, 2, QUERY_TILE - 1, QUERY_TILE, QUERY_TILE + 1,
                                   2 * QUERY_TILE, 2 * QUERY_TILE + 1, 149])
def test_a_prompt_and_its_continuation_token_by_token(split, dtype, tolerance):
    """A text of more than two tiles of queries."""
    parameters, p = model(dtype=dtype)
    ids = np.random.default_rng(0).integers(7, size=(1, 150))
    cache = unwritten_cache(CONFIG, 1, dtype)
    logits = [next_logits(ids[:, :split], p, CONFIG, cache, 0)]
    logits += [next_logits(ids[:, t:t + 1], p, CONFIG, cache, t) for t in range(split, 150)]
    require_close(np.stack(logits, axis=1), logits_of(ids, parameters, CONFIG)[:, split - 1:], tolerance)


@given(small_configs, precisions, seeds, st.data())
def test_texts_of_different_lengths_do_not_see_each_other(config, precision, seed, data):
    """They end in the same column and start in different ones. What stands before a text has no effect."""
    dtype, tolerance = precision
    lengths = data.draw(st.lists(st.integers(1, config.n_positions - 1), min_size=1, max_size=4))
    new = data.draw(st.integers(1, config.n_positions - max(lengths)))
    rng = np.random.default_rng(seed)
    texts = [rng.integers(7, size=(1, length + new)) for length in lengths]
    parameters, p = model(config, seed, dtype)
    cache = unwritten_cache(config, len(texts), dtype)
    first = max(lengths) - np.array(lengths)
    for b, (text, length) in enumerate(zip(texts, lengths)):
        start = int(first[b])
        next_logits(text[:, :length], p, config, cache.texts(1, b), start, np.array([start]))
    for array in cache.arrays():
        array[np.isnan(array)] = 1e6                   # its weight is 0, but 0 * NaN is not 0
    ids = np.concatenate([text[:, length:] for text, length in zip(texts, lengths)])
    if data.draw(st.booleans()):
        logits = next_logits(ids, p, config, cache, max(lengths), first)
    else:
        for t in range(new):
            logits = next_logits(ids[:, t:t + 1], p, config, cache, max(lengths) + t, first)
    for text, row in zip(texts, logits):
        require_close(row, logits_of(text, parameters, config)[0, -1], tolerance)


def test_more_tokens_than_the_context_are_refused():
    _, p = model()
    with pytest.raises(ValueError, match=r"265 \+ 2 tokens do not fit n_positions \(266\)"):
        next_logits(np.zeros((1, 2), int), p, CONFIG, empty_cache(CONFIG, 1, CONFIG.n_positions, np.float32), 265)


@pytest.mark.parametrize("T", [1, 5])
def test_parameters_are_not_changed(T):
    parameters, p = model()
    before = parameters.copy()
    next_logits(np.zeros((1, T), int), p, CONFIG, empty_cache(CONFIG, 1, CONFIG.n_positions, np.float32), 0)
    assert (parameters == before).all()


def with_blas_threads(patch, threads):
    """Pretend that BLAS has so many threads, whatever this machine has; None: their number cannot be set."""
    switch = threads and BlasThreads(lambda count: None, lambda: threads)
    patch.setattr(inference, "find_blas_threads", lambda: switch)


@given(kinds, st.integers(1, CONFIG.n_positions), st.sampled_from([None, 1, 2, 3]), precisions, seeds, st.data())
def test_prefill_gives_logits_keys_and_values_of_one_pass_on_any_number_of_threads(config, T, threads, precision,
                                                                                   seed, data):
    """Wherever in the cache the text begins."""
    dtype, tolerance = precision
    start = data.draw(st.integers(0, CONFIG.n_positions - T))
    ids = np.random.default_rng(seed).integers(7, size=T)
    parameters, p = model(config, seed, dtype)
    cache, expected_cache = unwritten_cache(config, 1, dtype), unwritten_cache(config, 1, dtype)
    with pytest.MonkeyPatch.context() as patch:
        with_blas_threads(patch, threads)
        logits = prefill(ids, p, config, cache, start)
    require_close(logits, logits_of(ids[None], parameters, config)[0, -1], tolerance)
    next_logits(ids[None], p, config, expected_cache, start, np.array([start]))
    for array, expected in zip(cache.arrays(), expected_cache.arrays()):
        require_close(array, expected, tolerance)


@pytest.mark.parametrize("T, threads, parallel", [(LONG - 1, 2, False), (LONG, 2, True),
                                                  (LONG, 1, False), (LONG, None, False)])
def test_a_long_prompt_is_computed_by_TensorParallelLayers(T, threads, parallel, monkeypatch):
    """Unless BLAS has one thread, or a number that cannot be set, so that it would use all cores in every part."""
    with_blas_threads(monkeypatch, threads)
    asked = []

    def watch(pool, threads):
        asked.append(threads)
        return TensorParallelLayers(pool, threads)
    monkeypatch.setattr(inference, "TensorParallelLayers", watch)
    prefill(np.zeros(T, int), model()[1], CONFIG, empty_cache(CONFIG, 1, CONFIG.n_positions, np.float32))
    assert asked == [threads] * parallel


@pytest.fixture
def blas_switch():
    """The functions that set and get BLAS's threads, set to 2 for the test."""
    switch = find_blas_threads() or pytest.skip("the number of threads of this NumPy's BLAS cannot be set")
    before = switch.get()
    switch.set(2)
    yield switch
    switch.set(before)


def test_blas_has_one_thread_in_a_parallel_prefill_and_its_own_number_afterwards(blas_switch, monkeypatch):
    seen = []

    def watch(*arguments, **settings):
        seen.append(blas_switch.get())
        return gpt(*arguments, **settings)
    monkeypatch.setattr(inference, "gpt", watch)
    prefill(np.zeros(LONG, int), model()[1], CONFIG, empty_cache(CONFIG, 1, CONFIG.n_positions, np.float32))
    assert seen == [1] and blas_switch.get() == 2


def test_an_exception_in_a_parallel_prefill_is_raised_and_blas_has_its_threads_back(blas_switch):
    ids = np.zeros(LONG, int)
    ids[-1] = 99
    with pytest.raises(IndexError, match="99"):
        prefill(ids, model()[1], CONFIG, empty_cache(CONFIG, 1, CONFIG.n_positions, np.float32))
    assert blas_switch.get() == 2
