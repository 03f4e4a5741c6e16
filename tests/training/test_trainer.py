"""The training loop."""
import dataclasses
import math

import numpy as np
import pytest

from npgpt.errors import InputError
from npgpt.model.config import GPTConfig
from npgpt.model.gpt import loss_and_gradients
from npgpt.model.parameters import initial_parameters, named_views
from npgpt.text.corpus import random_batch
from npgpt.training.adamw import AdamW
from npgpt.training.schedule import learning_rate
from npgpt.training.trainer import Diverged, Step, TrainingSettings, initial_state, train

CONFIG = GPTConfig(vocab_size=9, n_positions=8, n_embd=16, n_layer=1, n_head=2)
STILL = CONFIG.without_dropout()
SETTINGS = TrainingSettings(steps=5, batch_size=4, warmup=2)
TOKENS = np.random.default_rng(0).integers(9, size=300)


def steps_of(parameters, config=CONFIG, settings=SETTINGS, tokens=TOKENS):
    return train(initial_state(parameters, config, settings), config, settings, tokens)


def trained(config=CONFIG, settings=SETTINGS, tokens=TOKENS, dtype=np.float32):
    """Parameters and steps of a whole training."""
    parameters = initial_parameters(config, 0, dtype)
    return parameters, list(steps_of(parameters, config, settings, tokens))


def test_the_same_seed_gives_the_same_bytes():
    (first, first_steps), (same, same_steps) = trained(), trained()
    assert first.tobytes() == same.tobytes() and first_steps == same_steps


@pytest.mark.parametrize("config", [CONFIG, STILL])
def test_another_seed_gives_another_model(config):
    assert (trained(config)[0] != trained(config, dataclasses.replace(SETTINGS, seed=1))[0]).any()


def test_dropout_draws_from_the_seed_as_well():
    """The text is one window, so that every batch is the same."""
    first, other = (trained(settings=dataclasses.replace(SETTINGS, seed=seed), tokens=TOKENS[:9])[1][0] for seed in (0, 1))
    assert first.loss != other.loss


def test_dropout_acts():
    assert trained(CONFIG)[1][0].loss != trained(STILL)[1][0].loss


def test_a_step_is_a_batch_a_clipped_gradient_and_an_update():
    """The loop once more, written out."""
    settings = dataclasses.replace(SETTINGS, clip=0.5, learning_rate=0.01, min_learning_rate=0.002, beta1=0.8, beta2=0.9,
                                   weight_decay=0.3)
    parameters, steps = trained(STILL, settings, dtype=np.float64)

    expected = initial_parameters(STILL, 0, np.float64)
    optimiser = AdamW(expected, STILL, beta1=0.8, beta2=0.9, weight_decay=0.3)
    rng = np.random.default_rng([settings.seed, 1])
    for i, step in enumerate(steps):
        ids, targets = random_batch(TOKENS, 4, 8, rng)
        loss, gradients = loss_and_gradients(ids, targets, expected, STILL)
        norm = np.linalg.norm(gradients)
        rate = learning_rate(i, 5, 0.01, 0.002, 2)
        optimiser.update(expected, gradients * min(1, 0.5 / norm), rate)
        assert norm > 0.5
        assert step == Step(i + 1, pytest.approx(float(loss), rel=1e-12), pytest.approx(norm, rel=1e-12), rate)
    np.testing.assert_allclose(parameters, expected, rtol=1e-9, atol=1e-12)


def test_small_batches_that_add_up_are_the_large_batch():
    """The windows are the same, drawn in the same order."""
    large, large_steps = trained(STILL, dataclasses.replace(SETTINGS, batch_size=12), dtype=np.float64)
    small, small_steps = trained(STILL, dataclasses.replace(SETTINGS, batch_size=4, accumulate=3), dtype=np.float64)
    np.testing.assert_allclose(small, large, rtol=1e-9, atol=1e-12)
    assert [step.loss for step in small_steps] == pytest.approx([step.loss for step in large_steps], rel=1e-12)


