"""Features that somebody has computed, in files of numpy or safetensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from unrolled.errors import DataError, UsageError
from unrolled.tasks.caption.features.grids import Grids, flaw

_LARGEST = 1 << 22
"""Numbers of one picture's features."""
_MOST_NAMES = 1 << 28
"""Bytes of a list of names."""


class Ready:
    """Features by the names of pictures, (C,), (K, C) or (C, h, w), all of one shape, of floats.

    ================  ============================================================================================
    a safetensors     a tensor for each picture
    a folder          a file NAME.npy for each picture
    a .npy file       all pictures along the first axis, their names in a .txt file beside it, one a line
    ================  ============================================================================================

    Names are those of the pictures' files, with or without their endings, or with the folder. Nothing is read before
    it is asked for, and no file may hold Python objects.

    Raises:
        UsageError: there is no such file or folder. DataError: it does not hold features.
    """

    key = "ready"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            self._names: dict[str, Any] = {p.stem: p for p in sorted(self.path.glob("*.npy"))}
            self._read: Callable[[Any], np.ndarray] = _numpy
        elif not self.path.is_file():
            raise UsageError(f"there is no file or folder {self.path}")
        elif self.path.suffix.lower() == ".safetensors":
            self._read_safetensors()
        elif self.path.suffix.lower() == ".npy":
            whole = _numpy(self.path)
            self._names = dict(zip(self._listed(len(whole) if whole.ndim else 0), range(len(whole)), strict=True))
            self._read = lambda k: whole[k]
        else:
            raise DataError(
                f"{self.path}: ready features must be a .npy or .safetensors file, or a folder of .npy files"
            )
        if not self._names:
            raise DataError(f"{self.path} has no features")

    def seen(self, paths: Sequence[Path]) -> tuple[Grids, list[tuple[int, str]]]:
        """Features of pictures, and the numbers of those that have none that can be used, and why.

        Raises:
            DataError: no picture has any.
        """
        which, bad = [], []
        shape: tuple[int, ...] | None = None
        for k, path in enumerate(paths):
            try:
                name = self._named(path)
                grid = self._grid(name)
                if shape is not None and grid.shape != shape:
                    raise DataError(f"its features are {grid.shape}, those of the others {shape}")
                if why := flaw(grid):
                    raise DataError(why)
            except DataError as error:
                bad.append((k, f"{path.name}: {error}"))
                continue
            shape = grid.shape
            which.append(name)
        if shape is None:
            raise DataError(f"{self.path}: {bad[0][1]}" if bad else "there are no pictures")
        return Grids(self._grid, which, (shape[0], shape[1])), bad

    def _named(self, path: Path) -> Any:
        for name in (path.name, path.stem, "/".join(path.parts[-2:]), str(path)):
            if name in self._names:
                return self._names[name]
        raise DataError(f"it has no features in {self.path}")

    def _grid(self, name: Any) -> np.ndarray:
        array = self._read(name)
        if array.dtype.kind != "f" or array.ndim not in (1, 2, 3) or not 1 <= array.size <= _LARGEST:
            raise DataError(
                f"its features are {array.dtype} {array.shape}, expected floats (C,), (K, C) or (C, h, w)"
            )
        if array.ndim == 3:
            array = array.reshape(len(array), -1).T
        return np.asarray(array if array.ndim == 2 else array[None])

    def _read_whole(self) -> None:
        whole = _numpy(self.path)
        if whole.ndim < 2:
            raise DataError(f"{self.path} has the shape {whole.shape}, expected (N, C), (N, K, C) or (N, C, h, w)")
        self._names = dict(zip(self._listed(len(whole)), range(len(whole)), strict=True))
        self._read = lambda k: whole[k]

    def _listed(self, count: int) -> list[str]:
        beside = self.path.with_suffix(".txt")
        try:
            if beside.stat().st_size > _MOST_NAMES:
                raise DataError(f"{beside} is larger than {_MOST_NAMES >> 20} MiB")
            names = beside.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError as error:
            raise DataError(f"{self.path}: the names of the pictures must be in {beside}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read {beside}: {error}") from error
        if len(names) != count or len(set(names)) != count:
            raise DataError(f"{beside} has {len(set(names)):,} different names, {self.path.name} {count:,} pictures")
        return names

    def _read_safetensors(self) -> None:
        try:
            file = safe_open(self.path, framework="numpy")
            names = list(file.keys())
        except (SafetensorError, OSError, ValueError) as error:
            raise DataError(f"{self.path} is not a safetensors file, or a damaged one: {error}") from error
        self._names = {name: name for name in names}

        def read(name: str) -> np.ndarray:
            try:
                size = int(np.prod(file.get_slice(name).get_shape(), dtype=object))
                if size > _LARGEST:
                    raise DataError(f"its features have {size:,} numbers, more than {_LARGEST:,}")
                return np.asarray(file.get_tensor(name))
            except (SafetensorError, TypeError, AttributeError) as error:  # a type that numpy lacks, as bfloat16
                raise DataError(f"its features cannot be read: {error}") from error

        self._read = read


def _numpy(path: Path) -> np.ndarray:
    """An array in a file, paged in by the system; one of Python objects is refused."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy's parser of headers raises almost anything
        raise DataError(f"{path} is not an array of numbers, or is damaged: {error}") from error
