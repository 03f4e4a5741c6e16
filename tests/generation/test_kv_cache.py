"""The key-value cache: where what was read is kept."""
import numpy as np
from hypothesis import given, strategies as st

from npgpt.generation.kv_cache import KeyValueCache, empty_cache
from npgpt.model.config import GPTConfig

CONFIG = GPTConfig(vocab_size=3, n_positions=5, n_embd=6, n_layer=2, n_head=3)


def filled(texts: int) -> KeyValueCache:
    cache = empty_cache(CONFIG, texts, np.float64)
    for array in cache.arrays():
        array[...] = np.random.default_rng(texts).random(array.shape)
    return cache


def test_there_is_room_for_the_whole_context_of_every_text_from_the_start():
    cache = empty_cache(CONFIG, 4, np.float32)
    assert len(cache.keys) == len(cache.values) == CONFIG.n_layer
    assert {(array.shape, array.dtype) for array in cache.arrays()} == {((4, 3, 5, 2), np.dtype(np.float32))}


def test_a_part_is_written_into_the_whole():
    cache = filled(3)
    part = cache.text(1, first=2)
    assert {array.shape for array in part.arrays()} == {(1, 3, 3, 2)}
    part.values[1][...] = 7
    assert (cache.values[1][1, :, 2:] == 7).all()
    assert sum((array == 7).sum() for array in cache.arrays()) == part.values[1].size
    two = cache.texts(2)
    assert all(np.shares_memory(*pair) for pair in zip(two.arrays(), cache.arrays())) and len(two.keys[0]) == 2


@given(st.lists(st.integers(0, 3), min_size=4, max_size=4), st.integers(0, 5))
def test_texts_are_rearranged_where_they_stand_in_the_columns_that_are_used(rows, length):
    cache, before = filled(4), filled(4)
    cache.rearrange(np.array(rows), length)
    for array, old in zip(cache.arrays(), before.arrays()):
        np.testing.assert_array_equal(array[:, :, :length], old[rows, :, :length])
        np.testing.assert_array_equal(array[:, :, length:], old[:, :, length:])
