"""FASTA and FASTQ files, plain or compressed, one record at a time."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from unrolled.errors import DataError
from unrolled.tasks.extras import needed

SUFFIXES = (".fa", ".fasta", ".fna", ".ffn", ".faa", ".fq", ".fastq")
_TAIL = 1 << 20
"""Bytes."""


class FastaRecord(NamedTuple):
    """One record; ``comment`` is what its header has behind the name, ``where`` what errors call it."""

    name: str
    comment: str
    sequence: str
    where: str


def is_fasta(path: Path) -> bool:
    """Whether the name says so."""
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(SUFFIXES)


def fasta_records(path: Path) -> Iterator[FastaRecord]:
    """The records of a file.

    Raises:
        UsageError: the library is missing. DataError: it is not such a file, or a record is empty or was cut off.
    """
    begin, tail = _ends(path)
    if begin not in (b">", b"@"):
        came = f"begins with {begin.decode('latin-1')!r}" if begin else "is empty"
        raise DataError(f"{path} {came}, expected > for FASTA or @ for FASTQ")
    reader = needed("pyfastx", "FASTA and FASTQ files").Fastx(str(path), comment=True)
    count = 0
    for count, (name, sequence, *quality, comment) in enumerate(reader, 1):
        where = f"{path}, record {count} ({name})"
        if begin == b"@" and len(quality[0]) != len(sequence):
            sizes = f"{len(sequence):,} letters and {len(quality[0]):,} qualities"
            raise DataError(f"{path}: record {count} ({name}) has {sizes}: it was cut off")
        if not sequence:
            raise DataError(f"{path}: record {count} ({name}) is empty")
        yield FastaRecord(name, comment or "", sequence, where)
    if not count:
        raise DataError(f"{path} has no whole record")
    if begin == b"@" and not _is_whole(tail, len(sequence)):
        cut = count if b"".join(tail.split()).endswith(sequence.encode()) else count + 1
        raise DataError(f"{path}: record {cut} was cut off: its qualities are missing, or some of them")


def _is_whole(tail: bytes, letters: int) -> bool:
    """Whether a FASTQ file ends with so many qualities behind a line that begins with +.

    pyfastx leaves out a last record that lacks some of them, and gives one without any those of the record before.
    """
    for line in reversed(tail.rstrip().splitlines()):
        if letters == 0:
            return line.startswith(b"+")
        letters -= len(line.strip())
        if letters < 0:
            return False
    return len(tail) >= _TAIL  # a longer read than what was looked at


def _ends(path: Path) -> tuple[bytes, bytes]:
    """The first byte of a file, and its last ones, unpacked."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path, "rb") if packed else open(path, "rb") as file:
            begin = file.read(1)
            tail = b""
            if not packed:
                file.seek(max(1, path.stat().st_size - 2 * _TAIL))
            while some := file.read(_TAIL):  # a packed file that was cut off would pass for a shorter one
                tail = tail[-_TAIL:] + some
            return begin, tail
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}") from error
