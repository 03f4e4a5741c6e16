"""Panels of curves"""
import re

import numpy as np
import pytest

from npgpt.inspection.curves import WIDTH, Line, frame, noisy_lines, panel
from npgpt.inspection.metrics import Curve, smooth


def line(steps, values, run=0, kind="train"):
    return Line(run, kind, Curve(np.array(steps, float), np.array(values, float)), "")


def labels(lines, **settings):
    return re.findall(r">([^<]+)</text>", "".join(panel(lines, frame(lines, **settings))))


@pytest.mark.parametrize("last, shown", [(1250, ["500", "1,000", "1,250"]), (1020, ["500", "1,020"]),
                                         (999, ["200", "400", "600", "800", "999"]), (1, ["1"])])
def test_the_last_step_is_labelled_and_no_other_is_near_it(last, shown):
    across = labels([line([1, last], [2, 3])])[:-1]
    assert across[-len(shown):] == shown


@pytest.mark.parametrize("last, anchor", [(4, "middle"), (1250, "end")])
def test_the_last_label_is_below_its_tick_where_it_has_room(last, anchor):
    lines = [line([0, last], [2, 3])]
    ticks = r'd="M([\d.]+) \d+v5"/><text x="([\d.]+)" y="\d+" text-anchor="(\w+)"'
    tick, x, found = re.findall(ticks, "".join(panel(lines, frame(lines))))[-1]
    assert found == anchor and (x == tick if anchor == "middle" else float(tick) < float(x) < WIDTH)


def test_labels_have_room_at_the_left_and_no_more():
    short, long = (frame([line([1, 2], [0, high])]) for high in (5, 5e-9))
    assert short.left < long.left and short.left + short.width == long.left + long.width < WIDTH


def test_curves_that_coincide_are_drawn_one_on_top_of_wider_ones():
    first, same, other = line([1, 2], [3, 4], run=0), line([1, 2], [3, 4], run=1), line([1, 2], [3, 5], run=2)
    lines = [first, other, same]
    classes = re.findall(r'<g class="(c\d)"><path class="([^"]+)"', "".join(panel(lines, frame(lines))))
    assert classes == [("c0", "train under1"), ("c2", "train"), ("c1", "train")]


def test_a_noisy_curve_is_averaged_over_a_fiftieth_of_the_run_in_front_of_its_values():
    noise = Curve(np.arange(300.0), np.random.default_rng(0).random(300))
    behind, front = noisy_lines(2, noise, "loss", 1)
    assert (behind.kind, front.kind) == ("raw", "train") and np.array_equal(behind.curve.values, noise.values)
    assert np.array_equal(front.curve.values, smooth(noise, 6).values)
    short = Curve(noise.steps[:99], noise.values[:99])
    only, = noisy_lines(2, short, "loss", 1)
    assert np.array_equal(only.curve.values, smooth(short, 1).values)


def test_curves_of_other_kinds_are_not_taken_for_the_same():
    lines = [line([1, 2], [3, 4]), line([1, 2], [3, 4], kind="validation"), line([1, 2], [3, 4], kind="raw")]
    assert "under" not in "".join(panel(lines, frame(lines)))
