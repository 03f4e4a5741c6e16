"""Entities by their boundaries and types. The figures and the readings of odd tags here are seqeval's."""
import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from npgpt.errors import InputError
from npgpt.scoring.spans import entities, span_report

tags = st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), max_size=8)


@pytest.mark.parametrize("text, found, strictly", [
    ("B-PER I-PER O B-LOC", [("PER", 0, 2), ("LOC", 3, 4)], [("PER", 0, 2), ("LOC", 3, 4)]),
    ("O I-A I-A O", [("A", 1, 3)], []),                                        # inside, after outside
    ("B-A I-B I-B", [("A", 0, 1), ("B", 1, 3)], [("A", 0, 1)]),                # inside of another type
    ("B-A B-A I-A", [("A", 0, 1), ("A", 1, 3)], [("A", 0, 1), ("A", 1, 3)]),   # two neighbours of one type
    ("I-A B-A", [("A", 0, 1), ("A", 1, 2)], [("A", 1, 2)]),
    ("B I O B", [("_", 0, 2), ("_", 3, 4)], [("_", 0, 2), ("_", 3, 4)]),       # no types
    ("B-A-B I-A-B", [("A-B", 0, 2)], [("A-B", 0, 2)]),
])
def test_odd_sequences_are_read_as_seqeval_reads_them(text, found, strictly):
    assert entities(text.split()) == found and entities(text.split(), strict=True) == strictly


@pytest.mark.parametrize("text, found", [
    ("B-A I-A E-A S-A", [("A", 0, 3), ("A", 3, 4)]),
    ("B-A E-A I-A E-A E-A", [("A", 0, 2), ("A", 2, 4), ("A", 4, 5)]),
    ("S-A I-A", [("A", 0, 1), ("A", 1, 2)]),
])
def test_tags_for_the_end_and_for_a_single_token_end_an_entity(text, found):
    assert entities(text.split()) == found


@given(tags)
def test_entities_are_disjoint_and_cover_all_but_outside_tags(sequence):
    covered = [i for entity in entities(sequence) for i in range(entity.start, entity.stop)]
    assert covered == [i for i, tag in enumerate(sequence) if tag != "O"]
    assert all(sequence[entity.start] in ("B-" + entity.type, "I-" + entity.type) for entity in entities(sequence))


@given(tags)
def test_strictly_each_begin_tag_is_one_entity(sequence):
    starts = [entity.start for entity in entities(sequence, strict=True)]
    assert starts == [i for i, tag in enumerate(sequence) if tag[0] == "B"]


def test_the_figures_are_those_of_seqeval():
    actual = "O O O B-MISC I-MISC I-MISC O", "B-PER I-PER O", "B-PER O B-LOC"
    predicted = "O O B-MISC I-MISC I-MISC I-MISC O", "B-PER I-PER O", "O O B-PER"
    report = span_report([text.split() for text in actual], [text.split() for text in predicted])
    assert report.types == {"LOC": (0, 0, 0, 1), "MISC": (0, 0, 0, 1), "PER": (0.5, 0.5, 0.5, 2)}
    assert np.allclose(report.micro, [1 / 3, 1 / 4, 2 / 7, 4])
    assert np.allclose(report.macro, [1 / 6, 1 / 6, 1 / 6, 4]) and np.allclose(report.weighted, [1 / 4, 1 / 4, 1 / 4, 4])
    assert json.loads(json.dumps(report.as_json()))["types"]["PER"]["f1"] == 0.5
    assert any(line.split() == ["PER", "0.500", "0.500", "0.500", "2"] for line in str(report).splitlines())


def test_the_same_place_in_another_text_is_another_entity():
    assert span_report([["B-A"], ["O"]], [["O"], ["B-A"]]).micro.f1 == 0


def test_without_entities_all_figures_are_0():
    report = span_report([["O"], []], [["O"], []])
    assert report.types == {} and report.micro == report.macro == report.weighted == (0, 0, 0, 0) and str(report)


@pytest.mark.parametrize("actual, predicted, complaint", [
    ([["O"], ["O"]], [["O"], ["O", "O"]], "text 1 has 1 tags, and 2 were predicted"),
    ([["O"]], [["NOUN"]], "'NOUN'"), ([["O"]], [[""]], "''"), ([["O"]], [], "0 predictions"),
])
def test_tags_that_cannot_be_compared_are_refused(actual, predicted, complaint):
    with pytest.raises(InputError, match=complaint):
        span_report(actual, predicted)
