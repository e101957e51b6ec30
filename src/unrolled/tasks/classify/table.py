"""Tables of a sequence and a label in each row: CSV, tabs, and the UCI form of label, name and sequence."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from unrolled.errors import DataError, UsageError
from unrolled.tasks.classify.records import Record
from unrolled.wording import counted

SUFFIXES = (".csv", ".tsv", ".data")
SEQUENCES = ("sequence", "seq", "text", "sentence", "document", "dna", "protein", "peptide", "review")
LABELS = ("label", "class", "target", "category", "y", "sentiment")
TAGS = ("tags", "labels", "structure")
NAMES = ("name", "id")
_LOOKED_AT = 1000


def read_table(path: Path, sequence: str | None = None, label: str | None = None) -> Iterator[Record]:
    """The rows of a file.

    The columns are found by the names given, by usual names in the first row (sequence or text; label or class; tags
    for one label a step), or, without such a row, by what they hold: of three columns the first is the label and the
    last the sequence; of two, the one with fewer different values is the label.

    Raises:
        UsageError: there is no column of that name. DataError: it is no such table, or a row lacks something.
    """
    with _long_cells(), open(path, encoding="utf-8-sig", newline="") as file:
        rows = _rows(file, _delimiter(path), path)
        first = list(islice(rows, _LOOKED_AT))
        if not first:
            raise DataError(f"{path} is empty")
        names = [cell.strip().lower() for cell in first[0][1]]
        wanted = _by_name(path, first[0][1], names, sequence, label)
        if wanted is None:
            wanted = _by_content(path, [cells for _, cells in first])
        else:
            first = first[1:]
        at, of, tagged, named = wanted
        count, width = 0, len(names)
        for line, cells in (row for some in (first, rows) for row in some):
            where = f"{path}, line {line}"
            if len(cells) < width or any(cell.strip() for cell in cells[width:]):
                quotes = "" if len(cells) < width else ": a text with one of the separators in it needs quotes"
                raise DataError(f"{where}: has {counted(len(cells), 'cells')}, expected {width}{quotes}")
            content = cells[at].strip()
            if not content:
                raise DataError(f"{where}: the sequence is empty")
            name = cells[named].strip() if named is not None else f"line {line}"
            found = cells[of].strip() or None if of is not None else None
            tags = _tags(content, cells[tagged].strip(), where) if tagged is not None else None
            yield Record(name, content, found, where, tags)
            count += 1
        if not count:
            raise DataError(f"{path} has no rows")


@contextmanager
def _long_cells() -> Iterator[None]:
    """Inside, cells may be long sequences; the limit is of the whole process, and others rely on theirs."""
    before = csv.field_size_limit(1 << 30)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def has_labels(path: Path) -> bool:
    """Whether a file is such a table, as far as its first rows tell."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [cells for _, cells in islice(_rows(file, _delimiter(path), path), 20)]
    except (OSError, UnicodeDecodeError, DataError):
        return False
    if len(rows) < 2:
        return False
    names = {cell.strip().lower() for cell in rows[0]}
    if names & set(SEQUENCES) and names & {*LABELS, *TAGS}:
        return True
    letters = all(len(cells) == 3 and cells[2].strip().isalpha() and len(cells[2]) > 9 for cells in rows)
    return path.suffix.lower() == ".data" and letters


def _rows(file: Iterator[str], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with their line's number."""
    reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
    last = 0
    try:
        for cells in reader:
            last = reader.line_num
            if any(cell.strip() for cell in cells):
                yield last, cells
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise DataError(f"{path}, line {last + 1}: has a quote that is not closed") from error
        raise DataError(f"{path}, line {reader.line_num}: is not a row of a table: {error}") from error


def _delimiter(path: Path) -> str:
    with open(path, encoding="utf-8-sig", newline="") as file:
        line = next((line for line in file if line.strip()), "")
    if path.suffix.lower() == ".tsv":
        return "\t"
    counts = {mark: line.count(mark) for mark in (",", ";", "\t")}
    return max(counts, key=lambda mark: counts[mark]) if any(counts.values()) else ","


def _by_name(
    path: Path, head: list[str], names: list[str], sequence: str | None, label: str | None
) -> tuple[int, int | None, int | None, int | None] | None:
    """Columns of sequence, label, tags and name, by the first row; None where it is none."""

    def place(given: str | None, option: str, usual: tuple[str, ...]) -> int | None:
        if given is not None:
            if given.lower() not in names:
                shown = ", ".join(cell.strip()[:20] for cell in head[:8])
                raise UsageError(f"{option}: {path} has no column {given!r} in its first row: {shown}")
            return names.index(given.lower())
        return next((names.index(name) for name in usual if name in names), None)

    at, of = place(sequence, "--sequence", SEQUENCES), place(label, "--label", LABELS)
    tagged = place(None, "", TAGS) if of is None else None
    if at is None and (of is not None or tagged is not None) and len(names) == 2:
        at = 1 - (of if of is not None else tagged or 0)
    if at is None:
        if label is not None:
            raise UsageError(f"--sequence: name the column of the sequence in {path}")
        return None
    return at, of, tagged, place(None, "", NAMES)


def _by_content(path: Path, rows: list[list[str]]) -> tuple[int, int | None, int | None, int | None]:
    """The same for a table without names."""
    width = min(map(len, rows))
    if width == 1:
        return 0, None, None, None
    if width > 3:
        raise DataError(
            f"{path} has {width} columns and no row of names such as sequence,label: name them with --sequence "
            "and --label"
        )
    if width == 3:
        return 2, 0, None, 1
    distinct = [len({cells[k].strip() for cells in rows}) for k in range(2)]
    size = [sum(len(cells[k]) for cells in rows) for k in range(2)]
    label = 0 if (distinct[0], size[0]) <= (distinct[1], size[1]) else 1
    return 1 - label, label, None, None


def _tags(content: str, tags: str, where: str) -> tuple[str, ...]:
    """One for each letter, or for each word where both have blanks."""
    found = tuple(tags.split()) if " " in tags else tuple(tags)
    steps = len(content.split()) if " " in tags else len(content)
    if len(found) != steps:
        raise DataError(f"{where}: the sequence has {steps:,} steps and {len(found):,} tags")
    return found
