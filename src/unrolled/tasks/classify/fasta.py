"""FASTA and FASTQ files, plain or compressed, one record at a time."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from unrolled.errors import DataError, UsageError
from unrolled.tasks.classify.records import Record
from unrolled.tasks.extras import needed

SUFFIXES = (".fa", ".fasta", ".fna", ".ffn", ".faa", ".fq", ".fastq")
_NAMED = re.compile(r"(?:^|[\s|;])(?:label|class)\s*[=:]\s*([^\s|;]+)", re.IGNORECASE)


def is_fasta(path: Path) -> bool:
    """Whether the name says so."""
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(SUFFIXES)


def read_fasta(path: Path, pattern: str | None) -> Iterator[Record]:
    """The records of a file, with labels out of their headers.

    Arguments:
        pattern: a regular expression whose first group is the label; None for ``label=X`` or ``class=X``, else the
            only word behind the name, else what stands behind the last ``|``.

    Raises:
        UsageError: the library is missing, or the pattern is none. DataError: it is no such file.
    """
    wanted = _compiled(pattern)
    begin = _first_byte(path)
    if begin not in (b">", b"@"):
        came = f"begins with {begin.decode('latin-1')!r}" if begin else "is empty"
        raise DataError(f"{path} {came}, expected > for FASTA or @ for FASTQ")
    reader = needed("pyfastx", "FASTA and FASTQ files").Fastx(str(path), comment=True)
    count = 0
    for count, (name, sequence, *_, comment) in enumerate(reader, 1):
        header = f"{name} {comment}".strip()
        if not sequence:
            raise DataError(f"{path}: record {count} ({name}) is empty")
        yield Record(name, sequence, _label(header, name, comment or "", wanted), f"{path}, record {count} ({name})")
    if not count:
        raise DataError(f"{path} has no records")


def _label(header: str, name: str, comment: str, wanted: re.Pattern | None) -> str | None:
    if wanted is not None:
        found = wanted.search(header)
        return found.group(1) if found else None
    if found := _NAMED.search(header):
        return found.group(1)
    words = comment.split()
    if len(words) == 1:
        return words[0]
    return (name.rpartition("|")[2] or None) if "|" in name and not words else None


def _compiled(pattern: str | None) -> re.Pattern | None:
    if pattern is None:
        return None
    try:
        made = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--label {pattern!r}: not a regular expression: {error}") from error
    if not made.groups:
        raise UsageError(f"--label {pattern!r}: expected a group in brackets, such as 'class=(\\w+)'")
    return made


def _first_byte(path: Path) -> bytes:
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path, "rb") if packed else open(path, "rb") as file:
            return file.read(1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}") from error
