"""Kinds of arguments."""
import argparse

import pytest
from hypothesis import given, strategies as st

from npgpt.commands.arguments import count, model_directory, path
from npgpt.training.settings import LARGEST_COUNT


@given(st.integers(-LARGEST_COUNT, LARGEST_COUNT))
def test_a_whole_number_is_read(number):
    assert count(str(number)) == number


@pytest.mark.parametrize("text", ["", "1.0", "1e3", "ten", "nan", str(LARGEST_COUNT + 1), "9" * 5000])
def test_other_text_and_numbers_too_large_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="a whole number of at most 1,000,000,000 was expected"):
        count(text)


def test_an_empty_name_is_refused():
    assert path("out").name == "out"
    with pytest.raises(argparse.ArgumentTypeError, match="the name of a file or folder must not be empty"):
        path("")


def test_a_model_directory_exists(tmp_path):
    assert model_directory(str(tmp_path)) == tmp_path
    (tmp_path / "file").touch()
    with pytest.raises(argparse.ArgumentTypeError, match="file is not a folder"):
        model_directory(str(tmp_path / "file"))
    with pytest.raises(argparse.ArgumentTypeError, match="must not be empty"):
        model_directory("")


@pytest.mark.parametrize("name", ["missing", "gpt2", "openai-community/gpt2"])
def test_where_there_is_no_folder_the_error_says_how_to_get_a_model(name):
    with pytest.raises(argparse.ArgumentTypeError, match=f"^the folder {name} does not exist; .*hf download"):
        model_directory(name)
