"""Heat maps made of characters"""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.inspection.heat_map import columns, fitted, heat_map, legend, level, map_width


def test_a_map_shows_what_each_token_attends_to():
    weights = np.array([[1, 0, 0], [0.25, 0.75, 0], [0.005, 0.095, 0.9]])
    assert heat_map(weights, ["a", "bc", "␣"]) == ["     b   ",
                                                  "   a c ␣ ",
                                                  " a @@    ",
                                                  "bc ++%%  ",
                                                  " ␣   --@@"]


@pytest.mark.parametrize("weight, step", [(0, 0), (0.0099, 0), (0.01, 1), (0.1, 4), (0.84, 8), (0.85, 9), (1, 9)])
def test_a_larger_weight_is_darker(weight, step):
    assert level(weight) == step


def test_colour_adds_to_the_characters_and_takes_none_away():
    weights = np.tril(np.full((4, 4), 0.25))
    plain = heat_map(weights, list("abcd"))
    coloured = heat_map(weights, list("abcd"), colour=True)
    assert "\x1b[" not in "".join(plain) + legend() and all("++" in line for line in coloured[1:])
    assert all("\x1b[" in line for line in (*coloured[1:], legend(colour=True)))


def test_the_legend_fits_a_terminal():
    assert columns(legend()) <= 80 and legend().startswith("weights from . 0.01") and legend().endswith("@ 0.85")


@given(st.lists(st.sampled_from(["a", "long token indeed", "中文", "é", "e\u0301", "\\n", "🤗"]), min_size=1, max_size=9),
       st.sampled_from([1, 2]))
def test_all_lines_are_equally_wide(shown, cell):
    lines = heat_map(np.tril(np.ones((len(shown), len(shown)))), shown, cell)
    assert {columns(line) for line in lines} == {map_width(shown, cell)}


@pytest.mark.parametrize("text, cut", [("gradients", "gradients"), ("gradients of", "gradien.."), ("中中中中中", "中中中..")])
def test_a_label_that_is_too_long_ends_in_dots(text, cut):
    assert fitted(text, 9) == cut
