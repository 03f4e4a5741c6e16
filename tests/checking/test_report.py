"""Comparisons and reports, of gradients that are given."""
import numpy as np
import pytest

from npgpt.checking.report import Comparison, Report, largest


def compare(analytic, numeric, method="complex", **fields):
    analytic, numeric = np.array(analytic), np.array(numeric)
    scale = largest([analytic, numeric])
    return Comparison("layer", "x", analytic.shape, analytic, {method: numeric}, scale, **fields)


def test_an_error_is_relative_to_the_largest_entry_of_any_sign():
    assert largest([np.array([-4.0, 1.0]), np.array([2.0])]) == largest([np.array([2.0]), np.array([-4.0, 1.0])]) == 4
    assert compare([-4.0, 1.0], [-4.0, 1.5]).error("complex") == 0.5 / 4
    assert compare([0.0, 0.0], [0.0, 0.0]).error("complex") == 0


def test_the_worst_error_is_that_of_all_arguments_that_used_the_method():
    report = Report([compare([1.0], [1.5]), compare([4.0], [5.0]), compare([1.0], [9.0], "central")], [])
    assert report.worst("complex") == 0.5 / 1.5 and report.worst("central") == 8 / 9 and Report([], []).worst("complex") == 0


def test_entries_are_counted_as_off_relative_to_the_scale():
    assert "1 of 3 entries off" in compare([1e-9, 2e-9, 3e-9], [1e-9, 2.1e-9, 3e-9]).explain()
    assert "2 of 3 entries off" in compare([1.0, np.nan, 3.0], [1.1, 2.0, 3.0]).explain()


@pytest.mark.parametrize("analytic, numeric, method, hint", [
    ([1.0, -2.0], [3.0, -6.0], "complex", "numeric / analytic is 3 everywhere"),
    ([1.0, 2.0], [3.0, 6.0001], "complex", None),
    ([1.0, 2.0], [3.0, 6.0001], "central", "numeric / analytic is 3 everywhere"),
    ([1.0], [3.0], "complex", None),                       # one number does not show a factor
    ([1.0, 2.0, 3.0], [1.0, 2.0, 0.0], "complex", "right except where it must be zero"),
    ([1.0, 2.0, 3.0], [2.0, 4.0, 0.0], "complex", None),   # a factor, but not everywhere
    ([1.0, 2.0], [2.0, 1.0], "complex", "the same numbers in another order"),
    ([1.0, 2.0], [0.0, 0.0], "complex", "identically zero by numerical differentiation"),
    ([0.0, 0.0], [1.0, 2.0], "complex", "identically zero by hand"),
    ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 3.0], [2.0, 4.0]], "complex", "matches after a transpose"),
    ([1.0, 2.0, 4.0], [1.0, 2.0, 5.0], "complex", None)])
def test_common_mistakes_are_recognised(analytic, numeric, method, hint):
    message = compare(analytic, numeric, method).explain()
    assert hint in message if hint else message.endswith("entries off")


def test_a_factor_is_not_claimed_beyond_what_a_loose_tolerance_shows():
    assert compare([1.0, 2.0], [3.0, 8.0], tolerance=0.25).explain().endswith("entries off")
    assert compare([1.0, 2.0], [3.0, 6.1], tolerance=0.25).explain().endswith("is 3 everywhere")


def test_a_report_is_right_only_if_all_of_it_is():
    right, wrong = compare([1.0], [1.0]), compare([1.0], [2.0])
    assert Report([right, right], []).right
    assert not Report([right, wrong], []).right and not Report([right], ["forward or backward changes an argument"]).right


def test_the_verdict_tells_a_gradient_that_is_zero_everywhere_from_one_that_is_wrong():
    assert [compare(analytic, [1.0, 2.0]).verdict for analytic in ([1.0, 2.0], [0.0, 0.0], [1.0, 3.0])] == [
        "ok", "zero", "WRONG"]
    assert compare([0.0, 0.0], [0.0, 0.0]).verdict == "zero" and compare([0.0, 0.0], [0.0, 0.0], zero=True).verdict == "ok"
