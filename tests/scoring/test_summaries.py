"""ROUGE-1, ROUGE-2 and ROUGE-L. The figures here are those of rouge_score 0.1.2."""
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.scoring.summaries import longest_common_subsequence, summary_report

REFERENCE = [
    ("the cat sat on the mat", "the mat sat on a cat", (5 / 6, 5 / 6, 5 / 6), (.4, .4, .4), (.5, .5, .5)),
    ("police killed the gunman", "the gunman kill police", (.75, .75, .75), (1 / 3, 1 / 3, 1 / 3), (.5, .5, .5)),
    ("It's 3.5%, said X_1.", "it s 35 x 1 said", (5 / 6, 5 / 7, 10 / 13), (.4, 1 / 3, 4 / 11), (2 / 3, 4 / 7, 8 / 13)),
    ("a a a b", "a b a a a", (.8, 1, 8 / 9), (.75, 1, 6 / 7), (.6, .75, 2 / 3)),
    ("Größe", "gr e", (1, 1, 1), (1, 1, 1), (1, 1, 1)),
    ("", "word", (0, 0, 0), (0, 0, 0), (0, 0, 0)),
    ("日本", "日本", (0, 0, 0), (0, 0, 0), (0, 0, 0)),
]


@pytest.mark.parametrize("actual, predicted, rouge_1, rouge_2, rouge_l", REFERENCE)
def test_the_figures_are_those_of_rouge_score(actual, predicted, rouge_1, rouge_2, rouge_l):
    report = summary_report([actual], [predicted])
    assert np.allclose([of[:3] for of in report[:3]], [rouge_1, rouge_2, rouge_l], rtol=1e-14)


def test_a_report_has_the_mean_over_all_texts():
    report = summary_report([case[0] for case in REFERENCE], [case[1] for case in REFERENCE])
    assert np.allclose([of[:3] for of in report[:3]], np.mean([case[2:] for case in REFERENCE], axis=0))
    figures = json.loads(json.dumps(report.as_json()))
    assert figures["examples"] == len(REFERENCE) and figures["rouge_2"]["f1"] == report.rouge_2.f1
    assert any(line.startswith("ROUGE-L") for line in str(report).splitlines())


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_the_longest_common_subsequence_is_the_longest_of_all(a, b):
    def subsequences(text):
        return {chosen for n in range(len(text) + 1) for chosen in itertools.combinations(text, n)}
    assert longest_common_subsequence(a, b) == max(map(len, subsequences(a) & subsequences(b)))
