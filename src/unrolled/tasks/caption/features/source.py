"""Where features come from: computed once and kept, or ready ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from unrolled.errors import DataError
from unrolled.tasks.caption.features.cache import cached
from unrolled.tasks.caption.features.grids import Grids
from unrolled.tasks.caption.features.networks import EFFICIENTNET, EfficientNet, Network, Onnx
from unrolled.tasks.caption.features.ready import Ready


class Source(Protocol):
    """Features of pictures.

    Attributes:
        key: differs between networks; ready features do not say which one they are of.
    """

    key: str

    def seen(
        self, paths: Sequence[Path], shape: tuple[int, int] | None = None
    ) -> tuple[Grids, list[tuple[int, str]]]:
        """Features of pictures, and the numbers of those that cannot be used, and why; the latter are left out.

        Arguments:
            shape: of ready features; None for that of most of them.
        """
        ...

    def unclear(self, paths: Sequence[Path]) -> list[tuple[int, str]]:
        """The numbers of pictures whose features cannot be told from those of others of them, and why."""
        ...

    def samples(self, paths: Sequence[Path]) -> Mapping[str, Any]:
        """What a run keeps of the features of a few of these pictures, where the key does not say which they are."""
        ...

    def check(self, paths: Sequence[Path], samples: Mapping[str, Any]) -> None:
        """DataError where one of these pictures had other features when it was sampled."""
        ...


class Computed:
    """Features that a network computes, once for each picture; arguments as of `cached`."""

    def __init__(
        self, network: Network, folder: Path | None = None, tell: Callable[[int, int], None] | None = None
    ) -> None:
        self.key = network.key
        self._network, self._folder, self._tell = network, folder, tell

    def seen(
        self, paths: Sequence[Path], shape: tuple[int, int] | None = None
    ) -> tuple[Grids, list[tuple[int, str]]]:
        return cached(self._network, paths, self._folder, self._tell)

    def unclear(self, paths: Sequence[Path]) -> list[tuple[int, str]]:
        return []

    def samples(self, paths: Sequence[Path]) -> Mapping[str, Any]:
        return {}

    def check(self, paths: Sequence[Path], samples: Mapping[str, Any]) -> None:
        return None


def source(
    named: str, threads: int = 0, folder: Path | None = None, tell: Callable[[int, int], None] | None = None
) -> Source:
    """The features of a name: ``efficientnet``, an ONNX file, or a file or folder of ready ones.

    Arguments:
        threads: of the processor, for an ONNX model; 0 for as many as there are cores.
        folder, tell: as of `cached`.

    Raises:
        UsageError: there is no such file, or a package is missing. DataError: the file cannot be used.
    """
    if named == EFFICIENTNET:
        return Computed(EfficientNet(), folder, tell)
    if named.lower().endswith(".onnx"):
        return Computed(Onnx(named, threads), folder, tell)
    return Ready(named)


def check_same(key: str, shape: tuple[int, int], given: Source, grids: Grids) -> None:
    """DataError where features are not those of the network, key and shape, that a model was trained with."""
    if given.key != key:
        raise DataError("the features are of another network than the one that the run was trained with")
    if grids.shape != shape:
        raise DataError(f"the features are {grids.shape}, those that the run was trained with {shape}")
