"""The training loop."""
import dataclasses
import math

import numpy as np
import pytest

from helpers import language_model
from npgpt.errors import InputError
from npgpt.layers.cross_entropy import IGNORED
from npgpt.model.config import GPTConfig
from npgpt.model.parameters import named_views
from npgpt.training.optimiser import Optimiser
from npgpt.tasks.language_modelling import LanguageModelling, TokenBatch
from npgpt.text.corpus import Corpus
from npgpt.training.schedule import linear_learning_rate
from npgpt.training.settings import TrainingSettings
from npgpt.training.trainer import Diverged, Step, initial_state, train

CONFIG = GPTConfig(vocab_size=9, n_positions=8, n_embd=16, n_layer=1, n_head=2)
TOKENS = np.random.default_rng(0).integers(9, size=300)


def task_of(config, tokens=TOKENS):
    """Language modelling of these tokens."""
    return LanguageModelling(config, Corpus(tokens, tokens[:0]))


TASK = task_of(CONFIG)
WITHOUT_DROPOUT = task_of(CONFIG.without_dropout())
SETTINGS = TrainingSettings(steps=5, batch_size=4, warmup=2)


def new_state(task=TASK, settings=SETTINGS):
    return initial_state(language_model(task.config), task, settings)


def steps_of(parameters, task=TASK, settings=SETTINGS):
    return train(initial_state(parameters, task, settings), task, settings)


def trained(task=TASK, settings=SETTINGS, dtype=np.float32):
    """Parameters and steps of a whole training."""
    parameters = language_model(task.config, 0, dtype)
    return parameters, list(steps_of(parameters, task, settings))


def test_the_same_seed_gives_the_same_bytes():
    (first, first_steps), (same, same_steps) = trained(), trained()
    assert first.tobytes() == same.tobytes() and first_steps == same_steps


@pytest.mark.parametrize("task", [TASK, WITHOUT_DROPOUT])
def test_another_seed_gives_another_model(task):
    assert (trained(task)[0] != trained(task, dataclasses.replace(SETTINGS, seed=1))[0]).any()


def test_dropout_draws_from_the_seed_as_well():
    """The text is one window, so that every batch is the same."""
    task = task_of(CONFIG, TOKENS[:9])
    first, other = (trained(task, dataclasses.replace(SETTINGS, seed=seed))[1][0] for seed in (0, 1))
    assert first.loss != other.loss


def test_batches_and_dropout_masks_are_drawn_by_generators_of_their_own():
    """With the same stream for both, a mask would depend on what is in the batch, and batches on whether there is dropout."""
    batches, masks = new_state().batch_rng, new_state().dropout_rng
    assert not set(batches.random(100)) & set(masks.random(100))
    seen = {}
    for task in (TASK, WITHOUT_DROPOUT):
        def noted(batch, *rest, task=task):
            seen.setdefault(task, []).append(batch.ids.tolist())
            return task.loss_and_gradients(batch, *rest)
        list(train(new_state(task), task, SETTINGS, noted))
    assert seen[TASK] == seen[WITHOUT_DROPOUT] and len(seen[TASK]) == SETTINGS.steps


def test_dropout_acts_in_training():
    assert trained(TASK)[1][0].loss != trained(WITHOUT_DROPOUT)[1][0].loss


def test_a_step_is_a_batch_a_clipped_gradient_and_an_update():
    """Computed a second time, written out."""
    settings = dataclasses.replace(SETTINGS, clip=0.5, learning_rate=0.01, min_learning_rate=0.002, beta1=0.8, beta2=0.9,
                                   weight_decay=0.3)
    task = WITHOUT_DROPOUT
    parameters, steps = trained(task, settings, dtype=np.float64)

    expected = language_model(task.config, 0, np.float64)
    optimiser = Optimiser(expected, task.table, beta1=0.8, beta2=0.9, weight_decay=0.3)
    rng = np.random.default_rng([settings.seed, 1])
    for i, step in enumerate(steps):
        loss, gradients = task.loss_and_gradients(task.training_batch(0, 4, rng), expected)
        norm = np.linalg.norm(gradients)
        rate = linear_learning_rate(i, 5, 0.01, 0.002, 2)
        optimiser.update(expected, gradients * min(1, 0.5 / norm), rate)
        assert norm > 0.5
        assert step == Step(i + 1, pytest.approx(float(loss), rel=1e-12), pytest.approx(norm, rel=1e-12), rate)
    np.testing.assert_allclose(parameters, expected, rtol=1e-9, atol=1e-12)


