"""The files of a data set: which there are, which part of the data each belongs to, and the records of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unrolled.errors import DataError, UsageError
from unrolled.tasks.classify import series, table
from unrolled.tasks.classify.fasta import is_pattern, read_fasta
from unrolled.tasks.classify.options import ClassifyOptions
from unrolled.tasks.classify.records import Record, composed
from unrolled.tasks.fasta import SUFFIXES as FASTA
from unrolled.tasks.fasta import is_fasta
from unrolled.tasks.folders import PART_NAMES, files_in

_IN_NAME = re.compile(r"(?<![a-z])(training|train|test|validation|valid|val|dev)(?![a-z])", re.IGNORECASE)
_BLOCK = 1 << 16
"""Characters in memory at once, of a text that is cut."""


@dataclass(frozen=True)
class SourceFile:
    """A file.

    Fields:
        part: of the data that it is, None where the program is to split.
        label: that its place gives.
        problem: why it is not used, though it lies there.
    """

    path: Path
    part: str | None = None
    label: str | None = None
    problem: str | None = None


def files_of(data: str, in_parts: bool = True) -> list[SourceFile]:
    """The files of a file or folder.

    A file whose name has ``train`` in it brings the one with ``test`` in its place, if there is one. In a folder,
    folders and files may be called ``train``, ``valid`` and ``test``; any other folder is the label of the files in
    it, and a FASTA file beside others is the label of its records.

    Arguments:
        in_parts: whether names say what part of the data files are; else they are read whole, and bring no others.

    Raises:
        UsageError: there are none. DataError: the folder has no files.
    """
    path = Path(data)
    if not path.exists():
        raise UsageError(f"there is no file or folder {data}")
    if not path.is_dir():
        return _with_siblings(path) if in_parts else [SourceFile(path)]
    found = files_in(path)
    if not found:
        raise DataError(f"{data} contains no files (hidden files and run folders are left out)")
    inside = [p.relative_to(path) for p in found]
    folders = _part_folders(inside)
    parts = _parts(inside, folders)
    files = [
        SourceFile(p, part, _label(where, folder is not None, part is not None))
        for p, where, folder, part in zip(found, inside, folders, parts, strict=True)
    ]
    if not in_parts:
        return [replace(file, part=None) for file in files]
    if "training" not in parts:  # then it is what belongs to no other part
        return files
    problem = "belongs to no part, while the names or folders of other files say theirs"
    return [file if file.part else replace(file, problem=f"{file.path} {problem}") for file in files]


def check_used(files: Sequence[SourceFile], options: ClassifyOptions) -> None:
    """UsageError where a setting names a column, and the data have none."""
    tables = any(file.path.suffix.lower() in table.SUFFIXES for file in files)
    if options.sequence is not None and not tables:
        raise UsageError("--sequence: names a column, and the data have no table: leave it out")
    if options.label is not None and not tables and not any(is_fasta(file.path) for file in files):
        raise UsageError("--label: is for tables and headers of FASTA, and the data have neither: leave it out")


def records_of(file: SourceFile, options: ClassifyOptions, is_own: bool = True) -> Iterator[Record]:
    """The records of one file.

    Arguments:
        is_own: the names of columns, or the pattern, were given for these data; see `table.read_table`.

    Raises:
        DataError: it cannot be used.
    """
    if file.problem is not None:
        raise DataError(file.problem)
    try:
        yield from _records(file, options, is_own)
    except UnicodeDecodeError as error:
        raise DataError(f"{file.path} is not UTF-8 text") from error
    except OSError as error:
        raise DataError(f"cannot read {file.path}: {error.strerror or error}") from error


def _records(file: SourceFile, options: ClassifyOptions, is_own: bool) -> Iterator[Record]:
    path, label = file.path, options.label
    if series.is_series(path):
        yield from series.read_series(path)
    elif is_fasta(path):
        pattern = label if label is not None and (is_own or is_pattern(label)) else None
        for record in read_fasta(path, pattern):
            yield record if record.label is not None else replace(record, label=file.label)
    elif path.suffix.lower() in table.SUFFIXES:
        yield from table.read_table(path, options.sequence, label, is_own)
    else:
        text = _beginning(path, options.longest).strip()
        if not text or "\0" in text:
            raise DataError(f"{path} is empty" if not text else f"{path} is not text: it has a zero byte")
        yield Record(path.name, text, file.label, str(path))


def _beginning(path: Path, steps: int) -> str:
    """A text, or so much of it that there are more than so many steps, which are never fewer than its words."""
    blocks, words = [], 0
    with open(path, encoding="utf-8-sig") as file:
        while words <= steps and (block := file.read(_BLOCK)):
            blocks.append(block)
            words += len(block.split()) - 1  # the last one may go on in the next block
    return composed("".join(blocks))


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
    """Folders of FASTA files with nothing beside them, in those called train and test of texts too; or series.

    Two folders of texts may as well be the chapters of two books, so that ``--task`` has to say it.
    """
    inside = [p for p in path.iterdir() if not p.name.startswith(".")]
    folders = [p for p in inside if p.is_dir()]
    if any(series.is_series(p) or (is_fasta(p) and len(inside) > 1) for p in inside if p.is_file()):
        return True
    parts = [p for p in folders if p.name.lower() in PART_NAMES]
    if _are_parts([PART_NAMES[p.name.lower()] for p in parts]):
        return all(_is_labelled_folder(p, is_part=True) for p in parts)
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
                return [SourceFile(path, "training"), SourceFile(other, "test")]
    return [SourceFile(path)]


def _are_parts(names: Sequence[str | None]) -> bool:
    """Whether there is a training part, and another one beside it."""
    return "training" in names and len({*names} - {None}) > 1


def _part_folders(files: Sequence[Path]) -> list[str | None]:
    """The part that the first folder of each file says.

    Beside a folder for training, ``test`` is a part; beside others only if it has folders, since it may be a label.
    """
    named = [PART_NAMES.get(p.parts[0].lower()) if len(p.parts) > 1 else None for p in files]
    fewest = 2 if "training" in named else 3
    return [part if len(p.parts) >= fewest else None for p, part in zip(files, named, strict=True)]


def _parts(files: Sequence[Path], folders: Sequence[str | None]) -> Sequence[str | None]:
    """The part of each file of a folder: that of its first folder, or that which its own name says."""
    names = [_part_in(p.stem) if len(p.parts) == 1 else None for p in files]
    if not _are_parts(names):
        names = [None] * len(files)
    parts = [folder or name for folder, name in zip(folders, names, strict=True)]
    is_alone = None not in parts if "training" not in parts else not _are_parts(parts)
    return [None] * len(files) if is_alone else parts  # somebody has the folder of one part alone


def _part_in(stem: str) -> str | None:
    found = _IN_NAME.findall(stem)
    return PART_NAMES[found[-1].lower()] if found else None


def _label(path: Path, in_part: bool, is_part: bool) -> str | None:
    """The folder that a file lies in, but for those of parts; of a FASTA file beside others its own name.

    Arguments:
        in_part: its first folder is that of a part. is_part: it belongs to a part, perhaps by its name.
    """
    folders = path.parts[1:-1] if in_part else path.parts[:-1]
    if folders:
        return composed(folders[-1])
    own = path.name.removesuffix(".gz").rpartition(".")[0]
    is_named = is_fasta(path) and (in_part or not is_part) and own.lower() not in PART_NAMES
    return composed(own) if is_named else None
