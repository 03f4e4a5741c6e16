"""The catalogue: every layer in it is right, and writes its gradients where the caller wants them."""
import inspect

import numpy as np
import pytest

from helpers import draw
from npgpt.checking.catalogue import CASES, GPT_VARIANTS, check_case, check_variant
from npgpt.checking.contract import call, is_differentiable
from npgpt.checking.draws import T, V, ids
from npgpt.layers.cross_entropy import IGNORED
from npgpt.model.parameters import map_leaves, named_leaves

WITH_PARAMETERS = [case for case in CASES if "out" in inspect.signature(case.backward).parameters]


def padded(shape):
    """An array of NaN, and a view of this shape in its middle."""
    whole = np.full([size + 2 for size in shape], np.nan)
    return whole, whole[tuple(slice(1, -1) for _ in shape)]


def leaves(nested):
    return [leaf for _, leaf in named_leaves(nested)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_gradient_is_right(case):
    assert check_case(case, ("complex",)).require().worst("complex") <= 1e-12


def test_a_case_is_checked_with_the_seed_and_the_methods_that_are_asked_for():
    """Of a linear layer, the bias's gradient depends on the upstream gradient only."""
    linear = CASES[0]
    (*_, one), (*_, other) = (check_case(linear, ("central",), seed).comparisons for seed in (1, 2))
    assert linear.layer == "linear" and list(one.numeric) == ["central"] and not np.array_equal(one.analytic, other.analytic)


def has_dropout(case):
    parameters = inspect.signature(case.forward).parameters
    return "rng" in parameters and isinstance(parameters["p"].default, float)


DROPPING = {case.layer: case for case in filter(has_dropout, CASES)}.values()


@pytest.mark.parametrize("case", DROPPING, ids=lambda case: case.layer)
def test_a_generator_alone_drops_nothing(case):
    arguments = case.draw(np.random.default_rng(0))
    settings = {name: value for name, value in case.settings.items() if name not in ("p", "rng")}
    y, _ = case.forward(*arguments, **settings)
    assert (case.forward(*arguments, **settings, rng=np.random.default_rng(0))[0] == y).all()


@pytest.mark.parametrize("seed", range(10))
def test_ids_are_repeated(seed):
    drawn = ids(10**9, 3, 4)(np.random.default_rng(seed))
    assert drawn.shape == (3, 4) and len(np.unique(drawn)) < drawn.size


@pytest.mark.parametrize("variant", GPT_VARIANTS)
@pytest.mark.parametrize("seed", range(3))
def test_the_batch_of_a_model_has_repeated_ids_and_ignored_targets(variant, seed, monkeypatch):
    """Ignored in more than one row, so that errors in counting targets show; never the whole of a row."""
    batches = []
    monkeypatch.setattr("npgpt.checking.catalogue.check_model", lambda task, batch, *rest: batches.append(batch))
    check_variant(variant, ("complex",), seed)
    (drawn, targets), = batches
    ignored = (targets == IGNORED).sum(axis=1)
    assert drawn.min() >= 0 and drawn.max() < V and len(np.unique(drawn)) < drawn.size
    assert np.count_nonzero(ignored) >= 2 and ignored.max() < T


def test_all_layers_with_parameters_take_out():
    assert {case.layer for case in WITH_PARAMETERS} == {
        "linear", "embedding", "unembedding", "layer_norm", "self_attention", "cross_attention", "memory_keys_values",
        "attend_to_memory", "feed_forward", "block", "post_ln_block", "decoder_block", "masked_head"}


@pytest.mark.parametrize("case", WITH_PARAMETERS, ids=lambda case: case.name)
def test_gradients_are_written_into_out_and_nowhere_else(case):
    """out holds views of larger arrays, as of the flat vector."""
    arguments = case.draw(np.random.default_rng(0))
    inputs = 2 if case.layer in ("cross_attention", "attend_to_memory", "decoder_block") else 1
    parameters = arguments[inputs:]
    y, cache = call(case.forward, arguments, case.settings)
    dy, = draw(1, y.shape)
    expected = leaves(case.backward(dy, cache))

    wholes = []
    def make_view(leaf):
        whole, view = padded(leaf.shape)
        wholes.append(whole)
        return view
    out = tuple(map_leaves(make_view, parameters))
    given = leaves(out)
    if len(out) == 1 and isinstance(out[0], tuple):        # a block's gradients are one group
        out, = out
    returned = leaves(case.backward(dy, cache, out))

    assert len(returned) == len(expected) == len(given) + sum(map(is_differentiable, arguments[:inputs]))
    for gradient, right in zip(returned, expected):
        np.testing.assert_allclose(gradient, right, rtol=0, atol=1e-14 * np.abs(right).max())
    for gradient, view, whole in zip(returned[-len(given):], given, wholes):
        assert gradient is view and np.isfinite(view).all()
        assert np.isnan(whole).sum() == whole.size - view.size


@pytest.mark.parametrize("case", WITH_PARAMETERS, ids=lambda case: case.name)
def test_gradients_of_another_call_do_not_share_memory(case):
    """Without out, every call returns arrays of its own."""
    y, cache = call(case.forward, case.draw(np.random.default_rng(0)), case.settings)
    first, second = (leaves(case.backward(draw(seed, y.shape)[0], cache)) for seed in (1, 2))
    assert not any(np.may_share_memory(a, b) for a in first for b in second)
