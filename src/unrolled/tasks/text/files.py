"""Text files, read a block at a time."""

from __future__ import annotations

import codecs
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from unrolled.errors import DataError, UsageError
from unrolled.runs.folder import is_run
from unrolled.wording import counted

BLOCK = 1 << 20
"""Bytes in memory at once."""

STDIN = "-"
"""The name of standard input."""


class TextFiles:
    """One UTF-8 file, or those of a folder in the order of their names, as one text.

    Arguments:
        path: a file or a folder, or `STDIN`.
        include: which files of a folder, as a glob pattern; hidden ones and run folders are left out.
        raw: any bytes will do (units are bytes).

    Fields:
        skipped: files of a folder that are not text.
        marks: byte order marks that were left out; crlf: lines that end with CR LF. Both of what was read.

    Raises:
        UsageError: there is no such file or folder.
        DataError: nothing in it is text.
    """

    def __init__(self, path: str | Path, include: str = "**/*", raw: bool = False) -> None:
        self.path = Path(path)
        self.raw = raw
        self.skipped: list[Path] = []
        self.marks = 0
        self.crlf = 0
        self._digest, self._names = hashlib.sha256(), hashlib.sha256()
        self._is_folder = str(path) != STDIN and self.path.is_dir()
        if str(path) == STDIN:
            self.files = [self.path]
        elif self._is_folder:
            self.files = self._of_folder(include)
        elif self.path.exists():
            self.files = [self.path]
        else:
            raise UsageError(f"there is no file or folder {path}")

    @property
    def fingerprint(self) -> dict[str, str]:
        """What tells this text from others, wherever it lies, once `blocks` or `texts` has read it.

        ``sha256`` is of all bytes; a folder has ``names`` besides, of its files' names and sizes.
        """
        found = {"sha256": self._digest.hexdigest()}
        return found | {"names": self._names.hexdigest()} if self._is_folder else found

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(file.stat().st_size for file in self.files if str(file) != STDIN)

    def blocks(self) -> Iterator[bytes]:
        """The bytes of all files."""
        for file in self.files:
            yield from self._blocks(file)

    def texts(self) -> Iterator[str]:
        """The characters of all files, as they stand there, but for a byte order mark."""
        for file in self.files:
            decoder = codecs.getincrementaldecoder("utf-8")()
            position = 0
            for block in self._blocks(file):
                pending = len(decoder.getstate()[0])
                text = self._decoded(decoder, block, file, position - pending)
                if position == 0 and text.startswith("\ufeff"):
                    self.marks += 1
                    text = text[1:]
                yield text
                position += len(block)
            self._decoded(decoder, b"", file, position - len(decoder.getstate()[0]), final=True)

    def _blocks(self, file: Path) -> Iterator[bytes]:
        size, last = 0, b""
        try:
            with opened(file) as stream:
                while block := stream.read(BLOCK):
                    self._digest.update(block)
                    size += len(block)
                    self.crlf += block.count(b"\r\n") + (last == b"\r" and block[:1] == b"\n")
                    last = block[-1:]
                    yield block
        except OSError as error:
            raise DataError(f"cannot read {file}: {error.strerror or error}") from error
        name = file.relative_to(self.path).as_posix() if file != self.path else ""
        self._names.update(os.fsencode(name) + f"\0{size}\0".encode())

    @staticmethod
    def _decoded(
        decoder: codecs.IncrementalDecoder, block: bytes, file: Path, position: int, final: bool = False
    ) -> str:
        try:
            return decoder.decode(block, final)
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise DataError(
                f"{file} is not UTF-8 text: byte {position + error.start:,} is 0x{byte:02x}. "
                "Convert the file to UTF-8, or train with --units bytes"
            ) from error

    def _of_folder(self, include: str) -> list[Path]:
        try:
            found = sorted(p for p in self.path.glob(include) if p.is_file() and not self._hidden(p))
        except (ValueError, NotImplementedError, IndexError) as error:
            raise UsageError(f"--include {include!r}: {error}") from error
        runs = {p.parent for p in self.path.rglob("config.toml") if is_run(p.parent)}
        found = [p for p in found if not runs & set(p.parents)]
        files = [p for p in found if self.raw or _begins_as_text(p)]
        self.skipped = sorted(set(found) - set(files))
        if not files:
            if found:
                raise DataError(f"{self.path} has {counted(len(found), 'files')}, none of them UTF-8 text")
            if include == "**/*":
                raise DataError(f"{self.path} contains no files (hidden files and run folders are left out)")
            raise DataError(f"{self.path} has no file that matches {include!r}{self._deeper(include)}")
        return files

    def _deeper(self, include: str) -> str:
        """What to say where a pattern only fits files of inner folders."""
        fits = "**" not in include and any(p.is_file() and not self._hidden(p) for p in self.path.rglob(include))
        return f"; files in subfolders do: --include '**/{include}'" if fits else ""

    def _hidden(self, file: Path) -> bool:
        return any(part.startswith(".") for part in file.relative_to(self.path).parts)


def same_text(kept: Mapping[str, object], found: Mapping[str, str]) -> bool:
    """Whether a text is the one whose fingerprint a run keeps.

    >>> same_text({"path": "/old/a.txt", "sha256": "12"}, {"sha256": "12"})
    True
    """
    same_names = "names" not in kept or kept["names"] == found.get("names")
    return kept.get("sha256") == found["sha256"] and same_names


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


def _begins_as_text(file: Path) -> bool:
    try:
        with open(file, "rb") as stream:
            block = stream.read(1 << 16)
        codecs.getincrementaldecoder("utf-8")().decode(block)
    except (UnicodeDecodeError, OSError):
        return False
    return b"\0" not in block
