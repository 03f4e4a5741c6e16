"""Weights in one file or in several files."""
import json

import numpy as np
import pytest

from npgpt.errors import InputError
from npgpt.interop.safetensors import write_safetensors
from npgpt.interop.weights import INDEX, MOST_FILES, WEIGHTS, read_weights, weights_file

SHARDS = {"one.safetensors": {"a": np.arange(3.0), "b": np.ones((2, 2), np.float32)}, "two.safetensors": {"c": np.zeros(1)}}
PLACES = {tensor: name for name, tensors in SHARDS.items() for tensor in tensors}


@pytest.fixture
def folder(tmp_path):
    for name, tensors in SHARDS.items():
        write_safetensors(tmp_path / name, tensors, {})
    write_index(tmp_path, PLACES)
    return tmp_path


def write_index(folder, places):
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 48}, "weight_map": places}))


def test_the_tensors_of_all_files_are_read(folder):
    tensors = read_weights(folder)
    expected = SHARDS["one.safetensors"] | SHARDS["two.safetensors"]
    assert set(tensors) == set(expected)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, expected[name], strict=True)


def test_model_safetensors_is_preferred_to_an_index(folder):
    write_safetensors(folder / WEIGHTS, {"z": np.zeros(2)}, {})
    assert set(read_weights(folder)) == {"z"} and weights_file(folder) == folder / WEIGHTS


def test_a_folder_with_neither_is_not_a_model(tmp_path):
    assert weights_file(tmp_path) is None
    with pytest.raises(InputError, match=f"not a model directory: there is no {WEIGHTS} in it"):
        read_weights(tmp_path)


def test_the_error_for_a_pickled_model_says_so(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"no model.safetensors in it \(pytorch_model.bin holds Python code"):
        read_weights(tmp_path)


def test_all_missing_files_are_named(folder):
    for name in SHARDS:
        (folder / name).unlink()
    with pytest.raises(InputError, match=f"{INDEX} lists missing files: one.safetensors, two.safetensors"):
        read_weights(folder)


def test_an_index_of_too_many_files_is_refused_before_they_are_looked_for(folder):
    write_index(folder, {str(i): f"{i}.safetensors" for i in range(MOST_FILES + 1)})
    with pytest.raises(InputError, match=f"{INDEX} lists 10,001 files: too many"):
        read_weights(folder)


def test_a_folder_with_the_name_of_a_file_is_a_missing_file(folder):
    (folder / "two.safetensors").unlink()
    (folder / "two.safetensors").mkdir()
    with pytest.raises(InputError, match="missing files: two.safetensors"):
        read_weights(folder)


@pytest.mark.parametrize("name", ["../two.safetensors", "/tmp/two.safetensors", "sub/two.safetensors", "..", "", "two.bin", "two\\..\\x.safetensors",
                                  "two\0.safetensors", None, 3, ["two.safetensors"]])
def test_a_name_that_is_not_a_file_in_the_folder_is_refused(folder, name):
    write_index(folder, PLACES | {"c": name})
    with pytest.raises(InputError, match="the file of tensor 'c' is .*, not a safetensors file in this folder"):
        read_weights(folder)


def test_all_tensors_in_other_files_than_listed_are_named(folder):
    write_index(folder, {"a": "two.safetensors", "c": "two.safetensors", "d": "one.safetensors"})
    with pytest.raises(InputError) as error:
        read_weights(folder)
    for complaint in ("d is not in one.safetensors", "a is not in two.safetensors", "a is in one.safetensors, but listed in two.safetensors",
                      "b is in one.safetensors, but listed in none"):
        assert complaint in str(error.value)


@pytest.mark.parametrize("index", ["{}", '{"weight_map": {}}', '{"weight_map": ["a"]}', '{"weight_map": null}'])
def test_an_index_without_a_map_is_refused(folder, index):
    (folder / INDEX).write_text(index)
    with pytest.raises(InputError, match=f"{INDEX}: weight_map must map"):
        read_weights(folder)


def test_a_damaged_file_is_named(folder):
    (folder / "two.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="two.safetensors: 0 bytes are too few"):
        read_weights(folder)
