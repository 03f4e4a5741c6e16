"""The checker of whole models finds a wrong gradient in any parameter, in small models and in large ones."""
import dataclasses

import numpy as np
import pytest

from helpers import draw_tokens
from npgpt.checking.catalogue import SMALL_GPT
from npgpt.checking.model import COORDINATES, check_model, unit_scale_parameters
from npgpt.model.heads import language_model_table
from npgpt.model.parameters import named_leaves, named_views, parameter_count
from npgpt.tasks.language_modelling import LanguageModelling

SMALL = LanguageModelling(dataclasses.replace(SMALL_GPT, n_layer=1, n_positions=3))
LARGE = LanguageModelling(dataclasses.replace(SMALL_GPT, n_embd=32, n_inner=64))


def too_large(gradient):
    gradient *= 1.001


def check_broken(task, parameter, change=too_large):
    """Names of the parameters that are reported where the gradient of one is changed."""
    def loss_and_gradients(batch, parameters, rng):
        loss, gradients = task.loss_and_gradients(batch, parameters, rng)
        change(named_views(gradients, task.table)[parameter])
        return loss, gradients
    report = check_model(task, draw_tokens(task.config, B=2, T=2), methods=["complex"],
                         loss_and_gradients=loss_and_gradients)
    return [comparison.argument for comparison in report.comparisons if not comparison.right]


@pytest.mark.parametrize("parameter", [name for name, _ in named_leaves(language_model_table(SMALL.config))])
def test_an_error_in_one_parameter_of_a_small_model_is_found_there_and_only_there(parameter):
    assert check_broken(SMALL, parameter) == [parameter]


def test_an_error_in_one_parameter_of_a_large_model_is_found_along_random_directions():
    assert parameter_count(LARGE.table) > COORDINATES
    assert check_broken(LARGE, "blocks.1.mlp.w_up") == ["blocks.1.mlp.w_up"]


@pytest.mark.parametrize("place", [0, 700, -1])
@pytest.mark.parametrize("task", [SMALL, LARGE], ids=["small", "large"])
def test_an_error_in_one_entry_is_found(task, place):
    """Even if it is 1e-9 of the gradient's size. In a large model only random directions are checked, but each of them
    has a part in every entry.
    """
    def change(gradient):
        gradient.flat[place % gradient.size] += 1e-9 * np.sqrt((gradient * gradient).mean())
    assert check_broken(task, "blocks.0.mlp.w_up", change) == ["blocks.0.mlp.w_up"]


@pytest.mark.parametrize("seed", [0, 1])
def test_dropout_has_the_same_masks_in_every_call(seed):
    dropping = LanguageModelling(dataclasses.replace(SMALL.config, embd_pdrop=0.2, attn_pdrop=0.3, resid_pdrop=0.1))
    with_dropout, without = (check_model(task, draw_tokens(task.config, B=2, T=3), seed, ["complex"])
                             for task in (dropping, SMALL))
    assert with_dropout.right and not np.array_equal(with_dropout.comparisons[0].analytic, without.comparisons[0].analytic)


def test_parameters_are_drawn_from_the_seed():
    one, other = (check_model(SMALL, draw_tokens(SMALL.config, B=2, T=3), seed, ["complex"]) for seed in (1, 2))
    assert not np.array_equal(one.comparisons[0].analytic, other.comparisons[0].analytic)


def test_gains_are_near_1_and_biases_are_not_0():
    views = named_views(unit_scale_parameters(LARGE.table, np.random.default_rng(0)), LARGE.table)
    gain, bias = views["ln_f.gain"], views["ln_f.bias"]
    assert abs(gain.mean() - 1) < 0.2 and 0.2 < gain.std() < 0.4 and bias.std() > 0.5


def test_both_methods_agree_on_a_correct_model():
    report = check_model(LARGE, draw_tokens(LARGE.config, B=2, T=3))
    assert report.right and report.worst("complex") < 1e-13 and report.worst("central") < 1e-7