def test_one_batch_is_learned_by_heart():
    """A text of one window: the same batch at every step. Its tokens are all different, so nothing is left to chance."""
    config = GPTConfig(vocab_size=9, n_positions=8, n_embd=16, n_layer=2, n_head=2).without_dropout()
    settings = TrainingSettings(steps=150, batch_size=2, learning_rate=0.01, warmup=5, weight_decay=0)
    _, steps = trained(config, settings, np.random.default_rng(1).permutation(9))
    assert steps[0].loss == pytest.approx(math.log(9), rel=0.05)
    assert steps[-1].loss < 0.01


def test_steps_are_made_when_they_are_asked_for():
    parameters = initial_parameters(CONFIG)
    before = parameters.copy()
    steps = steps_of(parameters, CONFIG, SETTINGS, TOKENS)
    assert (parameters == before).all()
    assert next(steps).number == 1 and (parameters != before).any()
    assert [step.number for step in steps] == [2, 3, 4, 5]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_keep_their_dtype_and_their_place(dtype):
    parameters = initial_parameters(CONFIG, 0, dtype)
    view = parameters[:]
    list(steps_of(parameters, CONFIG, SETTINGS, TOKENS))
    assert parameters.dtype == dtype and np.isfinite(parameters).all()
    assert (view == parameters).all() and np.shares_memory(view, parameters)


