"""Text files, read a block at a time."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from unrolled.errors import DataError, UsageError
from unrolled.tasks.data import STDIN, Fingerprint
from unrolled.tasks.folders import files_in
from unrolled.wording import counted


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
        is_folder = str(path) != STDIN and self.path.is_dir()
        self._fingerprint = Fingerprint(is_folder)
        if str(path) == STDIN:
            self.files = [self.path]
        elif is_folder:
            self.files = self._of_folder(include)
        elif self.path.exists():
            self.files = [self.path]
        else:
            raise UsageError(f"there is no file or folder {path}")

    @property
    def fingerprint(self) -> dict[str, str]:
        """What tells this text from others, wherever it lies, once `blocks` or `texts` has read it."""
        return self._fingerprint.digests

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
        last = b""
        name = file.relative_to(self.path).as_posix() if file != self.path else ""
        for block in self._fingerprint.read(file, name):
            self.crlf += block.count(b"\r\n") + (last == b"\r" and block[:1] == b"\n")
            last = block[-1:]
            yield block

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
            found = files_in(self.path, include)
        except (ValueError, NotImplementedError, IndexError) as error:
            raise UsageError(f"--include {include!r}: {error}") from error
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
        fits = "**" not in include and files_in(self.path, f"**/{include}")
        return f"; files in subfolders do: --include '**/{include}'" if fits else ""


def _begins_as_text(file: Path) -> bool:
    try:
        with open(file, "rb") as stream:
            block = stream.read(1 << 16)
        codecs.getincrementaldecoder("utf-8")().decode(block)
    except (UnicodeDecodeError, OSError):
        return False
    return b"\0" not in block
