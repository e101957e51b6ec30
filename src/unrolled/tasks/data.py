"""Data by name: files, folders and standard input, and whether they are the ones that a run was begun on."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from unrolled.errors import DataError, UsageError
from unrolled.tasks.folders import files_in

BLOCK = 1 << 20
"""Bytes in memory at once."""

STDIN = "-"
"""The name of standard input."""


def file_name(data: object) -> str:
    """The name of a file or folder as text, as a person or a program gave it.

    Raises:
        UsageError: it is empty, or no name.
    """
    if not isinstance(data, str | os.PathLike) or isinstance(name := os.fspath(data), bytes):
        raise UsageError(f"data: expected the name of a file or folder, got {data!r}")
    if not name:
        raise UsageError("data: the name of the file or folder is empty")
    return name


def opened(file: str | Path) -> BinaryIO:
    """A file to read, or standard input."""
    return open(sys.stdin.fileno(), "rb", closefd=False) if str(file) == STDIN else open(file, "rb")


class Fingerprint:
    """What tells some files from others, wherever they lie: their bytes, and for a folder their names and sizes."""

    def __init__(self, is_folder: bool) -> None:
        self._is_folder = is_folder
        self._bytes, self._names = hashlib.sha256(), hashlib.sha256()

    def read(self, file: Path, name: str) -> Iterator[bytes]:
        """The blocks of a file, which are taken account of as they are read.

        Arguments:
            name: the file's, relative to its folder.

        Raises:
            DataError: it cannot be read.
        """
        size = 0
        try:
            with opened(file) as stream:
                while block := stream.read(BLOCK):
                    self._bytes.update(block)
                    size += len(block)
                    yield block
        except OSError as error:
            raise DataError(f"cannot read {file}: {error.strerror or error}") from error
        self._names.update(os.fsencode(name) + f"\0{size}\0".encode())

    @property
    def digests(self) -> dict[str, str]:
        """``sha256`` is of all bytes; a folder has ``names`` besides."""
        digests = {"sha256": self._bytes.hexdigest()}
        return digests | {"names": self._names.hexdigest()} if self._is_folder else digests


def fingerprint(data: str) -> dict[str, str]:
    """The fingerprint of a file, or of all files of a folder but hidden ones and those of runs.

    Raises:
        UsageError: there is no such file or folder.
    """
    path = Path(data)
    if not path.exists():
        raise UsageError(f"there is no file or folder {data}")
    if not path.is_dir():
        found = Fingerprint(is_folder=False)
        for _ in found.read(path, ""):
            pass
        return found.digests
    found = Fingerprint(is_folder=True)
    for file in files_in(path):
        for _ in found.read(file, file.relative_to(path).as_posix()):
            pass
    return found.digests


def same_data(kept: Mapping[str, object], found: Mapping[str, str]) -> bool:
    """Whether data are those whose fingerprint a run keeps; whether the same of them can be used says `same_parts`.

    >>> same_data({"path": "/old/a.txt", "sha256": "12"}, {"sha256": "12"})
    True
    """
    same_names = "names" not in kept or kept["names"] == found.get("names")
    return kept.get("sha256") == found["sha256"] and same_names


def same_parts(kept: Mapping[str, object], found: Mapping[str, str]) -> bool:
    """Whether the same of the data belongs to the same parts, as far as a run keeps that.

    >>> same_parts({"parts": "12"}, {"parts": "34"}), same_parts({}, {"parts": "34"})
    (False, True)
    """
    return "parts" not in kept or kept["parts"] == found.get("parts")
