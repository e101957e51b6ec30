"""Memory that a process has freed: kept for its next use, or given back to the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt: how much free memory at the end of the heap is kept, and the size of blocks from
which on each is mapped by itself, and unmapped when it is freed."""
_LARGEST = 32 << 20
"""Of the second, as glibc allows."""
_ALL = 2**31 - 1


@contextmanager
def kept() -> Iterator[None]:
    """Inside, freed memory stays with the process.

    Otherwise an update of training gets the same memory again and again, each time with a page fault for every
    4 KiB: on two cores, updates of five GRU layers of 128 over 4 sequences of 3,000 steps took a fifth longer
    (``python benchmarks/page_faults.py``). Blocks above 32 MiB are still mapped one by one, but for those of the
    engine, which has a pool of its own. Does nothing where malloc is not glibc's.
    """
    library = _library()
    if library is None:
        yield
        return
    library.mallopt(_MMAP_THRESHOLD, _LARGEST)
    library.mallopt(_TRIM_THRESHOLD, _ALL)
    try:
        yield
    finally:
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)  # as it is once such a block was freed
        library.malloc_trim(0)


def _library() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    if not all(hasattr(library, name) for name in ("mallopt", "malloc_trim", "gnu_get_libc_version")):
        return None
    library.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    library.malloc_trim.argtypes = [ctypes.c_size_t]
    return library
