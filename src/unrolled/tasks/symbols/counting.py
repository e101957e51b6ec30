"""Counting symbols and pairs, a stretch at a time: numpy widens what it counts to eight bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_STRETCH = 1 << 18


def stretches(length: int) -> Iterator[slice]:
    """Consecutive slices that are short enough to widen in memory."""
    for start in range(0, length, _STRETCH):
        yield slice(start, start + _STRETCH)


def count(numbers: np.ndarray, size: int) -> np.ndarray:
    """How often each of 0 ... size - 1 occurs.

    >>> count(np.array([1, 0, 1]), 3).tolist()
    [1, 2, 0]
    """
    counts = np.zeros(size, dtype=np.int64)
    for s in stretches(len(numbers)):
        counts += np.bincount(numbers[s], minlength=size)
    return counts


def count_pairs(numbers: np.ndarray, size: int) -> np.ndarray:
    """(size, size): how often each symbol is followed by each.

    >>> count_pairs(np.array([1, 0, 1, 0]), 2).tolist()
    [[0, 1], [2, 0]]
    """
    counts = np.zeros(size * size, dtype=np.int64)
    for s in stretches(len(numbers) - 1):
        part = numbers[s.start : s.stop + 1].astype(np.int64)
        counts += np.bincount(part[:-1] * size + part[1:], minlength=size * size)
    return counts.reshape(size, size)
