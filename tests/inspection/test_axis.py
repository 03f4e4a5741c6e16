"""Axes and the labels of their ticks"""
import pytest
from hypothesis import example, given, strategies as st

from npgpt.inspection.axis import axis, figure

NUMBERS = st.floats(-1e100, 1e100)


@pytest.mark.parametrize("low, high, ticks", [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (1.4, 4.6, [1, 2, 3, 4, 5]),
                                              (3, 3, [1, 2, 3, 4, 5]), (0, 0.005, [0, 0.001, 0.002, 0.003, 0.004, 0.005])])
def test_ticks_are_round(low, high, ticks):
    assert axis(low, high).ticks == ticks and (axis(low, high).low, axis(low, high).high) == (ticks[0], ticks[-1])


def test_a_tight_axis_ends_at_the_values():
    assert axis(1, 1250, tight=True)[:3] == (1, 1250, [500, 1000])


def test_a_logarithmic_scale_is_used_only_over_several_decades():
    assert axis(0.02, 300, logarithmic=True).ticks == [0.01, 0.1, 1, 10, 100, 1000]
    assert axis(0.02, 300, logarithmic=True).place(1) == pytest.approx(0.4)
    assert not axis(0, 300, logarithmic=True).logarithmic and not axis(1, 9, logarithmic=True).logarithmic


@given(NUMBERS, NUMBERS, st.booleans(), st.booleans())
@example(0.0, 5e-324, False, False)
@example(5e-324, 1e-323, True, True)
@example(1e-310, 1e-310, False, True)
def test_every_value_has_its_place_and_ticks_are_few(a, b, logarithmic, tight):
    low, high = sorted((a, b))
    found = axis(low, high, logarithmic=logarithmic, tight=tight)
    assert -1e-6 <= found.place(low) <= found.place(high) <= 1 + 1e-6
    assert len(found.ticks) <= 8 and found.ticks == sorted(found.ticks)


@pytest.mark.parametrize("value, text", [(0, "0"), (0.0005, "5e-4"), (1.5e-3, "1.5e-3"), (0.25, "0.25"), (2.5, "2.5"),
                                         (1000, "1,000"), (20_000, "20k"), (3e6, "3M"), (-0.2, "-0.2"), (1e20, "1e20")])
def test_labels_are_short(value, text):
    assert figure(value) == text