def test_a_loss_that_is_no_number_stops_before_the_step_that_it_would_have_spoiled():
    settings = TrainingSettings(steps=20, batch_size=4, learning_rate=1e30, warmup=0)
    parameters = initial_parameters(CONFIG)
    steps = steps_of(parameters, CONFIG, settings, TOKENS)
    good = 0
    with np.errstate(all="ignore"), pytest.raises(Diverged) as error:
        for step in steps:
            good, before = step.number, parameters.copy()
    assert good >= 1 and f"at step {good + 1} (norms before it: " in str(error.value) and "lower learning rate" in str(error.value)
    np.testing.assert_array_equal(parameters, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_that_is_broken_already_is_not_trained(bad):
    parameters = initial_parameters(CONFIG)
    parameters[:] = bad
    with np.errstate(all="ignore"), pytest.raises(Diverged, match="at step 1, with 3,584 parameters"):
        next(steps_of(parameters, CONFIG, SETTINGS, TOKENS))
    np.testing.assert_array_equal(parameters, np.full_like(parameters, bad))


def test_a_gradient_too_large_to_measure_stops_too():
    parameters = initial_parameters(STILL)
    named_views(parameters, STILL)["transformer.ln_f.weight"][...] = 1e25
    before = parameters.copy()
    with np.errstate(all="ignore"), pytest.raises(Diverged) as error:
        next(steps_of(parameters, STILL, SETTINGS, TOKENS))
    assert "norm inf" in str(error.value) and "loss was inf" not in str(error.value)
    assert (parameters == before).all()


def test_a_text_shorter_than_a_context_is_refused():
    next(steps_of(initial_parameters(CONFIG), CONFIG, SETTINGS, TOKENS[:9]))
    with pytest.raises(InputError, match="training text has 8 tokens"):
        next(steps_of(initial_parameters(CONFIG), CONFIG, SETTINGS, TOKENS[:8]))


@pytest.mark.parametrize("place", [0, 4, 8])
def test_a_token_outside_the_vocabulary_is_refused(place):
    tokens = np.arange(9)
    tokens[place] = 9
    parameters = initial_parameters(CONFIG)
    before = parameters.copy()
    with pytest.raises(InputError, match="token id 9"):
        next(steps_of(parameters, CONFIG, SETTINGS, tokens))
    assert (parameters == before).all()


WRONG = {"steps": [0, -1, 1.0, 10**9 + 1, 10**400], "batch_size": [0, 2**70], "accumulate": [0, 2**70], "warmup": [-1, 10**400],
         "seed": [-1, 1.5], "skip_bad_steps": [-1, 2**70],
         "learning_rate": [-1e-3, math.nan, math.inf], "min_learning_rate": [-1e-3, math.nan, math.inf],
         "weight_decay": [-0.1, math.nan, math.inf], "clip": [-1.0, math.nan, math.inf],
         "beta1": [-0.1, 1.0, math.nan], "beta2": [-0.1, 1.0, math.nan]}


def test_every_setting_is_checked():
    assert WRONG.keys() == {field.name for field in dataclasses.fields(TrainingSettings)}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_setting_is_named_with_the_rule(name, value):
    with pytest.raises(InputError, match=f"^{name} must be .*, not {value}$"):
        TrainingSettings(**{name: value})


def test_settings_at_their_limits_are_accepted():
    TrainingSettings(steps=1, batch_size=1, accumulate=1, learning_rate=0, min_learning_rate=0, warmup=0, weight_decay=0,
                     beta1=0, beta2=0, clip=0, seed=0)
    TrainingSettings(steps=10**9, warmup=10**9, seed=2**200)


def test_nothing_is_learned_at_rate_zero():
    parameters, _ = trained(settings=dataclasses.replace(SETTINGS, learning_rate=0, min_learning_rate=0))
    assert (parameters == initial_parameters(CONFIG)).all()


def test_a_state_goes_on_where_it_stopped():
    """Two halves are the whole, bit for bit: the loop keeps nothing to itself."""
    whole, whole_steps = trained()
    state = initial_state(initial_parameters(CONFIG), CONFIG, SETTINGS)
    first = [step for step, _ in zip(train(state, CONFIG, SETTINGS, TOKENS), range(2))]
    again = list(train(state, CONFIG, SETTINGS, TOKENS))
    assert state.parameters.tobytes() == whole.tobytes() and [step.number for step in again] == [4, 5]
    assert [*first, whole_steps[2], *again] == whole_steps          # zip had taken the third


def test_a_finished_state_makes_no_more_steps():
    state = initial_state(initial_parameters(CONFIG), CONFIG, SETTINGS)
    assert len(list(train(state, CONFIG, SETTINGS, TOKENS))) == 5 and list(train(state, CONFIG, SETTINGS, TOKENS)) == []


def spoiled(bad):
    """Gradients that are no numbers in the steps of `bad`."""
    calls = iter(range(1, 10**6))

    def gradients_of(*arguments):
        loss, gradients = loss_and_gradients(*arguments)
        return loss, gradients * (np.nan if next(calls) in bad else 1)
    return gradients_of


def test_bad_steps_are_passed_over_and_change_nothing():
    """Their batches are drawn, and the learning rate goes on, as if they had been made."""
    settings = dataclasses.replace(SETTINGS, skip_bad_steps=2)
    state = initial_state(initial_parameters(CONFIG), CONFIG, settings)
    before, steps = [], []
    for step in train(state, CONFIG, settings, TOKENS, spoiled({2, 4})):
        steps.append(step)
        before.append((state.parameters.tobytes(), state.optimiser.mean.tobytes(), state.optimiser.updates))
    assert [step.bad for step in steps] == [False, True, False, True, False]
    assert before[1] == before[0] != before[2] == before[3] != before[4]
    assert state.skipped == 2 and state.optimiser.updates == 3
    assert [step.learning_rate for step in steps] == [step.learning_rate for step in trained()[1]]


def test_one_bad_step_more_than_may_be_passed_over_stops_it_with_the_norms_before():
    settings = dataclasses.replace(SETTINGS, skip_bad_steps=1)
    state = initial_state(initial_parameters(CONFIG), CONFIG, settings)
    with pytest.raises(Diverged, match=r"at step 4 \(norms before it: [\d.]+, nan, [\d.]+\): a lower learning rate"):
        list(train(state, CONFIG, settings, TOKENS, spoiled({2, 4})))
    assert (state.step, state.skipped, state.optimiser.updates) == (3, 1, 2)


@pytest.mark.parametrize("ruined", [1, 3])
def test_a_model_that_is_ruined_is_not_trained_on_though_bad_steps_may_be_passed_over(ruined):
    settings = dataclasses.replace(SETTINGS, skip_bad_steps=10**6)
    parameters = initial_parameters(CONFIG)
    parameters[:ruined] = [np.nan, np.inf, -np.inf][:ruined]
    state = initial_state(parameters, CONFIG, settings)
    with np.errstate(all="ignore"), pytest.raises(Diverged, match=f"at step 1, with {ruined} parameters that are no finite numbers: "):
        next(train(state, CONFIG, settings, TOKENS))
    assert (state.step, state.skipped) == (0, 0)
