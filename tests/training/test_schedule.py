"""The learning rate at its corners and between them."""
import pytest
from hypothesis import given, strategies as st

from npgpt.training.schedule import cosine_learning_rate, inverse_sqrt_learning_rate, linear_learning_rate

steps = st.integers(1, 60)
warmups = st.integers(0, 70)


both = pytest.mark.parametrize("schedule", [linear_learning_rate, cosine_learning_rate], ids=["linear", "cosine"])


def curve(schedule, steps, warmup, peak=1.0, floor=0.1):
    return [schedule(step, steps, peak, floor, warmup) for step in range(steps)]


@both
def test_the_warm_up_rises_in_equal_steps_up_to_the_peak(schedule):
    assert curve(schedule, 10, 4, peak=5.0)[:5] == pytest.approx([1, 2, 3, 4, 5], rel=1e-15)


@both
def test_without_warm_up_it_starts_at_the_peak(schedule):
    assert schedule(0, 10, 3.0, 0.5, 0) == 3.0


@both
def test_half_way_after_the_warm_up_it_is_half_way_to_the_floor(schedule):
    assert schedule(60, 100, 1.0, 0.2, 20) == pytest.approx(0.6, rel=1e-15)


@pytest.mark.parametrize("schedule, rate", [(linear_learning_rate, 2 / 3), (cosine_learning_rate, 3 / 4)])
def test_a_third_of_the_way_after_the_warm_up(schedule, rate):
    assert schedule(40, 100, 1.0, 0.0, 10) == pytest.approx(rate, rel=1e-15)


@both
def test_it_would_reach_the_floor_one_step_after_the_last(schedule):
    assert schedule(100, 100, 1.0, 0.1, 10) == pytest.approx(0.1, rel=1e-15)


@both
@given(steps, warmups)
def test_it_rises_and_then_falls_between_floor_and_peak(schedule, steps, warmup):
    rates = curve(schedule, steps, warmup)
    top = min(warmup, steps - 1)
    assert all(a < b for a, b in zip(rates[:top], rates[1:top + 1]))
    assert all(a > b for a, b in zip(rates[top:], rates[top + 1:]))
    assert all(0 < rate <= 1 for rate in rates) and all(rate > 0.1 for rate in rates[top:] if warmup < steps)


@both
@given(steps, warmups)
def test_with_a_floor_as_high_as_the_peak_it_stays_there(schedule, steps, warmup):
    assert curve(schedule, steps, warmup, peak=2.0, floor=2.0)[warmup:] == [2.0] * max(steps - warmup, 0)


@both
@given(steps, st.integers(0, 10))
def test_a_warm_up_longer_than_the_training_never_reaches_the_peak(schedule, steps, longer):
    assert max(curve(schedule, steps, steps + longer)) < 1


@both
def test_a_single_step_has_the_peak_learning_rate(schedule):
    assert curve(schedule, 1, 0) == [1.0]


def test_the_inverse_square_root_schedule_is_equation_3_of_the_first_transformer():
    """C^-0.5 min(t^-0.5, t w^-1.5), with t = 1 in the first step."""
    C, w = 512, 40
    rates = [inverse_sqrt_learning_rate(step, 200, (C * w) ** -0.5, 0.0, w) for step in range(200)]
    assert rates == pytest.approx([C**-0.5 * min(t**-0.5, t * w**-1.5) for t in range(1, 201)], rel=1e-12)
    assert inverse_sqrt_learning_rate(199, 200, 1.0, 0.9, w) == 0.9
    assert inverse_sqrt_learning_rate(0, 200, 1.0, 0.0, 0) == 1.0
