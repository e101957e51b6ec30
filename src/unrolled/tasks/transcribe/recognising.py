"""Whether data are recordings or reads. No torch here, so that help is instant."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from unrolled.tasks.fasta import is_fasta
from unrolled.tasks.transcribe.reads.files import SUFFIXES as READS
from unrolled.tasks.transcribe.sound import SUFFIXES as SOUNDS

TABLES = (".csv", ".tsv")
_TEXTS = (".txt", ".lab", *TABLES)
_LOOKED_AT = 1_000


def is_recorded(path: Path) -> bool:
    """Whether a folder has recordings, or reads of a nanopore."""
    return is_speech(path) or is_reads(path)


def is_speech(path: Path) -> bool:
    """Whether most files of a folder are sounds, but for texts."""
    files = _files(path)
    sounds = sum(p.suffix.lower() in SOUNDS for p in files)
    return 2 * sounds > sum(p.suffix.lower() not in _TEXTS for p in files)


def is_reads(path: Path) -> bool:
    """Whether half of the files of a folder, but for bases, are reads."""
    files = _files(path)
    reads = sum(p.suffix.lower() in READS for p in files)
    return reads > 0 and 2 * reads >= sum(not is_fasta(p) for p in files)


def _files(path: Path) -> list[Path]:
    return [p for p in islice(path.rglob("*"), _LOOKED_AT) if p.is_file()] if path.is_dir() else []
