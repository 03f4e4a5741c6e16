"""safetensors: tensors are read as they were written, and files that violate the format are refused."""
import json
import mmap
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from helpers import damaged, seeds
from npgpt.errors import InputError
from npgpt.interop.safetensors import BFLOAT16, as_float, precision, read_safetensors, release, write_safetensors

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
FLOATS = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
PAIR = {"a": FLOATS, "b": {"dtype": "U8", "shape": [2, 3], "data_offsets": [8, 14]}}

names = st.text(st.characters(codec="utf-8"), max_size=5).filter(lambda name: name != "__metadata__")
shapes = st.lists(st.integers(0, 3), max_size=4).map(tuple)
drawn = st.tuples(st.sampled_from(DTYPES), shapes, seeds).map(lambda how: random_tensor(*how))
tensors = st.dictionaries(names, drawn, max_size=4)


def random_tensor(dtype, shape, seed):
    """Random bytes of a dtype: among the floats are NaN, infinities and denormals."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=int)) * dtype.itemsize
    data = np.random.default_rng(seed).integers(2 if dtype == bool else 256, size=count, dtype=np.uint8)
    return data.view(dtype).reshape(shape)


def write_raw(path, header, data=b""):
    """A file with a header of any kind: bytes as they are, anything else as JSON."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def small_file(path):
    tensors = {"a": np.arange(3, dtype=np.float32), "b": np.arange(4, dtype=np.int16).reshape(2, 2)}
    write_safetensors(path, tensors, {"by": "npgpt"})
    return path.read_bytes()


@given(tensors, st.dictionaries(names, names, max_size=2))
def test_every_tensor_is_read_bit_for_bit(tmp_path_factory, tensors, metadata):
    path = tmp_path_factory.mktemp("st") / "file"
    write_safetensors(path, tensors, metadata)
    loaded, loaded_metadata = read_safetensors(path)
    assert loaded_metadata == metadata and list(loaded) == list(tensors)
    for name, tensor in tensors.items():
        assert (loaded[name].dtype, loaded[name].shape, loaded[name].tobytes()) == (tensor.dtype, tensor.shape, tensor.tobytes())


def test_the_format_is_length_header_and_bytes_in_order(tmp_path):
    data = small_file(tmp_path / "file")
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    assert json.loads(data[8:8 + length]) == {
        "__metadata__": {"by": "npgpt"},
        "a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
        "b": {"dtype": "I16", "shape": [2, 2], "data_offsets": [12, 20]}}
    assert data[8 + length:] == np.array([0, 1, 2], "<f4").tobytes() + np.array([0, 1, 2, 3], "<i2").tobytes()


@pytest.mark.parametrize("tensor", [np.arange(6.0).reshape(2, 3).T, np.arange(10.0)[::-3], np.arange(3, dtype=">i4")])
def test_tensors_with_any_strides_and_byte_order_are_written_in_c_order_little_endian(tmp_path, tensor):
    write_safetensors(tmp_path / "file", {"x": tensor}, {})
    loaded = read_safetensors(tmp_path / "file")[0]["x"]
    np.testing.assert_array_equal(loaded, tensor)
    assert loaded.dtype == tensor.dtype.newbyteorder("<")


def test_tensors_are_mapped_and_read_only(tmp_path):
    small_file(tmp_path / "file")
    loaded, _ = read_safetensors(tmp_path / "file")
    assert all(isinstance(tensor, np.memmap) for tensor in loaded.values())
    with pytest.raises(ValueError, match="read-only"):
        loaded["a"][0] = 1


def test_bfloat16_is_widened_to_float32(tmp_path):
    values = np.array([1.0, -2.5, 3.0e38, np.inf], np.float32)
    data = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    path = write_raw(tmp_path / "file", {"x": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}, data)
    loaded = read_safetensors(path)[0]["x"]
    assert loaded.dtype == BFLOAT16 and isinstance(loaded, np.memmap)
    assert as_float(loaded).dtype == np.float32
    np.testing.assert_allclose(as_float(loaded), values, rtol=2**-7)
    write_safetensors(tmp_path / "copy", {"x": loaded}, {})
    assert (tmp_path / "copy").read_bytes().endswith(data) and read_safetensors(tmp_path / "copy")[0]["x"].dtype == BFLOAT16


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_other_floating_point_numbers_stay_as_they_are(dtype):
    tensor = np.ones(2, dtype)
    assert as_float(tensor) is tensor and precision(tensor) == np.nextafter(dtype(1), dtype(2)) - 1
    assert precision(np.zeros(1, BFLOAT16)) == as_float(np.array([(0x3F81,)], BFLOAT16)) - 1     # 0x3F80 is 1


