"""The files of a data set: which there are, which part of the data each belongs to, and the records of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unrolled.errors import DataError, UsageError
from unrolled.tasks.classify import series, table
from unrolled.tasks.classify.fasta import read_fasta
from unrolled.tasks.classify.options import ClassifyOptions
from unrolled.tasks.classify.records import Record
from unrolled.tasks.fasta import SUFFIXES as FASTA
from unrolled.tasks.fasta import is_fasta
from unrolled.tasks.folders import PART_NAMES, files_in

_IN_NAME = re.compile(r"(?<![a-z])(training|train|test|validation|valid|val|dev)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class SourceFile:
    """A file; ``part`` of the data that it is, None where the program is to split; ``label`` that its place gives."""

    path: Path
    part: str | None
    label: str | None


def files_of(data: str) -> list[SourceFile]:
    """The files of a file or folder.

    A file whose name has ``train`` in it brings the one with ``test`` in its place, if there is one. In a folder,
    files and folders may be called ``train`` and ``test``; any other folder is the label of the files in it, and a
    FASTA file beside others is the label of its records.

    Raises:
        UsageError: there are none. DataError: the folder has no files.
    """
    path = Path(data)
    if not path.exists():
        raise UsageError(f"there is no file or folder {data}")
    if not path.is_dir():
        return _with_siblings(path)
    found = files_in(path)
    if not found:
        raise DataError(f"{data} contains no files (hidden files and run folders are left out)")
    parts = [_part(p.relative_to(path)) for p in found]
    if not {"training", "test"} <= set(parts):
        parts = [None] * len(found)
    files = [SourceFile(p, part, _label(p.relative_to(path), part)) for p, part in zip(found, parts, strict=True)]
    if any(parts):
        files = [file for file in files if file.part is not None]  # such as a README beside them
    return files


def records_of(file: SourceFile, options: ClassifyOptions) -> Iterator[Record]:
    """The records of one file.

    Raises:
        DataError: it cannot be used.
    """
    try:
        yield from _records(file, options)
    except UnicodeDecodeError as error:
        raise DataError(f"{file.path} is not UTF-8 text") from error
    except OSError as error:
        raise DataError(f"cannot read {file.path}: {error.strerror or error}") from error


def _records(file: SourceFile, options: ClassifyOptions) -> Iterator[Record]:
    path = file.path
    if series.is_series(path):
        yield from series.read_series(path)
    elif is_fasta(path):
        for record in read_fasta(path, options.label):
            yield record if record.label is not None else _labelled(record, file.label)
    elif path.suffix.lower() in table.SUFFIXES:
        yield from table.read_table(path, options.sequence, options.label)
    else:
        text = path.read_text(encoding="utf-8-sig").strip()
        if not text or "\0" in text:
            raise DataError(f"{path} is empty" if not text else f"{path} is not text: it has a zero byte")
        yield Record(path.name, text, file.label, str(path))


def is_labelled(path: Path) -> bool:
    """Whether data are of this kind, so that the task need not be named."""
    if path.is_dir():
        return _is_labelled_folder(path)
    if series.is_series(path):
        return True
    if path.suffix.lower() in table.SUFFIXES:
        return table.has_labels(path)
    return is_fasta(path) and _has_labelled_headers(path)


def _has_labelled_headers(path: Path) -> bool:
    """Whether the first two headers have a label; a genome's have none."""
    try:
        reader = read_fasta(path, None)
        return all(record is not None and record.label for record in (next(reader, None), next(reader, None)))
    except (OSError, ValueError):  # of which the errors of data and of arguments are
        return False


def _is_labelled_folder(path: Path, is_part: bool = False) -> bool:
    """Folders of FASTA files with nothing beside them, those called train and test of texts too; or series.

    Two folders of texts may as well be the chapters of two books, so that ``--task`` has to say it.
    """
    inside = [p for p in path.iterdir() if not p.name.startswith(".")]
    folders = [p for p in inside if p.is_dir()]
    if any(series.is_series(p) or (is_fasta(p) and len(inside) > 1) for p in inside if p.is_file()):
        return True
    if {"train", "test"} <= {p.name.lower() for p in folders}:
        return all(_is_labelled_folder(p, is_part=True) for p in folders if p.name.lower() in ("train", "test"))
    if len(folders) < 2 or len(folders) < len(inside):
        return False
    kinds = (".txt", *FASTA) if is_part else FASTA
    return all(
        files and all(p.is_file() and p.suffix.lower() in kinds for p in files)
        for files in ([p for p in folder.iterdir() if not p.name.startswith(".")] for folder in folders)
    )


def _with_siblings(path: Path) -> list[SourceFile]:
    """The file, and its test part beside it."""
    match = next(iter(_IN_NAME.finditer(path.stem)), None)
    if match is not None and PART_NAMES[match.group().lower()] == "training":
        for name in ("TEST", "test", "Test"):
            other = path.with_name(path.stem[: match.start()] + name + path.stem[match.end() :] + path.suffix)
            if other.is_file():
                return [SourceFile(path, "training", None), SourceFile(other, "test", None)]
    return [SourceFile(path, None, None)]


def _part(path: Path) -> str | None:
    """The part that a file's first folder, or its own name, says."""
    if len(path.parts) > 1:
        return PART_NAMES.get(path.parts[0].lower())
    found = _IN_NAME.findall(path.stem)
    return PART_NAMES[found[-1].lower()] if found else None


def _label(path: Path, part: str | None) -> str | None:
    """The folder that a file lies in, but for those of the parts; of a FASTA file beside others its own name."""
    folders = path.parts[:-1] if part is None else path.parts[1:-1]
    if folders:
        return folders[-1]
    if is_fasta(path) and (part is None or len(path.parts) > 1):
        return path.name.removesuffix(".gz").rpartition(".")[0]
    return None


def _labelled(record: Record, label: str | None) -> Record:
    return Record(record.name, record.content, label, record.where, record.tags)
