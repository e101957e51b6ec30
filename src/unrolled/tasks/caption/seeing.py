"""How pictures are seen: as pixels, by a network that is trained with the rest; or as features of another one."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import nn

from unrolled.errors import DataError
from unrolled.tasks.caption.convnet import Convnet, Projection
from unrolled.tasks.caption.features.source import Source, check_same, source
from unrolled.tasks.caption.options import PIXELS
from unrolled.tasks.caption.pictures import fitted, opened
from unrolled.tasks.sequences import Sequences

_LOOKED_AT = 500
"""Pictures from which mean and scale of the colours are taken."""
_COARSE = 8
"""Places on a side, by whose colours pictures are alike."""


class Sight(Protocol):
    """One way to see pictures.

    Attributes:
        shifts: whether pictures may be moved a little in training. words: it in words.
        width: numbers of a place of the grid that the network makes of it.
    """

    shifts: ClassVar[bool]
    width: ClassVar[int]

    @property
    def words(self) -> str: ...

    def seen(self, paths: Sequence[Path]) -> tuple[Sequence[np.ndarray], list[tuple[int, str]]]:
        """What is seen of each picture, all of one shape; and the numbers of those that cannot be used, and why.

        The latter are not among the former.

        Raises:
            DataError: what is seen is not what the run was trained with.
        """
        ...

    def unclear(self, paths: Sequence[Path]) -> list[tuple[int, str]]:
        """The numbers of pictures that cannot be told from others of them, and why; `seen` leaves them out."""
        ...

    def fitted(self, pictures: Sequence[np.ndarray], paths: Sequence[Path]) -> Sight:
        """The same, in the units of the training part: what is seen of its pictures, and their files."""
        ...

    def described(self, picture: np.ndarray) -> np.ndarray:
        """A few numbers by which pictures are alike."""
        ...

    def eye(self) -> nn.Module:
        """What makes a grid of what is seen; see `Convnet`."""
        ...

    def kept(self) -> dict[str, Any]:
        """What a run keeps of it."""
        ...


@dataclass(frozen=True)
class Pixels:
    """Pictures as they are, S x S pixels.

    Fields:
        size: S. mean, scale: of each colour in the training part.
    """

    size: int
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    shifts: ClassVar[bool] = True
    width: ClassVar[int] = 64

    @property
    def words(self) -> str:
        return f"{self.size} x {self.size} pixels, by a convolutional network that is trained with the rest"

    def seen(self, paths: Sequence[Path]) -> tuple[Sequence[np.ndarray], list[tuple[int, str]]]:
        made, bad = Sequences(np.uint8, self.size * 3), []
        for k, path in enumerate(paths):
            try:
                made.append(fitted(opened(path, "it"), self.size).reshape(self.size, -1))
            except DataError as error:
                bad.append((k, str(error)))
        return _Squares(made, self.size), bad

    def unclear(self, paths: Sequence[Path]) -> list[tuple[int, str]]:
        return []

    def fitted(self, pictures: Sequence[np.ndarray], paths: Sequence[Path]) -> Sight:
        some = np.unique(np.linspace(0, len(pictures) - 1, _LOOKED_AT).astype(int))
        pixels = np.stack([pictures[int(k)] for k in some]).reshape(-1, 3)
        mean, scale = pixels.mean(0, dtype=np.float64), np.maximum(pixels.std(0, dtype=np.float64), 1.0)
        return Pixels(self.size, tuple(map(float, mean)), tuple(map(float, scale)))

    def described(self, picture: np.ndarray) -> np.ndarray:
        n, each = _COARSE, self.size // _COARSE
        means = picture.reshape(n, each, n, each, 3).mean((1, 3), dtype=np.float32)
        return means.reshape(-1)

    def eye(self) -> nn.Module:
        return Convnet(self.size, self.width, self.mean, self.scale)

    def kept(self) -> dict[str, Any]:
        return {"kind": PIXELS, "mean": list(self.mean), "scale": list(self.scale)}


@dataclass(frozen=True)
class Features:
    """Features that another network computes, or has computed.

    Fields:
        named: as the person names them; see `features.source`.
        key, shape: of the network and of its features, once the training part has been seen.
        samples: features of a few pictures of it, where the key does not say of which network they are.
    """

    named: str
    key: str = ""
    shape: tuple[int, int] = (0, 0)
    samples: Mapping[str, Any] = field(default_factory=dict)
    shifts: ClassVar[bool] = False
    width: ClassVar[int] = 128

    @property
    def words(self) -> str:
        size = f", {self.shape[0]} x {self.shape[1]:,}" if self.shape[0] else ""
        return f"features of {self.named}{size}"

    @cached_property
    def _source(self) -> Source:
        return source(self.named, threads=torch.get_num_threads(), tell=_tell)

    def seen(self, paths: Sequence[Path]) -> tuple[Sequence[np.ndarray], list[tuple[int, str]]]:
        grids, bad = self._source.seen(paths, self.shape if self.key else None)
        if self.key and len(grids):
            check_same(self.key, self.shape, self._source, grids)
            unusable = {k for k, _ in bad}
            self._source.check([path for k, path in enumerate(paths) if k not in unusable], self.samples)
        return grids, bad

    def unclear(self, paths: Sequence[Path]) -> list[tuple[int, str]]:
        return self._source.unclear(paths)

    def fitted(self, pictures: Sequence[np.ndarray], paths: Sequence[Path]) -> Sight:
        places, channels = pictures[0].shape
        samples = self._source.samples(paths)
        return replace(self, key=self._source.key, shape=(int(places), int(channels)), samples=samples)

    def described(self, picture: np.ndarray) -> np.ndarray:
        return picture.mean(0, dtype=np.float32)

    def eye(self) -> nn.Module:
        return Projection(*self.shape, self.width)

    def kept(self) -> dict[str, Any]:
        made = {"kind": "features", "named": self.named, "key": self.key, "shape": list(self.shape)}
        return made | ({"samples": dict(self.samples)} if self.samples else {})


def _tell(done: int, count: int) -> None:
    """How far the features are, in a terminal: it takes about a tenth of a second for each picture."""
    if sys.stderr.isatty():
        end = "\n" if done == count else ""
        print(f"\rfeatures of {done:,} of {count:,} pictures", end=end, file=sys.stderr, flush=True)


class _Squares(Sequence[np.ndarray]):
    """Rows of pixels as pictures (S, S, 3)."""

    def __init__(self, rows: Sequences, size: int) -> None:
        self._rows, self._size = rows, size

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, k: Any) -> Any:
        return self._rows[k].reshape(self._size, self._size, 3)
