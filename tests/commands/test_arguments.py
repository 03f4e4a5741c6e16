"""Kinds of arguments."""
import argparse

import pytest
from hypothesis import given, strategies as st

from npgpt.commands.arguments import LIMIT, count, path


@given(st.integers(-LIMIT, LIMIT))
def test_a_whole_number_is_read(number):
    assert count(str(number)) == number


@pytest.mark.parametrize("text", ["", "1.0", "1e3", "ten", "nan", str(LIMIT + 1), "9" * 5000])
def test_what_is_none_or_too_large_for_any_machine_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="a whole number of at most 1,000,000,000 was expected"):
        count(text)


def test_an_empty_name_is_no_path():
    assert path("out").name == "out"
    with pytest.raises(argparse.ArgumentTypeError, match="the name of a file or folder was expected, not nothing"):
        path("")
