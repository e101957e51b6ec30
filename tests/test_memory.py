"""Freed memory: kept inside, given back after."""

import subprocess
import sys

import pytest

from unrolled import memory

PROGRAM = """
import ctypes, resource
from contextlib import nullcontext
from unrolled import memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def pages():
    return int(open("/proc/self/statm").read().split()[1])

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def updates(count):
    for _ in range(count):
        blocks = [libc.malloc(24 << 20) for _ in range(4)]
        for block in blocks:
            ctypes.memset(block, 1, 24 << 20)
        for block in blocks:
            libc.free(block)

with memory.kept() if KEPT else nullcontext():
    updates(3)
    before = faults()
    updates(5)
    print(faults() - before, end=" ")
    inside = pages()
print(inside - pages())
"""


@pytest.mark.skipif(memory._library() is None, reason="malloc is not glibc's")
def test_memory_is_kept_inside_and_given_back_after():
    found = {}
    for kept in (True, False):
        command = [sys.executable, "-c", f"KEPT = {kept}\n{PROGRAM}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[kept] = [int(number) for number in done.split()]
    pages = (96 << 20) // 4096
    (few, freed), (many, _) = found[True], found[False]
    assert few < 100 and many > 4 * pages and freed > 0.9 * pages


def test_where_there_is_no_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with memory.kept():
        assert memory._library() is None