def test_accumulated_batches_are_equal_to_one_large_batch():
    """The windows are the same, drawn in the same order."""
    large, large_steps = trained(WITHOUT_DROPOUT, dataclasses.replace(SETTINGS, batch_size=12), dtype=np.float64)
    small, small_steps = trained(WITHOUT_DROPOUT, dataclasses.replace(SETTINGS, batch_size=4, accumulate=3), dtype=np.float64)
    np.testing.assert_allclose(small, large, rtol=1e-9, atol=1e-12)
    assert [step.loss for step in small_steps] == pytest.approx([step.loss for step in large_steps], rel=1e-12)


class FewerTargetsEachTime(LanguageModelling):
    """Of the first batch that is drawn all targets count, of each further one only some."""
    drawn = 0

    def training_batch(self, number, size, rng):
        ids, targets = super().training_batch(number, size, rng)
        targets = targets.copy()
        targets[:, len(targets[0]) - 3 * self.drawn:] = IGNORED
        self.drawn += 1
        return TokenBatch(ids, targets)


def test_every_target_of_accumulated_batches_has_the_same_weight():
    config = CONFIG.without_dropout()
    corpus, parameters = Corpus(TOKENS, TOKENS[:0]), language_model(config, 0, np.float64)
    task, same_task = FewerTargetsEachTime(config, corpus), FewerTargetsEachTime(config, corpus)
    rng = np.random.default_rng([SETTINGS.seed, 1])
    whole = TokenBatch(*map(np.concatenate, zip(*[same_task.training_batch(i, 4, rng) for i in range(3)])))
    loss, gradients = task.loss_and_gradients(whole, parameters)
    step = next(steps_of(parameters, task, dataclasses.replace(SETTINGS, accumulate=3)))
    assert (step.loss, step.gradient_norm) == pytest.approx((loss, np.linalg.norm(gradients)), rel=1e-12)


def test_one_batch_is_memorised():
    """A text of one window: the same batch at every step. Its tokens are all different, so the loss can reach 0."""
    config = GPTConfig(vocab_size=9, n_positions=8, n_embd=16, n_layer=2, n_head=2).without_dropout()
    settings = TrainingSettings(steps=150, batch_size=2, learning_rate=0.01, warmup=5, weight_decay=0)
    _, steps = trained(task_of(config, np.random.default_rng(1).permutation(9)), settings)
    assert steps[0].loss == pytest.approx(math.log(9), rel=0.05)
    assert steps[-1].loss < 0.01


def test_a_step_is_made_when_it_is_taken_from_the_iterator():
    parameters = language_model(CONFIG)
    before = parameters.copy()
    steps = steps_of(parameters)
    assert (parameters == before).all()
    assert next(steps).number == 1 and (parameters != before).any()
    assert [step.number for step in steps] == [2, 3, 4, 5]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_are_trained_in_place_in_their_own_dtype(dtype):
    parameters = language_model(CONFIG, 0, dtype)
    before = parameters.copy()
    state = initial_state(parameters, TASK, SETTINGS)
    list(train(state, TASK, SETTINGS))
    assert state.parameters is parameters and parameters.dtype == dtype
    assert np.isfinite(parameters).all() and (parameters != before).any()


