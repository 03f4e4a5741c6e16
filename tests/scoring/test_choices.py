"""Choices by likelihood, and last words: reports."""
import math

import pytest

from npgpt.scoring.choices import ChoiceLikelihood, choice_report, ranked
from npgpt.scoring.last_word import last_word_report
from npgpt.scoring.likelihood import Likelihood

SHORT = ChoiceLikelihood("no", 1, -2.0, -1.0)
LONG = ChoiceLikelihood("certainly", 2, -3.0, -3.5)


def test_each_ranking_has_its_own_best_choice():
    """Sums -2, -3; per token -2, -1.5; per character -1, -1/3; minus the likelihood alone -1, +0.5."""
    assert ranked([SHORT, LONG]) == {"sum": 0, "per token": 1, "per character": 1, "per byte": 1, "minus alone": 1}


def test_bytes_are_not_characters():
    """Per character -2 and -3; per byte -2 and -1."""
    found = ranked([ChoiceLikelihood("a", 1, -2.0, 0.0), ChoiceLikelihood("€", 1, -3.0, 0.0)])
    assert (found["per character"], found["per byte"]) == (0, 1)


def test_of_equal_choices_the_first_is_taken():
    assert {*ranked([SHORT, SHORT]).values()} == {0}


def test_the_report_has_an_accuracy_for_each_ranking_and_that_of_a_random_guess():
    report = choice_report([0, 0], [[SHORT, LONG], [LONG, SHORT, SHORT, SHORT]])
    assert report.accuracy == {"sum": 0.5, "per token": 0.5, "per character": 0.5, "per byte": 0.5, "minus alone": 0.5}
    assert report.chance == (1 / 2 + 1 / 4) / 2 and report.examples == 2
    assert "sum              0.5000" in str(report) and report.as_json()["accuracy"]["sum"] == 0.5


def test_the_perplexity_of_last_words_is_that_of_whole_words():
    report = last_word_report([Likelihood(-2.0, 3, True), Likelihood(-4.0, 1, False)])
    assert (report.accuracy, report.perplexity, report.examples) == (0.5, pytest.approx(math.exp(3)), 2)


def test_a_perplexity_too_large_for_a_float_is_infinite():
    report = last_word_report([Likelihood(-2000.0, 3, False)])
    assert report.perplexity == math.inf and report.as_json()["perplexity"] is None
