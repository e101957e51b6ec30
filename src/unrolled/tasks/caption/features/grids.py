"""Features of many pictures, read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class Grids(Sequence[np.ndarray]):
    """Features (K, C) of each picture, all of one shape.

    Arguments:
        read: the k-th of what is kept; which: the places there of these pictures.
        shape: (K, C).
    """

    def __init__(self, read: Callable[[Any], np.ndarray], which: Sequence[Any], shape: tuple[int, int]) -> None:
        self._read, self._which, self.shape = read, which, shape

    def __len__(self) -> int:
        return len(self._which)

    def __getitem__(self, k: Any) -> Any:
        if not 0 <= k < len(self):
            raise IndexError(k)
        return self._read(self._which[int(k)])


def no_grids() -> Grids:
    """Features of no picture, of no shape."""
    return Grids(lambda _: np.empty((0, 0)), [], (0, 0))


def flaw(grid: np.ndarray) -> str | None:
    """Why features cannot be used."""
    if not np.isfinite(grid).all():
        return "its features are not all finite"
    if np.abs(grid).max(initial=0) > np.finfo(np.float16).max:
        return "its features are larger than 65,504"
    return None
