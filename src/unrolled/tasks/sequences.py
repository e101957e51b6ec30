"""Sequences one behind the other: in memory while they are few, else in a file that the system pages in."""

from __future__ import annotations

import weakref
from array import array
from collections.abc import Callable, Sequence
from tempfile import TemporaryFile
from typing import Any, overload

import numpy as np

IN_MEMORY = 1 << 26
"""Bytes up to which sequences stay in memory."""


class Sequences(Sequence[np.ndarray]):
    """Arrays (steps, ...) of one type and one width, appended one by one, then read in any order.

    What exceeds ``in_memory`` bytes lies in an unnamed temporary file, which goes with the process.

    Arguments:
        dtype: of every number.
        width: numbers a step; None for one without an axis of its own.

    >>> made = Sequences(np.uint8)
    >>> made.append(np.array([1, 2, 3])), made.append(np.array([4]))
    (None, None)
    >>> [x.tolist() for x in made], made.lengths.tolist()
    ([[1, 2, 3], [4]], [3, 1])
    """

    def __init__(self, dtype: Any, width: int | None = None, in_memory: int = IN_MEMORY) -> None:
        self.dtype, self.width = np.dtype(dtype), width
        self._in_memory, self._memory = in_memory, bytearray()
        self._disk: Any = None
        self._ends = array("q", [0])
        self._all: np.ndarray | None = None

    def append(self, sequence: np.ndarray) -> None:
        """One more."""
        self._all = None
        values = np.ascontiguousarray(sequence, self.dtype)
        if self._disk is None and len(self._memory) + values.nbytes > self._in_memory:
            self._disk = TemporaryFile()  # noqa: SIM115  it lives as long as the sequences
            weakref.finalize(self, self._disk.close)
            self._disk.write(self._memory)
            self._memory = bytearray()
        if self._disk is None:
            self._memory += values.tobytes()
        else:
            self._disk.write(values.tobytes())
        self._ends.append(self._ends[-1] + len(values))

    def cut(self, count: int) -> None:
        """Forget all but the first ``count``."""
        self._all = None
        del self._ends[count + 1 :]
        size = self._ends[-1] * self.dtype.itemsize * (self.width or 1)
        if self._disk is None:
            del self._memory[size:]
        else:
            self._disk.seek(size)
            self._disk.truncate()

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each, (sequences,)."""
        return np.diff(np.frombuffer(self._ends, dtype=np.int64))

    @property
    def flat(self) -> np.ndarray:
        """All of them as one array."""
        if self._all is None:
            shape = (self._ends[-1],) if self.width is None else (self._ends[-1], self.width)
            if self._disk is None:
                self._all = np.frombuffer(bytes(self._memory), self.dtype).reshape(shape)
            else:
                self._disk.flush()
                self._all = np.memmap(self._disk, self.dtype, "r", shape=shape)
        return self._all

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, k: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, k: slice) -> list[np.ndarray]: ...
    def __getitem__(self, k: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(k, slice):
            return [self[i] for i in range(*k.indices(len(self)))]
        if not 0 <= k < len(self):
            raise IndexError(k)
        return np.asarray(self.flat[self._ends[k] : self._ends[k + 1]])


class Chosen(Sequence[Any]):
    """Some entries of a sequence, in an order, each changed as it is read.

    >>> list(Chosen("abcd", np.array([3, 0]), str.upper))
    ['D', 'A']
    """

    def __init__(self, of: Sequence[Any], which: np.ndarray, change: Callable[[Any], Any] | None = None) -> None:
        self._of, self._which, self._change = of, which, change

    def __len__(self) -> int:
        return len(self._which)

    def __getitem__(self, k: Any) -> Any:
        if not 0 <= k < len(self):
            raise IndexError(k)
        found = self._of[int(self._which[k])]
        return found if self._change is None else self._change(found)
