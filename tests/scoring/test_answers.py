"""SQuAD's exact match and F1."""
import pytest

from npgpt.scoring.answers import answer_report, normalise


@pytest.mark.parametrize("answer, normalised", [
    ("The  Cat's\tHat!", "cats hat"), ("an apple a day", "apple day"), ("theatre", "theatre"), ("U.S.", "us"), ("A.", ""),
    ("the\u00a0dog", "dog"), ("an-the", "anthe"), ("“Straße”", "“straße”"), ("x_y", "xy"), ("", "")])
def test_case_punctuation_articles_and_spaces_do_not_count(answer, normalised):
    assert normalise(answer) == normalised


@pytest.mark.parametrize("right, predicted, exact_match, f1", [
    (["Denver Broncos"], "the denver broncos", 1, 1),
    (["Denver Broncos"], "Broncos of Denver", 0, 0.8),
    (["Denver Broncos"], "Carolina", 0, 0),
    (["in 1815", "1815", "June 1815"], "1815.", 1, 1),                 # the best of several
    (["June 1815", "in Belgium"], "18 June 1815", 0, 0.8),
    (["go go stop"], "go go go", 0, 2 / 3),                            # words count as often as they occur in both
    ([], "", 1, 1), ([], "the", 1, 1), ([], "something", 0, 0),        # a question without an answer
    (["the", "x"], "", 0, 0), (["the"], "", 1, 1),                     # one without words counts only if all are such
])
def test_one_answer(right, predicted, exact_match, f1):
    report = answer_report([right], [predicted])
    assert report.exact_match == exact_match and report.f1 == pytest.approx(f1)


def test_a_report_has_the_mean_over_all_questions():
    report = answer_report([["a cat"], ["dog"], ["bird song"]], ["cat", "fish", "song"])
    assert report.as_json() == {"exact_match": pytest.approx(1 / 3), "f1": pytest.approx((1 + 0 + 2 / 3) / 3), "examples": 3}
    assert "0.3333" in str(report) and "0.5556" in str(report)
