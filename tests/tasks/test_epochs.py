"""Epochs: every example once, in an order that the seed and the number of the epoch tell."""
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.checking.catalogue import SMALL_BERT, SMALL_GPT
from npgpt.checking.tasks import LABELS, SMALL_ENCODER_DECODER, TAGS
from npgpt.tasks.epochs import Epochs
from npgpt.tasks.fine_tuning import FineTuning
from npgpt.tasks.inputs import Inputs
from npgpt.tasks.tagging import TaggedInputs
from npgpt.tasks.token_fine_tuning import TokenFineTuning
from npgpt.tasks.translation import Pair, Translation

sizes = st.lists(st.integers(1, 30), min_size=1, max_size=3)


def batches(epochs, size, epoch=0):
    start = epoch * epochs.length(size)
    return [epochs.batch(number, size) for number in range(start, start + epochs.length(size))]


@given(sizes, st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_has_the_whole_batches_of_each_set_and_no_example_twice(counts, size, epoch):
    found = batches(Epochs(counts), size, epoch)
    assert Counter(which for which, _ in found) == {i: max(count // size, 1) for i, count in enumerate(counts)}
    for i, count in enumerate(counts):
        seen = np.concatenate([indices for which, indices in found if which == i])
        assert len(seen) == len(set(seen)) == (count // size * size or count) and set(seen) <= set(range(count))


@given(sizes, st.integers(1, 9))
def test_evenly_each_set_has_as_many_batches(counts, size):
    found = batches(Epochs(counts, evenly=True), size)
    assert len(set(Counter(which for which, _ in found).values())) == 1
    for i, count in enumerate(counts):
        seen = Counter(np.concatenate([indices for which, indices in found if which == i]).tolist())
        assert max(seen.values()) - min(seen.get(j, 0) for j in range(count)) <= 1     # all about as often


def test_a_batch_is_known_from_its_number_alone():
    first, again = Epochs([20, 10], seed=3), Epochs([20, 10], seed=3)
    whole = [first.batch(number, 4) for number in range(30)]
    for number in (29, 3, 17, 0):
        which, indices = again.batch(number, 4)
        assert which == whole[number][0] and indices.tolist() == whole[number][1].tolist()


@pytest.mark.parametrize("other", [(4, 0), (3, 1)])
def test_other_seeds_and_epochs_have_other_orders(other):
    orders = [np.concatenate([indices for _, indices in batches(Epochs([40], seed), 4, epoch)]).tolist()
              for seed, epoch in ((3, 0), other)]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])


def test_batches_of_several_sets_are_mixed():
    orders = [[which for which, _ in batches(Epochs([40, 40], seed), 4)] for seed in range(5)]
    assert all(sorted(order) == [0] * 10 + [1] * 10 for order in orders) and len(set(map(tuple, orders))) == 5


def labelled(numbers):
    return [Inputs([np.array([number])], 0, False) for number in numbers]


def tagged(numbers):
    one = np.zeros(1, int)
    return [TaggedInputs(np.array([number]), one, one, False, one) for number in numbers]


@pytest.mark.parametrize("make", [
    lambda **seed: Translation(SMALL_ENCODER_DECODER, [Pair(np.array([i]), np.array([i])) for i in range(40)], **seed),
    lambda **seed: FineTuning(SMALL_GPT, [LABELS], [labelled(range(40))], **seed),
    lambda **seed: TokenFineTuning(SMALL_BERT, TAGS, tagged(range(40)), **seed)],
    ids=["translation", "fine-tuning", "fine-tuning for tokens"])
def test_a_task_trains_in_the_order_of_its_seed(make):
    orders = [[int(one) for number in range(10) for one in task.training_batch(number, 4, None)[0].ravel()]
              for task in (make(), make(seed=0), make(seed=1))]
    assert all(sorted(order) == list(range(40)) for order in orders) and orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("evenly, counts", [(False, [10, 2]), (True, [6, 6])])
def test_several_heads_are_trained_in_proportion_or_evenly(evenly, counts):
    task = FineTuning(SMALL_GPT, [LABELS, LABELS._replace(name="b")], [labelled(range(40)), labelled(range(8))], evenly=evenly)
    heads = [int(task.training_batch(number, 4, None).head[0]) for number in range(12)]
    assert [heads.count(0), heads.count(1)] == counts
