"""Tables of a sequence and a label in each row: CSV, tabs, and the UCI form of label, name and sequence."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from unrolled.errors import DataError, UsageError
from unrolled.tasks.classify.fasta import is_pattern
from unrolled.tasks.classify.records import Record, composed
from unrolled.tasks.tabbed import tabbed
from unrolled.wording import counted

SUFFIXES = (".csv", ".tsv", ".data")
SEQUENCES = ("sequence", "seq", "text", "sentence", "document", "dna", "protein", "peptide", "review")
LABELS = ("label", "class", "target", "category", "y", "sentiment")
TAGS = ("tags", "labels", "structure")
NAMES = ("name", "id")
_LOOKED_AT = 1000


class _Columns(NamedTuple):
    """The places of what a row may have."""

    sequence: int
    label: int | None = None
    tags: int | None = None
    name: int | None = None


def read_table(
    path: Path, sequence: str | None = None, label: str | None = None, is_own: bool = True
) -> Iterator[Record]:
    """The rows of a file.

    The columns are found by the names given, by usual names in the first row (sequence or text; label or class; tags
    for one label a step), or, without such a row, by what they hold: of three columns the first is the label and the
    last the sequence; of two, the one with fewer different values is the label. Between tabs, a row is a line, and
    quotes are part of a text unless they stand around all of it.

    Arguments:
        is_own: the names were given for this file. In others a sequence may have a usual name, and a label that is
            missing, or a pattern for headers, is none.

    Raises:
        UsageError: there is no column of that name. DataError: it is no such table, or a row lacks something.
    """
    with _long_cells(), open(path, encoding="utf-8-sig", newline="") as file:
        delimiter = _delimiter(path)
        rows = _rows(file, delimiter, path)
        first = list(islice(rows, _LOOKED_AT))
        if not first:
            raise DataError(f"{path} is empty")
        columns = _by_name(path, first[0][1], sequence, label, is_own)
        if columns is None:
            columns = _by_content(path, [cells for _, cells in first])
            records = chain(first, rows)
        else:
            records = chain(first[1:], rows)
        count, width = 0, len(first[0][1])
        for line, cells in records:
            where = f"{path}, line {line}"
            _check_width(cells, width, delimiter, where)
            yield _record(columns, cells, f"line {line}", where)
            count += 1
        if not count:
            raise DataError(f"{path} has no rows")


def _check_width(cells: Sequence[str], width: int, delimiter: str, where: str) -> None:
    """DataError where a row has other cells than the first one; blank ones behind them do not count."""
    if len(cells) == width or (len(cells) > width and not any(cell.strip() for cell in cells[width:])):
        return
    advice = ""
    if delimiter == "\t":
        advice = ": between tabs, a text can have neither tabs nor line breaks"
    elif len(cells) > width:
        advice = ": a text with one of the separators in it needs quotes"
    raise DataError(f"{where}: has {counted(len(cells), 'cells')}, expected {width}{advice}")


def _record(columns: _Columns, cells: Sequence[str], name: str, where: str) -> Record:
    content, label, tags, named = (None if k is None else cells[k].strip() for k in columns)
    if not content:
        raise DataError(f"{where}: the sequence is empty")
    found = None if tags is None else _tags(content, tags, where)
    return Record(name if named is None else named, content, label or None, where, found)


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
        with _long_cells(), open(path, encoding="utf-8-sig", newline="") as file:
            rows = [cells for _, cells in islice(_rows(file, _delimiter(path), path), 20)]
    except (OSError, UnicodeDecodeError, DataError):
        return False
    if len(rows) < 2:
        return False
    names = [cell.strip().lower() for cell in rows[0]]
    at = _place(SEQUENCES, names)
    if at is not None and {*names} & {*LABELS, *TAGS}:
        some = [cells[at] for cells in rows[1:] if at < len(cells)]
        return not all(map(_is_number, some))  # as in a column protein of what somebody ate
    letters = all(len(cells) == 3 and cells[2].strip().isalpha() and len(cells[2]) > 9 for cells in rows)
    return path.suffix.lower() == ".data" and letters


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _rows(file: Iterable[str], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with their line's number."""
    lines = map(composed, file)
    rows = tabbed(lines) if delimiter == "\t" else _quoted(lines, delimiter, path)
    return ((line, cells) for line, cells in rows if any(cell.strip() for cell in cells))


def _quoted(lines: Iterable[str], delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows whose cells may stand in quotes, with a delimiter or several lines in them."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    last = 0
    try:
        for cells in reader:
            last = reader.line_num
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
    path: Path, head: Sequence[str], sequence: str | None, label: str | None, is_own: bool
) -> _Columns | None:
    """The columns by the first row; None where it does not name them."""
    names = [cell.strip().lower() for cell in head]
    at, of = (_place([composed(given).lower()], names) if given is not None else None for given in (sequence, label))
    for option, given, found in (("--sequence", sequence, at), ("--label", label, of)):
        if is_own and given is not None and found is None:
            shown = ", ".join(cell.strip()[:20] for cell in head[:8])
            raise UsageError(f"{option}: {path} has no column {given!r} in its first row: {shown}")
    is_named = label is not None and (is_own or not is_pattern(label))
    at = _place(SEQUENCES, names) if at is None else at
    of = _place(LABELS, names) if of is None and not is_named else of
    tags = _place(TAGS, names) if of is None and label is None else None
    beside = of if of is not None else tags
    if at is None and beside is not None and len(names) == 2:
        at = 1 - beside
    if at is not None:
        return _Columns(at, of, tags, _place(NAMES, names))
    if is_own and is_named:
        raise UsageError(f"--sequence: name the column of the sequence in {path}")
    if sequence is not None or is_named:
        raise DataError(f"{path} has no column called {sequence or 'sequence'} in its first row: name one so there")
    return None


def _place(wanted: Sequence[str], names: Sequence[str]) -> int | None:
    """Where the first of the names that is there stands."""
    return next((names.index(name) for name in wanted if name in names), None)


def _by_content(path: Path, rows: list[list[str]]) -> _Columns:
    """The same for a table without names."""
    width = min(map(len, rows))
    if width == 1:
        return _Columns(0)
    if width > 3:
        raise DataError(
            f"{path} has {width} columns and no row of names such as sequence,label: name them with --sequence "
            "and --label"
        )
    if width == 3:
        return _Columns(2, label=0, name=1)
    distinct = [len({cells[k].strip() for cells in rows}) for k in range(2)]
    size = [sum(len(cells[k]) for cells in rows) for k in range(2)]
    label = 0 if (distinct[0], size[0]) <= (distinct[1], size[1]) else 1
    return _Columns(1 - label, label=label)


def _tags(content: str, tags: str, where: str) -> tuple[str, ...]:
    """One for each letter, or for each word where both have blanks."""
    found = tuple(tags.split()) if " " in tags else tuple(tags)
    steps = len(content.split()) if " " in tags else len(content)
    if len(found) != steps:
        raise DataError(f"{where}: the sequence has {steps:,} steps and {len(found):,} tags")
    return found
