"""The checker of whole models finds a wrong gradient in any parameter, small model or large."""
import dataclasses

import numpy as np
import pytest

from npgpt.checking.catalogue import SMALL_GPT
from npgpt.checking.model import check_model
from npgpt.model.gpt import loss_and_gradients
from npgpt.model.parameters import named_views, parameter_shapes

ONE_BLOCK = dataclasses.replace(SMALL_GPT, n_layer=1, n_positions=3)
LARGE = dataclasses.replace(SMALL_GPT, n_embd=32, n_inner=64)


def broken(tensor):
    """loss_and_gradients with a thousandth too much in one tensor's gradient."""
    def gradients(ids, targets, parameters, config, rng):
        loss, vector = loss_and_gradients(ids, targets, parameters, config, rng)
        named_views(vector, config)[tensor][...] *= 1.001
        return loss, vector
    return gradients


@pytest.mark.parametrize("tensor", parameter_shapes(ONE_BLOCK))
def test_an_error_in_one_tensor_of_a_small_model_is_found_there_and_only_there(tensor):
    report = check_model(ONE_BLOCK, length=2, methods=["complex"], gradients=broken(tensor))
    assert [c.argument for c in report.comparisons if not c.right] == [tensor.removeprefix("transformer.")]


def test_an_error_in_one_tensor_of_a_large_model_is_found_along_random_directions():
    report = check_model(LARGE, length=3, methods=["complex"], gradients=broken("transformer.h.1.mlp.c_fc.weight"))
    assert [c.argument for c in report.comparisons if not c.right] == ["h.1.mlp.c_fc.weight"]


def test_both_methods_agree_on_a_right_model():
    report = check_model(LARGE, length=3)
    assert report.right and report.worst("complex") < 1e-13 and report.worst("central") < 1e-7
