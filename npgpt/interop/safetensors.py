"""safetensors: tensors in a file, with a header that is checked before it is believed.

Format (https://github.com/huggingface/safetensors): 8 bytes, the header's length as a little-endian
integer; the header, JSON: {name: {"dtype", "shape", "data_offsets": [begin, end]}}, and strings under
"__metadata__"; then the tensors' bytes, side by side, little-endian, in C order.
"""
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from npgpt.errors import InputError
from npgpt.files import parse_json, write_whole

DTYPES = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2"),
          "I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I16": np.dtype("<i2"), "I8": np.dtype("i1"),
          "U64": np.dtype("<u8"), "U32": np.dtype("<u4"), "U16": np.dtype("<u2"), "U8": np.dtype("u1"),
          "BOOL": np.dtype("?")}
NAMES = {dtype: name for name, dtype in DTYPES.items() if name != "BF16"}
HEADER_LIMIT = 100_000_000    # bytes, as in the reference implementation
HEADER_ITEMS = 2**18          # of JSON, about nine for a tensor
ALIGNMENT = 8                 # bytes; the header is padded so that the tensors start at a multiple


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata, whole or not at all."""
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

    The tensors are read-only views of the mapped file: nothing is copied until it is used. BF16, which
    NumPy does not have, is widened to float32. Raises InputError for a file that breaks the format in
    any way: offsets outside the file, gaps, overlaps, a shape that does not match its bytes.
    """
    size = Path(path).stat().st_size
    if size < 8:
        raise InputError(f"{path}: {size} bytes are too few for a safetensors file")
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(size - 8, HEADER_LIMIT):
            raise InputError(f"{path}: the header claims {length:,} bytes; the file has {size - 8:,} after its first 8 "
                             f"and a header may have {HEADER_LIMIT:,}: cut short, or no safetensors file")
        header = parse_json(file.read(length), f"{path}: header", HEADER_ITEMS)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InputError(f"{path}: __metadata__ must map names to strings")
    start = 8 + length
    layout = {name: checked_entry(entry, f"{path}: tensor {name!r}") for name, entry in header.items()}
    require_tiling(layout, size - start, path)
    data = np.memmap(path, np.uint8, mode="r")
    return {name: view_tensor(data[start + begin:start + end], dtype, shape)
            for name, (dtype, shape, begin, end) in layout.items()}, metadata


def checked_entry(entry: object, where: str) -> tuple[str, tuple[int, ...], int, int]:
    """One tensor's header entry, every claim checked  ->  dtype, shape, begin, end"""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise InputError(f"{where}: expected dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise InputError(f"{where}: the dtype {dtype!r} is none of {', '.join(DTYPES)}")
    if not is_counts(shape) or len(shape) > 32:
        raise InputError(f"{where}: the shape {shape!r} is no list of at most 32 sizes")
    if math.prod(size or 1 for size in shape) >= 2**60:                # NumPy refuses it, even with a size of 0
        raise InputError(f"{where}: the shape {shape!r} is too large")
    if not is_counts(offsets) or len(offsets) != 2:
        raise InputError(f"{where}: data_offsets {offsets!r} are no two positions")
    begin, end = offsets
    needed = math.prod(shape) * DTYPES[dtype].itemsize
    if end - begin != needed:
        raise InputError(f"{where}: {dtype} of shape {shape} takes {needed:,} bytes, its offsets span {end - begin:,}")
    return dtype, tuple(shape), begin, end


def is_counts(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def require_tiling(layout: Mapping[str, tuple], size: int, path: Path) -> None:
    """Raise InputError unless the tensors lie side by side and fill the file."""
    position = 0
    for name, (_, _, begin, end) in sorted(layout.items(), key=lambda item: item[1][2:]):
        if begin != position:
            raise InputError(f"{path}: tensor {name!r} begins at {begin:,} where {position:,} was expected: "
                             f"tensors {'overlap' if begin < position else 'leave a gap'}")
        position = end
    if position != size:
        raise InputError(f"{path}: the header describes {position:,} bytes of tensors, the file holds {size:,}: "
                         f"{'cut short' if position > size else 'something was appended'}")


def view_tensor(data: np.ndarray, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    tensor = data.view(DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":
        wide = tensor.astype(np.uint32)
        wide <<= 16                                                  # bfloat16 is float32's upper half
        return wide.view(np.float32)
    return tensor
