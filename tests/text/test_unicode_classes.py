"""Letters, numbers and spaces, compared with those of Python."""
import re
import unicodedata

import pytest

from npgpt.text.unicode_classes import LAST, LAST_OF_BMP, character_class, ranges

OURS = (16, 0)                                                          # versions of Unicode
PYTHONS = tuple(map(int, unicodedata.unidata_version.split(".")[:2]))


def members(kind):
    return {point for first, last in ranges(kind) for point in range(first, last + 1)}


@pytest.mark.parametrize("kind, category", [("letters", "L"), ("numbers", "N")])
def test_characters_in_both_versions_of_unicode_have_the_same_category(kind, category):
    ours = members(kind)
    pythons = {point for point in range(LAST + 1) if unicodedata.category(chr(point))[0] == category}
    if PYTHONS <= OURS:
        assert pythons <= ours
        assert {unicodedata.category(chr(point)) for point in ours - pythons} <= {"Cn"}        # not assigned yet
    else:
        assert ours <= pythons


def test_spaces_are_those_of_python_except_four_separators():
    pythons = {point for point in range(LAST + 1) if chr(point).isspace()}
    assert pythons - members("spaces") == {0x1C, 0x1D, 0x1E, 0x1F} and members("spaces") <= pythons


@pytest.mark.parametrize("kind", ["letters", "numbers", "spaces"])
def test_tables_are_sorted_without_overlap(kind):
    points = [point for pair in ranges(kind) for point in pair]
    assert points == sorted(points)


@pytest.mark.parametrize("last", [0x7F, 0xAC, LAST_OF_BMP, LAST])
def test_a_character_class_contains_the_table_up_to_the_last_character(last):
    everything = "".join(map(chr, range(LAST + 1)))
    found = {ord(character) for character in re.findall(f"[{character_class('numbers', last)}]", everything)}
    assert found == {point for point in members("numbers") if point <= last}
