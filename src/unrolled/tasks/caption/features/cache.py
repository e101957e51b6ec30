"""Features that are computed once: kept on disk for each network, by the content of the pictures."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.errors import DataError, RunError, UsageError
from unrolled.runs.files import held, write_atomically, write_error
from unrolled.tasks.caption.features.grids import Grids, flaw, no_grids
from unrolled.tasks.caption.features.networks import Network
from unrolled.tasks.caption.pictures import fitted, opened

_VERSION = 1
_NAP, _PATIENCE = 0.2, 5
"""Seconds between two looks whether another process is done, and after how many that is said."""


def cache_folder() -> Path:
    """Where features are kept: ``unrolled/features`` in the person's cache folder (``XDG_CACHE_HOME``)."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    return Path(root if os.path.isabs(root) else Path.home() / ".cache", "unrolled", "features")


def cached(
    network: Network,
    paths: Sequence[Path],
    folder: Path | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> tuple[Grids, list[tuple[int, str]]]:
    """Features of pictures, computed for those that the cache lacks; numbers of those that cannot be used, and why.

    The latter are not among the former. The features are in half precision, in a file that the system pages in. A
    process that is killed loses at most one batch, and one process at a time computes with a network.

    Arguments:
        folder: the cache; `cache_folder` if None.
        tell: is called with the number of pictures that have been computed, and of all that have to be.

    Raises:
        RunError: the cache cannot be written.
    """
    bad: dict[int, str] = {}
    digests: dict[int, bytes] = {}
    for k, path in enumerate(paths):
        try:
            digests[k] = _digest(path)
        except DataError as error:
            bad[k] = str(error)
    store = _Store((folder or cache_folder()) / network.key[:32], network.key)
    with _alone(store.folder):
        store.open()
        missing = [k for k, digest in digests.items() if not store.has(digest)]
        for at in range(0, len(missing), network.batch):
            chunk = missing[at : at + network.batch]
            for k, grid in _computed(network, {k: paths[k] for k in chunk}):
                if isinstance(grid, str):
                    bad[k] = grid
                else:
                    store.append(digests[k], grid)
            if tell is not None:
                tell(at + len(chunk), len(missing))
        store.sync()
    return store.grids([digests[k] for k in range(len(paths)) if k not in bad]), sorted(bad.items())


def _computed(network: Network, paths: Mapping[int, Path]) -> Iterator[tuple[int, np.ndarray | str]]:
    """Features of each picture, or why there are none."""
    pictures: dict[int, np.ndarray] = {}
    for k, path in paths.items():
        try:
            pictures[k] = fitted(opened(path, "it"), network.size)
        except DataError as error:
            yield k, str(error)
    if pictures:
        for k, grid in zip(pictures, network(np.stack(list(pictures.values()))), strict=True):
            why = flaw(grid)
            yield k, grid if why is None else why


class _Store:
    """The file of one network: records of a picture's digest, a checksum, and features, one behind the other.

    ``about.json`` says of which network and shape they are. A record that is cut short or damaged is not used.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self._key = folder, key
        self._about, self._file = folder / "about.json", folder / "features"
        self._record: np.dtype | None = None
        self._places: dict[bytes, int] = {}
        self._count = 0
        self._before: Any = ()

    def open(self) -> None:
        """Look up what there is; what is of another network, or of none, is removed."""
        shape = self._shape()
        if shape is None:
            with contextlib.suppress(FileNotFoundError):
                self._file.unlink()
            return
        self._record = _record(shape)
        size = self._file.stat().st_size if self._file.is_file() else 0
        self._count = size // self._record.itemsize
        if size % self._record.itemsize:  # the process was killed
            os.truncate(self._file, self._count * self._record.itemsize)
        if self._count:
            self._before = self._all()
            self._places = {digest.tobytes(): k for k, digest in enumerate(self._before["digest"])}

    def has(self, digest: bytes) -> bool:
        """Whether the features of a picture were there, and whole."""
        place = self._places.get(digest)
        if place is None or place >= len(self._before):
            return place is not None
        one = self._before[place]
        return bool(zlib.crc32(one["grid"].tobytes()) == one["check"])

    def append(self, digest: bytes, grid: np.ndarray) -> None:
        """The features of one more picture."""
        if self._record is None:
            self._record = _record(grid.shape)
            about = {"version": _VERSION, "network": self._key, "shape": list(grid.shape)}
            write_atomically(self._about, json.dumps(about).encode())
        if grid.shape != self._record["grid"].shape:
            raise DataError(f"the network gave features {grid.shape} after {self._record['grid'].shape}")
        one = np.zeros((), self._record)
        one["digest"], one["grid"] = np.frombuffer(digest, np.uint8), grid
        one["check"] = zlib.crc32(one["grid"].tobytes())
        try:
            with open(self._file, "ab") as stream:
                stream.write(one.tobytes())
        except OSError as error:
            raise write_error(self._file, error) from error
        self._places[digest] = self._count
        self._count += 1

    def sync(self) -> None:
        """See that all survives a loss of power."""
        if self._file.is_file():
            with open(self._file, "rb") as stream:
                os.fsync(stream.fileno())

    def grids(self, digests: list[bytes]) -> Grids:
        """The features of pictures that are there."""
        if not digests:
            return no_grids()
        assert self._record is not None
        kept = self._all()
        places, count = self._record["grid"].shape
        return Grids(lambda k: kept[k]["grid"], [self._places[digest] for digest in digests], (places, count))

    def _all(self) -> np.ndarray:
        assert self._record is not None
        return np.memmap(self._file, self._record, "r", shape=(self._count,))

    def _shape(self) -> tuple[int, int] | None:
        """Of the features that are there; None if there are none of this network."""
        try:
            about = json.loads(self._about.read_bytes())
            places, count = about["shape"]
            is_ours = about["version"] == _VERSION and about["network"] == self._key
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        sizes = isinstance(places, int) and isinstance(count, int) and 1 <= places * count < 1 << 24 and places > 0
        return (places, count) if is_ours and sizes else None


def _record(shape: tuple[int, ...]) -> np.dtype:
    return np.dtype([("digest", np.uint8, (32,)), ("check", "<u4"), ("grid", "<f2", shape)])


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process computes with this network."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the cache of features {folder} cannot be made: {error.strerror or error}") from error
    with contextlib.ExitStack() as stack:
        for tries in itertools.count(1):
            try:
                stack.enter_context(held(folder, "another process computes features"))
                break
            except RunError:
                if tries == _PATIENCE:
                    print("waiting for another process that computes features", file=sys.stderr, flush=True)
                time.sleep(_NAP)
        yield


def _digest(path: Path) -> bytes:
    """Of a picture's content."""
    if not path.is_file():
        raise DataError(f"there is no picture {path}")
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise DataError(f"it cannot be read: {error.strerror or error}") from error