def test_tensors_may_be_in_any_order_and_begin_at_odd_offsets(tmp_path):
    header = {"late": {"dtype": "F32", "shape": [1], "data_offsets": [1, 5]},
              "early": {"dtype": "U8", "shape": [], "data_offsets": [0, 1]},
              "empty": {"dtype": "F64", "shape": [0, 5], "data_offsets": [1, 1]}}
    path = write_raw(tmp_path / "file", header, b"\x07" + np.float32(1.5).tobytes())
    loaded, metadata = read_safetensors(path)
    assert loaded["late"].tolist() == [1.5] and loaded["early"] == 7 and loaded["empty"].shape == (0, 5) and metadata == {}


def test_an_incomplete_file_is_refused(tmp_path):
    data = small_file(tmp_path / "file")
    for length in range(len(data)):
        (tmp_path / "file").write_bytes(data[:length])
        with pytest.raises(InputError, match=str(tmp_path / "file")):
            read_safetensors(tmp_path / "file")


@pytest.mark.parametrize("length", [0, 7])
def test_a_file_without_a_length_is_refused(tmp_path, length):
    (tmp_path / "file").write_bytes(bytes(length))
    with pytest.raises(InputError, match=f"{length} bytes are too few for a safetensors file"):
        read_safetensors(tmp_path / "file")


def test_a_file_with_bytes_after_the_tensors_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(small_file(tmp_path / "file") + b"\0")
    with pytest.raises(InputError, match="something was appended"):
        read_safetensors(tmp_path / "file")


@pytest.mark.parametrize("length", [2**60, 2**64 - 1, 100_000_001, 9])
def test_a_header_longer_than_the_file_is_not_read(tmp_path, length):
    (tmp_path / "file").write_bytes(length.to_bytes(8, "little") + b"{}      ")
    with pytest.raises(InputError, match=f"header claims {length:,} bytes"):
        read_safetensors(tmp_path / "file")


def test_a_header_over_the_formats_limit_is_not_read_even_if_the_file_is_large_enough(tmp_path):
    with open(tmp_path / "file", "wb") as file:
        file.write((100_000_001).to_bytes(8, "little"))
        file.truncate(200_000_000)                             # a sparse file: it takes no space on the disk
    with pytest.raises(InputError, match="header claims 100,000,001 bytes"):
        read_safetensors(tmp_path / "file")


def entry(**changes):
    return {"x": FLOATS | changes}


def without(name):
    return {"x": {key: value for key, value in FLOATS.items() if key != name}}


@pytest.mark.parametrize("header, complaint", [
    (b"", "not valid JSON"),
    (b"\xff\xfe", "not valid JSON"),
    (b"[]", "a JSON object was expected"),
    (b"{" * 100_000, "not valid JSON"),
    (b'{"x":' * 100_000, "nested too deeply"),
    (b'{"x": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}, "x": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}}',
     "'x' occurs twice"),
    (b'{"x": {"dtype": "U8", "shape": [8], "shape": [8], "data_offsets": [0, 8]}}', "'shape' occurs twice"),
    (b'{"x": {"dtype": "U8", "shape": [NaN], "data_offsets": [0, 8]}}', "NaN is not a JSON number"),
    ({"__metadata__": None}, "__metadata__ must map names to strings"),
    ({"__metadata__": ["pt"]}, "__metadata__ must map names to strings"),
    ({"__metadata__": {"format": 1}}, "__metadata__ must map names to strings"),
    ({"x": None}, "expected dtype, shape and data_offsets"),
    ({"x": [1, 2, 3]}, "expected dtype, shape and data_offsets"),
    (without("dtype"), "expected dtype, shape and data_offsets"),
    (without("shape"), "expected dtype, shape and data_offsets"),
    (without("data_offsets"), "expected dtype, shape and data_offsets"),
    (entry(strides=[1]), "expected dtype, shape and data_offsets"),
    (entry(dtype="F33"), "the dtype 'F33' is not one of"),
    (entry(dtype=4), "the dtype 4 is not one of"),
    (entry(dtype=["F32"]), "is not one of"),
    (entry(shape=2), "is not a list of at most 32 sizes"),
    (entry(shape="2"), "is not a list of at most 32 sizes"),
    (entry(shape={"0": 2}), "is not a list of at most 32 sizes"),
    (entry(shape=[2.0]), "is not a list of at most 32 sizes"),
    (entry(shape=[True, 2]), "is not a list of at most 32 sizes"),
    (entry(shape=[None]), "is not a list of at most 32 sizes"),
    (entry(shape=[-2, -1]), "is not a list of at most 32 sizes"),
    (entry(shape=[2] + [1] * 32), "is not a list of at most 32 sizes"),
    (entry(shape=[2**63]), "is not a list of at most 32 sizes"),
    (entry(shape=[0, 2**60], data_offsets=[0, 0]), "is too large"),
    (entry(shape=[0] + [2**62] * 31, data_offsets=[0, 0]), "is too large"),
    (entry(data_offsets=[0]), "are not a list of two positions"),
    (entry(data_offsets=[0, 4, 8]), "are not a list of two positions"),
    (entry(data_offsets=[0.0, 8.0]), "are not a list of two positions"),
    (entry(data_offsets=["0", "8"]), "are not a list of two positions"),
    (entry(data_offsets=[-8, 0]), "are not a list of two positions"),
    (entry(data_offsets=[0, 2**64]), "are not a list of two positions"),
    (entry(data_offsets={"0": 0, "1": 8}), "are not a list of two positions"),
    (entry(data_offsets=[8, 0]), "takes 8 bytes, but its offsets span -8"),
    (entry(shape=[3]), "takes 12 bytes, but its offsets span 8"),
    (entry(shape=[2**20, 2**20]), "but its offsets span 8"),
    (entry(dtype="F64"), "takes 16 bytes, but its offsets span 8"),
    (entry(shape=[]), "takes 4 bytes, but its offsets span 8"),
    (entry(data_offsets=[1, 9]), "tensors leave a gap"),
    (entry(shape=[1], data_offsets=[0, 4]), "something was appended"),
    (entry(shape=[4], data_offsets=[0, 16]), "it is incomplete"),
    ({"x": FLOATS, "y": FLOATS}, "tensors overlap"),
    ({"x": entry(shape=[1], data_offsets=[0, 4])["x"], "y": entry(data_offsets=[2, 10])["x"]}, "tensors overlap"),
    ({"x": entry(shape=[1], data_offsets=[0, 4])["x"], "y": entry(shape=[1], data_offsets=[5, 9])["x"]}, "tensors leave a gap"),
    ({}, "something was appended"),
])
def test_a_wrong_header_is_refused(tmp_path, header, complaint):
    path = write_raw(tmp_path / "file", header, bytes(8))
    with pytest.raises(InputError, match=f"^{path}: .*{complaint}"):
        read_safetensors(path)


