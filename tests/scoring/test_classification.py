"""Accuracy, F1, confusion matrix and Matthews' correlation coefficient. The figures here are scikit-learn's."""
import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.scoring.classification import classification_report

labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30).map(lambda pairs: zip(*pairs))
ACTUAL, PREDICTED = [0, 0, 1, 1, 1, 2, 2, 3], [0, 1, 1, 1, 2, 2, 0, 1]


def test_the_figures_are_those_of_scikit_learn():
    report = classification_report(ACTUAL, PREDICTED)
    assert report.accuracy == 0.5
    assert report.confusion.tolist() == [[1, 1, 0, 0], [0, 2, 1, 0], [1, 0, 1, 0], [0, 1, 0, 0]]
    classes = [[0.5, 0.5, 0.5, 2], [0.5, 2 / 3, 4 / 7, 3], [0.5, 0.5, 0.5, 2], [0, 0, 0, 1]]
    assert np.allclose(list(report.classes.values()), classes)
    assert np.allclose(report.macro, [0.375, 0.41666666666666663, 0.39285714285714285, 8])
    assert np.allclose(report.weighted, [0.4375, 0.5, 0.4642857142857143, 8])
    assert np.isclose(report.matthews, 0.27975144247209416)


def test_a_class_that_was_never_right_or_never_predicted_counts_as_zero():
    report = classification_report(["a", "a", "b"], ["a", "c", "a"])
    assert report.labels == ["a", "b", "c"]
    assert report.classes["b"] == (0, 0, 0, 1) and report.classes["c"] == (0, 0, 0, 0)
    assert np.isclose(report.macro.f1, 1 / 6) and np.isclose(report.weighted.f1, 1 / 3)


@pytest.mark.parametrize("actual, predicted", [("aabb", "aaaa"), ("aaaa", "abab"), ("aa", "aa")])
def test_with_a_single_class_on_one_side_the_coefficient_is_0(actual, predicted):
    assert classification_report(actual, predicted).matthews == 0


@given(labels)
def test_each_figure_follows_its_definition(pairs):
    actual, predicted = map(np.array, pairs)
    report = classification_report(actual.tolist(), predicted.tolist())
    assert np.isclose(report.accuracy, np.mean(actual == predicted))
    for label, (precision, recall, f1, support) in report.classes.items():
        chosen, right = predicted == label, actual == label
        assert support == right.sum()
        assert precision == (np.mean(right[chosen]) if chosen.any() else 0)
        assert recall == (np.mean(chosen[right]) if right.any() else 0)
        assert np.isclose(f1, 2 * precision * recall / (precision + recall) if precision + recall else 0)


@given(labels)
def test_the_coefficient_is_the_correlation_of_indicator_vectors(pairs):
    actual, predicted = (np.array(side)[:, None] == np.arange(5) for side in pairs)

    def covariance(x, y):
        return ((x - x.mean(axis=0)) * (y - y.mean(axis=0))).sum()
    variances = covariance(actual, actual) * covariance(predicted, predicted)
    expected = covariance(actual, predicted) / np.sqrt(variances) if variances > 1e-12 else 0
    report = classification_report(actual.argmax(axis=1).tolist(), predicted.argmax(axis=1).tolist())
    assert np.isclose(report.matthews, expected)


def test_the_report_is_a_table_and_json():
    report = classification_report(["no", "yes", "yes"], ["no", "no", "yes"])
    lines = str(report).splitlines()
    assert any(line.split() == ["yes", "1.000", "0.500", "0.667", "2"] for line in lines)
    assert [line.split() for line in lines[-2:]] == [["no", "1", "0"], ["yes", "1", "1"]]
    figures = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert figures["classes"]["yes"]["recall"] == 0.5 and figures["confusion"] == [[1, 0], [1, 1]]


@pytest.mark.parametrize("actual, predicted", [([], []), ([1], []), ([1], [1, 1])])
def test_one_prediction_for_each_example_is_needed(actual, predicted):
    with pytest.raises(InputError, match=f"{len(predicted)} predictions for {len(actual)} examples"):
        classification_report(actual, predicted)
