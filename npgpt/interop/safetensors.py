"""Read and write safetensors files. Every value in a header is checked before it is used.

Format (https://github.com/huggingface/safetensors): 8 bytes, the length of the header as a little-endian
integer; the header, as JSON: {name: {"dtype", "shape", "data_offsets": [begin, end]}}, and strings in
"__metadata__"; then the bytes of the tensors without gaps, little-endian, in C order.
"""
import json
import math
import mmap
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.files import write_whole
from npgpt.json_files import parse_json

BFLOAT16 = np.dtype([("bfloat16", "<u2")])    # a name for what NumPy does not have; as_float converts it
DTYPES = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": BFLOAT16,
          "I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I16": np.dtype("<i2"), "I8": np.dtype("i1"),
          "U64": np.dtype("<u8"), "U32": np.dtype("<u4"), "U16": np.dtype("<u2"), "U8": np.dtype("u1"),
          "BOOL": np.dtype("?")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
HEADER_LIMIT = 100_000_000    # bytes, as in the reference implementation
HEADER_ITEMS = 2**18          # of JSON, about nine for each tensor
ALIGNMENT = 8                 # bytes; the header is padded so that the tensors start at a multiple


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata. The file is written completely or not at all."""
    header, offset = {"__metadata__": dict(metadata)}, 0
    for name, tensor in tensors.items():
        dtype = NAMES[tensor.dtype.newbyteorder("<")]
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [offset, offset + tensor.nbytes]}
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    contents = (np.ascontiguousarray(t, t.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data for t in tensors.values())
    write_whole(Path(path), (chunk for part in ([len(text).to_bytes(8, "little"), text], contents) for chunk in part))


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a file  ->  tensors by name, metadata

    The tensors are read-only views of the memory-mapped file; those in BF16 have the dtype BFLOAT16, for as_float.
    Raises InputError for a file that violates the format.
    """
    size = Path(path).stat().st_size
    if size < 8:
        raise InputError(f"{path}: {size} bytes are too few for a safetensors file")
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(size - 8, HEADER_LIMIT):
            raise InputError(f"{path}: the header claims {length:,} bytes: the file is incomplete, or not a "
                             "safetensors file")
        header = parse_json(file.read(length), f"{path}: header", HEADER_ITEMS)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InputError(f"{path}: __metadata__ must map names to strings")
    start = 8 + length
    layout = {name: checked_entry(entry, f"{path}: tensor {name!r}") for name, entry in header.items()}
    require_tiling(layout, size - start, path)
    data = np.memmap(path, np.uint8, mode="r")
    return {name: data[start + begin:start + end].view(DTYPES[dtype]).reshape(shape)
            for name, (dtype, shape, begin, end) in layout.items()}, metadata


def release(tensor: np.ndarray) -> None:
    """Take a tensor of a memory-mapped file out of memory. It can still be used: the system reads it again.

    Where the system has no madvise, as on Windows, and for other tensors, nothing happens.
    """
    file = tensor
    while isinstance(file, np.ndarray):
        file = file.base
    if tensor.nbytes and hasattr(file, "madvise"):
        start = tensor.ctypes.data - np.frombuffer(file, np.uint8).ctypes.data
        first = start - start % mmap.PAGESIZE
        file.madvise(mmap.MADV_DONTNEED, first, start + tensor.nbytes - first)


def checked_entry(entry: object, where: str) -> tuple[str, tuple[int, ...], int, int]:
    """Check the header entry of one tensor  ->  dtype, shape, begin, end"""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise InputError(f"{where}: expected dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise InputError(f"{where}: the dtype {dtype!r} is not one of {', '.join(DTYPES)}")
    if not is_counts(shape) or len(shape) > 32:
        raise InputError(f"{where}: the shape {shape!r} is not a list of at most 32 sizes")
    if math.prod(size or 1 for size in shape) >= 2**60:                # too large for NumPy, even if one size is 0
        raise InputError(f"{where}: the shape {shape!r} is too large")
    if not is_counts(offsets) or len(offsets) != 2:
        raise InputError(f"{where}: data_offsets {offsets!r} are not a list of two positions")
    begin, end = offsets
    needed = math.prod(shape) * DTYPES[dtype].itemsize
    if end - begin != needed:
        raise InputError(f"{where}: {dtype} of shape {shape} takes {needed:,} bytes, but its offsets span {end - begin:,}")
    return dtype, tuple(shape), begin, end


def is_counts(value: object) -> bool:
    """Whether a value from JSON is a list of integers from 0 to 2**63 - 1."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def require_tiling(layout: Mapping[str, tuple], size: int, path: Path) -> None:
    """Raise InputError unless the tensors fill the file without gaps or overlaps."""
    position = 0
    for name, (_, _, begin, end) in sorted(layout.items(), key=lambda item: item[1][2:]):
        if begin != position:
            raise InputError(f"{path}: tensor {name!r} begins at {begin:,} where {position:,} was expected: "
                             f"tensors {'overlap' if begin < position else 'leave a gap'}")
        position = end
    if position != size:
        raise InputError(f"{path}: the header describes {position:,} bytes of tensors, but the file holds {size:,}: "
                         f"{'it is incomplete' if position > size else 'something was appended'}")


def as_float(tensor: np.ndarray) -> np.ndarray:
    """The tensor, or a float32 copy of one in BFLOAT16, which is the upper half of float32."""
    if tensor.dtype != BFLOAT16:
        return tensor
    wide = tensor["bfloat16"].astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def is_float(tensor: np.ndarray) -> bool:
    return tensor.dtype.kind == "f" or tensor.dtype == BFLOAT16


def precision(tensor: np.ndarray) -> float:
    """The distance from 1 to the next larger number of the tensor's dtype."""
    return 2**-7 if tensor.dtype == BFLOAT16 else float(np.finfo(tensor.dtype).eps)
