"""BLEU and chrF of a corpus. The figures here are those of sacrebleu 2.6.0."""
import pytest

from npgpt.scoring.translation import translation_report, words


@pytest.mark.parametrize("actual, predicted, bleu, chrf", [
    (["the cat sat on the mat"], ["the cat sat on the mat"], 100.0, 100.0),
    (["the cat sat on the mat"], ["the the the the the the the"], 7.809849842300637, 14.50514113785069),
    (["the cat sat on the mat"], ["the cat sat"], 0.0, 49.59348409966008),
    (["the cat sat on the mat."], ["on the mat sat a cat!"], 27.77619034011791, 54.0778560209231),
    (["Es kostet 1,000.50 Euro.", "Nein."], ["Das kostet 1,000.5 Euro -- &quot;genau&quot;.", "Nein, nein."],
     5.426606877000502, 59.48201532576548),
    (["a b", "c d e f"], ["", "c d e f g"], 54.75182535069452, 81.23055231427459),
    (["Größe ändern", "Straße"], ["Grösse ändern", "Strasse"], 0.0, 53.37234875281089),
    (["abc", "ab"], ["a", "abcdefg hij"], 0.0, 36.279323513366066),
    (["x"], ["y"], 0.0, 0.0),
    (["x"], [""], 0.0, 0.0),
])
def test_the_figures_are_those_of_sacrebleu(actual, predicted, bleu, chrf):
    report = translation_report(actual, predicted)
    assert (report.bleu, report.chrf) == (pytest.approx(bleu, rel=1e-13), pytest.approx(chrf, rel=1e-13))


@pytest.mark.parametrize("text, separated", [
    ("It's 3.5, or 1,000.", "It's 3.5 , or 1,000 ."),
    ("(a/b) [c] {d} ~e` $9", "( a / b ) [ c ] { d } ~ e ` $ 9"),
    ("4-5 x-y -3", "4 - 5 x-y -3"),
    ("&quot;a&amp;lt;b&quot;", '" a < b "'),                   # the second is unescaped twice
    ("a-\nb\nc <skipped>d", "ab c d"),
    ("“x”…\u00a0y", "“x”… y"),
])
def test_words_are_separated_as_by_mteval(text, separated):
    assert " ".join(words(text)) == separated


def test_a_report_is_printed_and_given_as_json():
    report = translation_report(["a b c d"], ["a b c d"])
    assert str(report).split() == ["BLEU", "100.00", "chrF", "100.00", "examples", "1"]
    assert report.as_json() == {"bleu": 100, "chrf": 100, "examples": 1}
