"""A prompt read in parts, each on a thread of its own, says what it says when read at once."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.generation import prompt
from npgpt.generation.cached_gpt import cached_gpt
from npgpt.generation.kv_cache import empty_cache
from npgpt.generation.prompt import PART, read_prompt
from npgpt.generation.views import arrange
from npgpt.parallel.blas import BlasThreads, blas_threads
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import gpt
from npgpt.model.parameters import initial_parameters

CONFIG = GPTConfig(vocab_size=7, n_positions=5 * PART, n_embd=6, n_layer=3, n_head=2, initializer_range=0.5)
dtypes = st.sampled_from([(np.float32, 1e-5), (np.float64, 1e-12)])


def unwritten_cache(dtype):
    """NaN wherever nothing was written yet: whoever looks there gives NaN."""
    cache = empty_cache(CONFIG, 1, dtype)
    for array in cache.arrays():
        array[...] = np.nan
    return cache


@pytest.fixture
def blas_with(monkeypatch):
    """A function that lets BLAS have so many threads, whatever this machine's has."""
    def let(threads):
        monkeypatch.setattr(prompt, "find_blas_threads", lambda: threads and BlasThreads(None, lambda: threads))
    return let


@given(st.integers(1, CONFIG.n_positions), st.integers(1, 4), dtypes, st.integers(0, 10**6))
def test_scores_keys_and_values_are_those_of_one_pass(T, threads, precision, seed):
    dtype, tolerance = precision
    ids = np.random.default_rng(seed).integers(7, size=T)
    parameters = initial_parameters(CONFIG, seed, dtype)
    views, cache, at_once = arrange(parameters, CONFIG), unwritten_cache(dtype), unwritten_cache(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prompt, "find_blas_threads", lambda: BlasThreads(None, lambda: threads))
        logits = read_prompt(ids, views, cache)
    cached_gpt(ids[None], views, at_once, 0)
    assert logits.dtype == dtype
    np.testing.assert_allclose(logits, gpt(ids[None], parameters, CONFIG)[0][0, -1], rtol=0, atol=tolerance * max(abs(logits).max(), 1))
    for array, expected in zip(cache.arrays(), at_once.arrays()):
        np.testing.assert_allclose(array, expected, rtol=0, atol=tolerance * max(np.nanmax(abs(expected)), 1))


@pytest.mark.parametrize("T, threads, sizes", [
    (1, 2, [1]), (PART - 1, 2, [PART - 1]), (PART, 2, [PART // 2] * 2), (4 * PART, 2, [PART] * 4),
    (4 * PART, 3, [171, 171, 170]), (4 * PART, 8, [PART // 2] * 8), (4 * PART, 9, [4 * PART]), (4 * PART, 1, [4 * PART]),
    (4 * PART, None, [4 * PART])])
def test_a_part_for_each_thread_or_several(T, threads, sizes, blas_with, monkeypatch):
    """None: a BLAS without a switch, which would take all cores in every part."""
    blas_with(threads)
    seen = []

    def watch(ids, views, cache, start):
        seen.append(ids.shape[1])
        return cached_gpt(ids, views, cache, start)

    monkeypatch.setattr(prompt, "cached_gpt", watch)
    read_prompt(np.zeros(T, int), arrange(initial_parameters(CONFIG), CONFIG), empty_cache(CONFIG, 1, np.float32))
    assert sorted(seen) == sorted(sizes)


def test_blas_has_one_thread_in_each_part_and_gets_its_own_back(monkeypatch):
    with blas_threads(2) as held:
        if not held:
            pytest.skip("this NumPy's BLAS has no switch")
        switch, seen = prompt.find_blas_threads(), []

        def watch(*arguments):
            seen.append(switch.get())
            return cached_gpt(*arguments)

        monkeypatch.setattr(prompt, "cached_gpt", watch)
        read_prompt(np.zeros(2 * PART, int), arrange(initial_parameters(CONFIG), CONFIG), empty_cache(CONFIG, 1, np.float32))
        assert seen == [1, 1] and switch.get() == 2


@pytest.mark.parametrize("failing", range(4))
def test_what_a_part_raises_is_raised_and_no_part_waits_for_ever(failing, blas_with, monkeypatch):
    blas_with(2)

    def fail(ids, views, cache, start):
        if start == failing * PART:
            next(iter(views.blocks))
            raise MemoryError("no room")
        return cached_gpt(ids, views, cache, start)

    cache = empty_cache(CONFIG, 1, np.float32)
    for array in cache.arrays():
        array[...] = 0                                 # parts that go on look at what the failing one should have written
    monkeypatch.setattr(prompt, "cached_gpt", fail)
    with pytest.raises(MemoryError, match="no room"):
        read_prompt(np.zeros(4 * PART, int), arrange(initial_parameters(CONFIG), CONFIG), cache)
