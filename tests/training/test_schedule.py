"""The learning rate at its corners and between them."""
import pytest
from hypothesis import given, strategies as st

from npgpt.training.schedule import inverse_sqrt_learning_rate, learning_rate, linear_learning_rate

steps = st.integers(1, 60)
warmups = st.integers(0, 70)


def curve(steps, warmup, peak=1.0, floor=0.1):
    return [learning_rate(step, steps, peak, floor, warmup) for step in range(steps)]


def test_the_warm_up_rises_in_equal_steps_up_to_the_peak():
    assert curve(10, 4, peak=5.0)[:5] == pytest.approx([1, 2, 3, 4, 5], rel=1e-15)


def test_without_warm_up_it_starts_at_the_peak():
    assert learning_rate(0, 10, 3.0, 0.5, 0) == 3.0


def test_half_way_after_the_warm_up_it_is_half_way_to_the_floor():
    assert learning_rate(60, 100, 1.0, 0.2, 20) == pytest.approx(0.6, rel=1e-15)


def test_after_a_third_of_the_cosine_it_has_fallen_by_a_quarter():
    assert learning_rate(40, 100, 1.0, 0.0, 10) == pytest.approx(0.75, rel=1e-15)


def test_it_would_reach_the_floor_one_step_after_the_last():
    assert learning_rate(100, 100, 1.0, 0.1, 10) == pytest.approx(0.1, rel=1e-15)


@given(steps, warmups)
def test_it_rises_and_then_falls_between_floor_and_peak(steps, warmup):
    rates = curve(steps, warmup)
    top = min(warmup, steps - 1)
    assert all(a < b for a, b in zip(rates[:top], rates[1:top + 1]))
    assert all(a > b for a, b in zip(rates[top:], rates[top + 1:]))
    assert all(0 < rate <= 1 for rate in rates) and all(rate > 0.1 for rate in rates[top:] if warmup < steps)


@given(steps, warmups)
def test_with_a_floor_as_high_as_the_peak_it_stays_there(steps, warmup):
    assert curve(steps, warmup, peak=2.0, floor=2.0)[warmup:] == [2.0] * max(steps - warmup, 0)


@given(steps, st.integers(0, 10))
def test_a_warm_up_longer_than_the_training_never_reaches_the_peak(steps, longer):
    rates = curve(steps, steps + longer)
    assert max(rates) < 1


def test_a_single_step_has_the_peak_learning_rate():
    assert curve(1, 0) == [1.0]


def test_the_linear_schedule_is_that_of_gpt_1s_code():
    """warmup_linear of finetune-transformer-lm: (x / warmup if x <= warmup else 1) * (1 - x), x the part of updates made."""
    steps, warmup = 40, 8
    rates = [linear_learning_rate(step, steps, 2.0, 0.0, warmup) for step in range(steps)]
    expected = [2.0 * ((x / 0.2 if x < 0.2 else 1) * (1 - x)) for x in (step / steps for step in range(steps))]
    assert rates == pytest.approx(expected, rel=1e-14)
    assert rates[0] == 0 and max(rates) == rates[8] and rates[-1] == pytest.approx(2.0 / 40)


def test_the_linear_schedule_falls_to_the_floor():
    assert linear_learning_rate(10, 10, 2.0, 0.5, 0) == 0.5 and linear_learning_rate(0, 10, 2.0, 0.5, 0) == 2.0


def test_the_inverse_square_root_schedule_is_equation_3_of_the_first_transformer():
    """C^-0.5 min(t^-0.5, t w^-1.5), with t = 1 in the first step."""
    C, w = 512, 40
    rates = [inverse_sqrt_learning_rate(step, 200, (C * w) ** -0.5, 0.0, w) for step in range(200)]
    assert rates == pytest.approx([C**-0.5 * min(t**-0.5, t * w**-1.5) for t in range(1, 201)], rel=1e-12)
    assert inverse_sqrt_learning_rate(199, 200, 1.0, 0.9, w) == 0.9
    assert inverse_sqrt_learning_rate(0, 200, 1.0, 0.0, 0) == 1.0
