"""In-context learning: sequences with a mapping of their own, of which only the values are predicted."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import seeds
from npgpt.errors import InputError
from npgpt.layers.cross_entropy import IGNORED
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import groups, initial_parameters
from npgpt.tasks.in_context import InContext, shown_before

CONFIG = GPTConfig(vocab_size=12, n_positions=20, n_embd=8, n_layer=1, n_head=2).without_dropout()


def mapping(ids, targets):
    """Which value each key that occurs has in a sequence. Fails if it has two."""
    found = {}
    for key, value in zip(ids[::2].tolist(), targets[::2].tolist()):
        assert found.setdefault(key, value) == value
    return found


@given(st.integers(1, 4), st.integers(2, 6), st.integers(1, 10), seeds)
def test_each_sequence_has_a_mapping_and_only_its_values_are_targets(keys, values, pairs, seed):
    ids, targets = InContext(CONFIG, keys, values, pairs).training_batch(0, 5, np.random.default_rng(seed))
    assert ids.shape == targets.shape == (5, 2 * pairs - 1)
    assert (targets[:, 1::2] == IGNORED).all() and (ids[:, 1::2] == targets[:, :-1:2]).all()
    assert (ids[:, ::2] < keys).all() and (keys <= targets[:, ::2]).all() and (targets[:, ::2] < keys + values).all()
    for row in zip(ids, targets):
        mapping(*row)


@pytest.mark.parametrize("held_out", [False, True])
def test_mappings_that_are_measured_are_never_trained_on(held_out):
    task = InContext(CONFIG, keys=3, values=4, pairs=10)
    ids, targets = task.batch(200, np.random.default_rng(0), held_out)
    whole = [found for found in map(mapping, ids, targets) if len(found) == 3]
    assert len(whole) > 100
    assert {sum(value - 3 for value in found.values()) % 4 for found in whole} == ({0} if held_out else {1, 2, 3})


def test_the_validation_data_are_the_same_each_time():
    first, second = ([*InContext(CONFIG, 3, 4, 5).validation_batches()] for _ in range(2))
    whole = [found for batch in first for found in map(mapping, *batch) if len(found) == 3]
    assert len(whole) > 100 and {sum(value - 3 for value in found.values()) % 4 for found in whole} == {0}      # held out
    assert len(first) == 8 and all(np.array_equal(a, b) for one, other in zip(first, second) for a, b in zip(one, other))


def test_shots_are_counted():
    np.testing.assert_array_equal(shown_before(np.array([[4, 5, 4, 4], [1, 1, 2, 1]])), [[0, 0, 1, 2], [0, 1, 0, 2]])


def test_accuracy_by_shots_is_the_share_of_right_values_among_all_values():
    """A model whose states are all the same, and for which the value 4 is the likeliest, after a key that is likelier."""
    task = InContext(CONFIG, keys=3, values=4, pairs=6)
    parameters = np.zeros_like(initial_parameters(task.table, 0))
    p = groups(parameters, task.table)
    p.ln_f.bias[...] = 1
    p.wte[[0, 4]] = [[2] * 8, [1] * 8]
    batch = task.batch(50, np.random.default_rng(0))
    shots, right = shown_before(batch.ids[:, ::2]), batch.targets[:, ::2] == 4
    expected = [right[shots == n].mean() for n in range(shots.max() + 1)]
    assert task.accuracy_by_shots([batch], parameters) == pytest.approx(expected)


@pytest.mark.parametrize("sizes", [{"keys": 7, "values": 6, "pairs": 3}, {"keys": 2, "values": 2, "pairs": 11}])
def test_what_does_not_fit_the_model_is_refused(sizes):
    with pytest.raises(InputError, match="need vocab_size"):
        InContext(CONFIG, **sizes)
