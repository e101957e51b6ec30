"""Numbers of symbols as they are read, at the size that they need."""

from __future__ import annotations

import numpy as np


class Numbers:
    """Numbers as they come, in one array from the start: no text has more symbols than bytes.

    Memory that was never written to costs nothing.
    """

    def __init__(self, most: int) -> None:
        self.length = 0
        self._array = np.empty(most, dtype=np.uint8)

    def append(self, numbers: np.ndarray) -> None:
        """Put these at the end."""
        self.widen(numbers.dtype)
        end = self.length + len(numbers)
        if end > len(self._array):  # the file has grown since its size was asked for
            self._array = np.concatenate([self._array, np.empty(end, self._array.dtype)])
        self._array[self.length : end] = numbers
        self.length = end

    def widen(self, kind: np.dtype) -> None:
        """Make room for larger numbers."""
        if kind.itemsize > self._array.itemsize:
            wide = np.empty(len(self._array), dtype=kind)
            wide[: self.length] = self._array[: self.length]
            self._array = wide

    def whole(self) -> np.ndarray:
        """All of them."""
        return self._array[: self.length]
