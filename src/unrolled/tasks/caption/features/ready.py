"""Features that somebody has computed, in files of numpy or safetensors."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from unrolled.errors import DataError, UsageError
from unrolled.tasks.caption.features.grids import Grids, flaw, no_grids
from unrolled.tasks.folders import is_hidden

_LARGEST = 1 << 22
"""Numbers of one picture's features."""
_MOST_NAMES = 1 << 28
"""Bytes of a list of names."""
_FLOATS = (np.float16, np.float32, np.float64)
_SAMPLED, _NUMBERS = 20, 16
"""Pictures whose features a run knows again, and how many numbers of each."""
_ROUNDING = 0.01
"""Share of the largest number by which features may differ that were computed or kept less exactly."""


class Ready:
    """Features by the names of pictures, (C,), (K, C) or (C, s, s), all of one shape, of floats.

    ================  ============================================================================================
    a safetensors     a tensor for each picture
    a folder          a file NAME.npy for each picture, in folders as the pictures if need be
    a .npy file       all pictures along the first axis, their names in a .txt file beside it, one a line
    ================  ============================================================================================

    Names are those of the pictures' files, with or without their endings, and with as many of their folders as are
    needed to tell them apart, as in ``test/1.jpg``; the longest name that fits counts. Nothing is read before it is
    asked for, and no file may hold Python objects.

    Raises:
        UsageError: there is no such file or folder. DataError: it does not hold features.
    """

    key = "ready"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            files = (p for p in sorted(self.path.rglob("*.npy")) if not is_hidden(p.relative_to(self.path)))
            self._names: dict[str, Any] = {p.relative_to(self.path).as_posix().removesuffix(".npy"): p for p in files}
            self._read: Callable[[Any], np.ndarray] = _numpy
        elif not self.path.is_file():
            raise UsageError(f"there is no file or folder {self.path}")
        elif self.path.suffix.lower() == ".safetensors":
            self._read_safetensors()
        elif self.path.suffix.lower() == ".npy":
            whole = _numpy(self.path)
            if not whole.ndim:
                raise DataError(f"{self.path} has no features")
            self._names = dict(zip(self._listed(len(whole)), range(len(whole)), strict=True))
            self._read = lambda k: whole[k]
        else:
            raise DataError(
                f"{self.path}: ready features must be a .npy or .safetensors file, or a folder of .npy files"
            )
        if not self._names:
            raise DataError(f"{self.path} has no features")

    def seen(
        self, paths: Sequence[Path], shape: tuple[int, int] | None = None
    ) -> tuple[Grids, list[tuple[int, str]]]:
        """Features of pictures, and the numbers of those that have none that can be used, and why.

        Arguments:
            shape: of the features; None for that of most of them.
        """
        bad = dict(self.unclear(paths))
        shapes: dict[int, tuple[int, int]] = {}
        for k, path in enumerate(paths):
            if k in bad:
                continue
            try:
                grid = self._grid(self._found(path))
                if why := flaw(grid):
                    raise DataError(why)
            except DataError as error:
                bad[k] = str(error)
                continue
            shapes[k] = (grid.shape[0], grid.shape[1])
        if shape is None and shapes:
            shape = Counter(shapes.values()).most_common(1)[0][0]
        others = {k: f"its features are {own}, expected {shape}" for k, own in shapes.items() if own != shape}
        which = [self._found(paths[k]) for k in shapes if k not in others]
        grids = no_grids() if shape is None or not which else Grids(self._grid, which, shape)
        return grids, sorted((bad | others).items())

    def unclear(self, paths: Sequence[Path]) -> list[tuple[int, str]]:
        """The numbers of pictures without features, or with a name that several different ones share, and why."""
        served: dict[str | None, list[int]] = {}
        for k, path in enumerate(paths):
            served.setdefault(self._found(path), []).append(k)
        bad = [(k, f"it has no features in {self.path}") for k in served.pop(None, [])]
        for name, which in served.items():
            files = sorted({paths[k].resolve() for k in which}) if len(which) > 1 else []
            if len(files) > 1:
                why = f"{name!r} in {self.path} fits {files[0]} and {files[1]}: name features by folders, too"
                bad += ((k, why) for k in which)
        return sorted(bad)

    def samples(self, paths: Sequence[Path]) -> Mapping[str, Any]:
        """By the names of features: the digest of the picture, and a few numbers of the features."""
        some = np.unique(np.linspace(0, len(paths) - 1, _SAMPLED).astype(int))
        named = {str(self._found(paths[k])): paths[k] for k in some}
        return {
            name: {"picture": _digest(path), "values": _some(self._grid(name)).tolist()}
            for name, path in named.items()
        }

    def check(self, paths: Sequence[Path], samples: Mapping[str, Any]) -> None:
        """DataError where a picture of the same name and content had other features when it was sampled."""
        for path in paths:
            name = self._found(path)
            kept = samples.get(name) if name is not None else None
            if name is None or kept is None or kept["picture"] != _digest(path):
                continue
            before, now = np.array(kept["values"]), _some(self._grid(name))
            most = max(np.abs(before).max(initial=0), np.abs(now).max(initial=0))
            if before.shape != now.shape or (np.abs(now - before) > _ROUNDING * most).any():
                raise DataError(
                    f"the features of {path} in {self.path} are others than when the run was trained: they are of "
                    "another network"
                )

    def _found(self, path: Path) -> str | None:
        """The name of a picture's features: the longest end of its path that there is."""
        whole = Path(os.path.abspath(path))
        folders = [part.rstrip("/\\") for part in whole.parts[:-1]]
        for first in range(len(folders) + 1):
            for last in (whole.name, whole.stem):
                if (name := "/".join([*folders[first:], last])) in self._names:
                    return name
        return None

    def _grid(self, name: Any) -> np.ndarray:
        array = self._read(self._names[name])
        is_square = array.ndim in (1, 2) or (array.ndim == 3 and array.shape[1] == array.shape[2])
        if array.dtype.kind != "f" or not is_square or not 1 <= array.size <= _LARGEST:
            raise DataError(
                f"its features are {array.dtype} {array.shape}, expected floats (C,), (K, C) or (C, s, s)"
            )
        if array.ndim == 3:
            array = array.reshape(len(array), -1).T
        if array.dtype not in _FLOATS:  # wider ones, or with their bytes the other way round
            array = array.astype(np.float32)
        return np.asarray(array if array.ndim == 2 else array[None])

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


def _some(grid: np.ndarray) -> np.ndarray:
    """A few numbers of features, from their first to their last."""
    return grid.reshape(-1)[np.linspace(0, grid.size - 1, _NUMBERS).astype(int)].astype(np.float64)


def _digest(path: Path) -> str:
    """Of a picture's content; nothing if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