def test_the_wrong_tensor_is_named(tmp_path):
    path = write_raw(tmp_path / "file", {"right": FLOATS, "wrong": {**FLOATS, "shape": [5]}}, bytes(8))
    with pytest.raises(InputError, match="tensor 'wrong'"):
        read_safetensors(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_safetensors(tmp_path / "file")


def require_right_or_input_error(path):
    """The loaded tensors are those that the header describes, and fill the file."""
    try:
        loaded, _ = read_safetensors(path)
    except InputError as error:
        assert str(error).startswith(str(path))
        return
    content = path.read_bytes()
    position = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:position])
    header.pop("__metadata__", None)
    assert loaded.keys() == header.keys()
    for name, claims in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = claims["data_offsets"]
        assert loaded[name].shape == tuple(claims["shape"])
        assert loaded[name].tobytes() == content[position:position + end - begin]
        position += end - begin
    assert position == len(content)


@given(st.data())
def test_a_file_with_wrong_bytes_is_loaded_correctly_or_raises_input_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("st") / "file"
    path.write_bytes(damaged(small_file(path), data))
    require_right_or_input_error(path)


counts = st.integers(-1, 16) | st.sampled_from([2**31, 2**62, 2**63, 2**64])
scalars = st.none() | st.booleans() | counts | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3)


@given(st.data())
def test_a_file_with_a_wrong_header_is_loaded_correctly_or_raises_input_error(tmp_path_factory, data):
    header = json.loads(json.dumps(PAIR))
    for _ in range(data.draw(st.integers(1, 3))):
        claims = header[data.draw(st.sampled_from(["a", "b"]))]
        key = data.draw(st.sampled_from(["dtype", "shape", "data_offsets"]))
        plausible = st.sampled_from(["F32", "BF16", "U8", "I64"]) if key == "dtype" else st.lists(counts, max_size=3)
        claims[key] = data.draw(plausible | scalars | st.lists(scalars, max_size=3))
    path = write_raw(tmp_path_factory.mktemp("st") / "file", header, bytes(range(14)))
    require_right_or_input_error(path)


def resident():
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells of a process")
def test_a_tensor_that_is_released_leaves_memory_and_can_still_be_read(tmp_path):
    size = 2**22
    write_safetensors(tmp_path / "file", {"a": np.ones(3, np.float32), "b": np.full(size, 2, np.float32)}, {})
    tensors, _ = read_safetensors(tmp_path / "file")
    before = resident()
    assert tensors["b"].sum() == 2 * size
    assert resident() - before > 3 * size
    release(tensors["b"])
    assert resident() - before < size
    assert tensors["b"].sum() == 2 * size and tensors["a"].tolist() == [1, 1, 1]
    release(np.zeros((0, 3)))