def test_training_stops_before_an_update_with_a_loss_that_is_nan_or_infinite():
    settings = TrainingSettings(steps=20, batch_size=4, learning_rate=1e30, warmup=0)
    parameters = language_model(CONFIG)
    steps = steps_of(parameters, TASK, settings)
    good = 0
    with np.errstate(all="ignore"), pytest.raises(Diverged) as error:
        for step in steps:
            good, before = step.number, parameters.copy()
    assert good >= 1 and f"at step {good + 1} (norms before it: " in str(error.value) and "lower learning rate" in str(error.value)
    np.testing.assert_array_equal(parameters, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_whose_parameters_are_nan_or_infinite_is_not_trained(bad):
    parameters = language_model(CONFIG)
    parameters[:] = bad
    with np.errstate(all="ignore"), pytest.raises(Diverged, match="at step 1, with 3,584 parameters"):
        next(steps_of(parameters))
    np.testing.assert_array_equal(parameters, np.full_like(parameters, bad))


def test_training_stops_where_the_norm_of_the_gradients_overflows():
    parameters = language_model(CONFIG)
    named_views(parameters, WITHOUT_DROPOUT.table)["ln_f.gain"][...] = 1e25
    before = parameters.copy()
    with np.errstate(all="ignore"), pytest.raises(Diverged) as error:
        next(steps_of(parameters, WITHOUT_DROPOUT))
    assert "norm inf" in str(error.value) and "loss was inf" not in str(error.value)
    assert (parameters == before).all()


@pytest.mark.parametrize("place", [0, 4, 8])
def test_a_token_outside_the_vocabulary_is_refused(place):
    tokens = np.arange(9)
    tokens[place] = 9
    parameters = language_model(CONFIG)
    before = parameters.copy()
    with pytest.raises(InputError, match="token id 9"):
        next(steps_of(parameters, task_of(CONFIG, tokens)))
    assert (parameters == before).all()


def test_with_learning_rate_0_nothing_changes():
    parameters, _ = trained(settings=dataclasses.replace(SETTINGS, learning_rate=0, min_learning_rate=0))
    assert (parameters == language_model(CONFIG)).all()


def test_a_state_continues_where_it_stopped():
    """Two halves are the whole, bit for bit: all that a step depends on is in the state."""
    whole, whole_steps = trained()
    state = new_state()
    first = [step for _, step in zip(range(2), train(state, TASK, SETTINGS))]
    again = list(train(state, TASK, SETTINGS))
    assert state.parameters.tobytes() == whole.tobytes() and [*first, *again] == whole_steps


def test_a_finished_state_makes_no_more_steps():
    state = new_state()
    assert len(list(train(state, TASK, SETTINGS))) == 5 and list(train(state, TASK, SETTINGS)) == []


def test_another_implementation_of_the_gradients_may_be_given():
    def doubled(batch, parameters, rng, fraction, out):
        loss, gradients = WITHOUT_DROPOUT.loss_and_gradients(batch, parameters, rng, fraction, out)
        gradients *= 2
        return 2 * loss, gradients
    step, plain = (next(train(new_state(), WITHOUT_DROPOUT, SETTINGS, function)) for function in (doubled, None))
    assert step.loss == pytest.approx(2 * plain.loss) and step.gradient_norm == pytest.approx(2 * plain.gradient_norm)


def with_bad_steps(bad):
    """Gradients that are NaN in the steps of `bad`."""
    calls = iter(range(1, 10**6))

    def loss_and_gradients(*arguments):
        loss, gradients = TASK.loss_and_gradients(*arguments)
        if next(calls) in bad:
            gradients[:] = np.nan
        return loss, gradients
    return loss_and_gradients


def test_bad_steps_are_skipped_and_change_nothing():
    """Their batches are drawn, and the learning rate continues, as if they had been made."""
    settings = dataclasses.replace(SETTINGS, skip_bad_steps=2)
    state = new_state(settings=settings)
    after, steps = [], []
    for step in train(state, TASK, settings, with_bad_steps({2, 4})):
        steps.append(step)
        after.append([array.tobytes() for array in (state.parameters, state.optimiser.m, state.optimiser.v)])
    assert [step.bad for step in steps] == [False, True, False, True, False]
    assert after[1] == after[0] != after[2] == after[3] != after[4]
    assert state.skipped == 2 and state.optimiser.t == 3
    assert [step.learning_rate for step in steps] == [step.learning_rate for step in trained()[1]]


def test_one_bad_step_too_many_stops_training_with_the_norms_before():
    settings = dataclasses.replace(SETTINGS, skip_bad_steps=1)
    state = new_state(settings=settings)
    with pytest.raises(Diverged, match=r"at step 4 \(norms before it: [\d.]+, nan, [\d.]+\)"):
        list(train(state, TASK, settings, with_bad_steps({2, 4})))
    assert (state.step, state.skipped, state.optimiser.t) == (3, 1, 2)


@pytest.mark.parametrize("damaged", [1, 3])
def test_a_model_with_nan_or_infinite_parameters_is_not_trained_even_where_bad_steps_may_be_skipped(damaged):
    settings = dataclasses.replace(SETTINGS, skip_bad_steps=10**6)
    state = new_state(settings=settings)
    state.parameters[:damaged] = [np.nan, np.inf, -np.inf][:damaged]
    with np.errstate(all="ignore"), pytest.raises(Diverged, match=f"at step 1, with {damaged} parameters"):
        next(train(state, TASK, settings))
    assert (state.step, state.skipped) == (0, 0)


def test_the_last_few_norms_are_kept_and_no_more():
    settings = dataclasses.replace(SETTINGS, steps=14)
    state = new_state(settings=settings)
    norms = [step.gradient_norm for step in train(state, TASK, settings)]
    assert state.norms == norms[-10:]


def test_the_seconds_of_all_steps_add_up(monkeypatch):
    """What happens between the steps does not count."""
    now, gradients = 0.0, TASK.loss_and_gradients

    def take_two_seconds(*arguments):
        nonlocal now
        now += 2
        return gradients(*arguments)
    monkeypatch.setattr("time.perf_counter", lambda: now)
    state = new_state()
    state.seconds = 0.5
    for step in train(state, TASK, SETTINGS, take_two_seconds):
        assert state.seconds == 0.5 + 2 * step.number
        now += 100
