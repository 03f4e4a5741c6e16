"""BLAS threads: how many cores one matrix product uses, read and set in the library that NumPy loaded."""
import ctypes
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

# (set, get) in NumPy's own wheels, in OpenBLAS as distributions build it, in MKL, and in BLIS.
SYMBOLS = [("scipy_openblas_set_num_threads64_", "scipy_openblas_get_num_threads64_"),
           ("scipy_openblas_set_num_threads", "scipy_openblas_get_num_threads"),
           ("openblas_set_num_threads64_", "openblas_get_num_threads64_"),
           ("openblas_set_num_threads", "openblas_get_num_threads"),
           ("MKL_Set_Num_Threads", "MKL_Get_Max_Threads"),
           ("bli_thread_set_num_threads", "bli_thread_get_num_threads")]
MAPS = Path("/proc/self/maps")


class BlasThreads(NamedTuple):
    set: Callable[[int], None]
    get: Callable[[], int]


@functools.cache
def find_blas_threads() -> BlasThreads | None:
    """The functions that set and get the number of threads of NumPy's BLAS; None if it has none that is known."""
    for path in loaded_libraries():
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for setter, getter in SYMBOLS:
            if hasattr(library, setter) and hasattr(library, getter):
                return BlasThreads(getattr(library, setter), getattr(library, getter))
    return None


def loaded_libraries() -> list[Path]:
    """Libraries that may be NumPy's BLAS: those in its wheel, then those mapped into this process."""
    package = Path(np.__file__).parent
    bundled = [path for folder in (package.with_name("numpy.libs"), package / ".dylibs") if folder.is_dir()
               for path in sorted(folder.iterdir()) if "blas" in path.name]
    mapped = {Path(os.fsdecode(name)) for name in mapped_files()}
    return bundled + [path for path in sorted(mapped) if any(word in path.name for word in ("blas", "mkl_rt", "blis"))]


def mapped_files() -> list[bytes]:
    """The files mapped into this process, such as the libraries of conda: as Linux tells, or the loader of macOS."""
    if MAPS.exists():
        lines = [line.split(maxsplit=5) for line in MAPS.read_bytes().splitlines()]
        return [line[5] for line in lines if line[5:] and line[5].startswith(b"/")]
    try:
        loader = ctypes.CDLL(None)
        count, name = loader._dyld_image_count, loader._dyld_get_image_name
    except (OSError, AttributeError, TypeError):               # Windows and others
        return []
    name.restype = ctypes.c_char_p
    return [path for i in range(count()) if (path := name(i))]


@contextmanager
def blas_threads(count: int) -> Iterator[bool]:
    """Limit BLAS to `count` threads while the context lasts, then restore the number  ->  whether this is possible"""
    switch = find_blas_threads()
    if switch is None:
        yield False
        return
    before = switch.get()
    switch.set(count)
    try:
        yield True
    finally:
        switch.set(before)
