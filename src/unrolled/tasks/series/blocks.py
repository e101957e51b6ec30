"""Tables in blocks of rows, so that a file may be larger than memory."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from unrolled.errors import DataError
from unrolled.tasks.extras import needed
from unrolled.tasks.series.columns import is_number
from unrolled.wording import counted

_BLOCK = 1 << 20
"""Bytes of a CSV file that are parsed at once."""
_ROWS = 1 << 17
"""Rows of a Parquet file that are read at once."""
_QUOTED = r'^"(?:[^"]|"")*"$'
"""A cell with quotes around it."""
_HEAD, _LONGEST = 500, 1 << 20
"""Rows at the beginning; bytes of a row."""


def polars() -> Any:
    """The library that reads tables; UsageError where it is not installed."""
    return needed("polars", "tables")


class Table(Protocol):
    """A table that is read from its file each time it is asked for rows.

    Attributes:
        data: the file. separator: what separates its cells; empty where nothing does.
    """

    data: str
    separator: str

    def head(self) -> Any:
        """Its first rows, as text."""

    def is_text(self, name: str) -> bool:
        """Whether a column has text, which may be numbers in letters."""

    def blocks(self, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
        """Some of its columns: the number of the first row, from 0, and a frame with this row and those behind it."""


def open_table(data: str) -> Table:
    """A CSV or Parquet file.

    Raises:
        DataError: it is no table.
    """
    return ParquetTable(data) if Path(data).suffix.lower() in (".parquet", ".pq") else CsvTable(data)


class ParquetTable:
    """See `Table`."""

    separator = ""

    def __init__(self, data: str) -> None:
        self.data = data
        with _as_table(data):
            self._rows = polars().scan_parquet(data)
            self._schema = self._rows.collect_schema()

    def head(self) -> Any:
        with _as_table(self.data):
            some = self._rows.head(_HEAD).collect()
            return some.with_columns(_in_utc(self._schema, some.columns)).cast(polars().String)

    def is_text(self, name: str) -> bool:
        return bool(self._schema[name] == polars().String)

    def blocks(self, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
        begin = 0
        while True:
            with _as_table(self.data):
                some = (
                    self._rows.select(columns)
                    .slice(begin, _ROWS)
                    .collect()
                    .with_columns(_in_utc(self._schema, columns))
                )
            if not len(some):
                return
            yield begin, some
            begin += len(some)


def _in_utc(schema: Any, columns: Sequence[str]) -> list[Any]:
    """Columns of times in a time zone, as those of UTC."""
    zoned = [name for name in columns if getattr(schema[name], "time_zone", None)]
    return [polars().col(name).dt.convert_time_zone("UTC").dt.replace_time_zone(None) for name in zoned]


class CsvTable:
    """See `Table`. Empty lines are skipped, except in a file of one column, where they are cells without a value.

    Between tabs, a row is a line, and quotes are those of a cell only if they stand around all of it.
    """

    def __init__(self, data: str) -> None:
        self.data = data
        self.separator, titled = _layout(data)
        self._quoted = _may_quote(self.separator)
        self._form: dict[str, Any] = {"separator": self.separator, "quote_char": '"' if self._quoted else None}
        first = next(self._pieces())
        start = len(first) - len(first.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n"))
        end = _end_of_first_row(first, start, self._quoted)
        with _as_table(data):
            row = polars().read_csv(first[start:end], has_header=titled, infer_schema=False, **self._form)
        names = row.columns if self._quoted else map(_unquoted, row.columns)
        self._schema = dict.fromkeys(names, polars().String)
        self._begin = end if titled else start

    def head(self) -> Any:
        some = [polars().DataFrame(schema=self._schema)]
        for begin, rows in self.blocks(list(self._schema)):
            some.append(rows)
            if begin + len(rows) >= _HEAD:
                break
        return polars().concat(some).head(_HEAD)

    def is_text(self, name: str) -> bool:
        return True

    def blocks(self, columns: Sequence[str]) -> Iterator[tuple[int, Any]]:
        names, begin = list(self._schema), 0
        wanted = [names.index(name) for name in columns]
        for number, piece in enumerate(self._pieces()):
            rows = self._whole(piece[self._begin if number == 0 else 0 :], begin)
            if not rows.strip():
                continue
            try:
                some = polars().read_csv(rows, has_header=False, schema=self._schema, columns=wanted, **self._form)
            except polars().exceptions.PolarsError as error:
                self._by_rows(rows, begin)
                raise _unreadable(self.data, error) from error
            yield begin, some.with_columns(_without_quotes()) if not self._quoted and b'"' in rows else some
            begin += len(some)

    def _pieces(self) -> Iterator[bytes]:
        """The file in pieces of whole rows; if a quote is not closed, its row and all behind it are the last one."""
        rest = b""
        with open(self.data, "rb") as file:
            while some := file.read(_BLOCK):
                rest += some
                if end := _end_of_rows(rest, self._quoted):
                    yield rest[:end]
                    rest = rest[end:]
                elif len(rest) > 2 * _LONGEST and self._quoted and _is_open(rest):
                    break
        end = _end_of_rows(rest, self._quoted)
        yield from filter(None, (rest[:end], rest[end:]))

    def _whole(self, rows: bytes, begin: int) -> bytes:
        """The rows without empty lines.

        Raises:
            DataError: a quote is not closed, or some row has too few cells. Polars finds the one with too many.
        """
        if self._quoted and _is_open(rows):
            raise DataError(f"{self.data}: row {begin + 1:,} has a quote that is not closed")
        bare = re.sub(rb'"[^"]*"', b'"', rows) if self._quoted and b'"' in rows else rows
        lines = bare.count(b"\n") + (not rows.endswith(b"\n"))
        full = bare.count(self.separator.encode()) == lines * (len(self._schema) - 1)
        return rows if full and not re.search(rb"(?:^|\n)\r?\n", bare) else self._by_rows(rows, begin)

    def _by_rows(self, rows: bytes, begin: int) -> bytes:
        """The same, row by row; DataError for the first one with too few cells or too many."""
        width, number, empty = len(self._schema), begin, False
        for row in self._rows(rows):
            number += bool(row)
            empty |= not row
            if len(row) not in (0, width):
                raise DataError(f"{self.data}: row {number:,} has {counted(len(row), 'cells')}, expected {width:,}")
        if not empty:
            return rows
        kept = io.StringIO()
        writer = csv.writer(kept, lineterminator="\n", **_dialect(self.separator))
        writer.writerows(filter(None, self._rows(rows)))
        return kept.getvalue().encode("utf-8", "surrogateescape")

    def _rows(self, rows: bytes) -> Iterator[list[str]]:
        """Their cells; none in a line that is empty."""
        text = io.StringIO(rows.decode("utf-8", "surrogateescape"), newline="")
        try:
            for row in csv.reader(text, **_dialect(self.separator)):
                if len(self._schema) == 1:
                    yield row or [""]
                else:
                    yield row if len(row) > 1 or "".join(row).strip() else []
        except csv.Error as error:
            raise DataError(f"{self.data} cannot be read as a table: {error}") from error


def _may_quote(separator: str) -> bool:
    """Whether quotes may hold what separates cells and rows."""
    return separator != "\t"


def _dialect(separator: str) -> dict[str, Any]:
    """What the csv module is to know."""
    unquoted = {"quoting": csv.QUOTE_NONE, "quotechar": None}
    return {"delimiter": separator} | ({} if _may_quote(separator) else unquoted)


def cells_of(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """The cells of each row that has any.

    >>> list(cells_of(['x\\t5" pipe', '"y"\\t6" pipe'], "\\t")), list(cells_of(['a;"b', 'c"'], ";"))
    ([['x', '5" pipe'], ['y', '6" pipe']], [['a', 'bc']])
    """
    rows = filter(None, csv.reader(lines, **_dialect(separator)))
    return rows if _may_quote(separator) else ([_unquoted(cell) for cell in row] for row in rows)


def _unquoted(cell: str) -> str:
    """A cell without the quotes around it, those in it being doubled.

    >>> _unquoted('"say ""go"" now"'), _unquoted('"go" he said "on"')
    ('say "go" now', '"go" he said "on"')
    """
    return cell[1:-1].replace('""', '"') if re.fullmatch(_QUOTED, cell) else cell


def _without_quotes() -> Any:
    """The same of all columns."""
    text = polars().all()
    inside = text.str.strip_prefix('"').str.strip_suffix('"').str.replace_all('""', '"', literal=True)
    return polars().when(text.str.contains(_QUOTED)).then(inside).otherwise(text)


def _is_open(rows: bytes, begin: int = 0, end: int | None = None) -> bool:
    """Whether they end within quotes."""
    return rows.count(b'"', begin, end) % 2 == 1


def _end_of_rows(rows: bytes, quoted: bool) -> int:
    """Where the last whole row ends; 0 if there is none."""
    end = rows.rfind(b"\n") + 1
    while quoted and end and _is_open(rows, 0, end):  # within a cell: before its quote
        end = rows.rfind(b"\n", 0, rows.rfind(b'"', 0, end)) + 1
    return end


def _end_of_first_row(rows: bytes, begin: int, quoted: bool) -> int:
    end = rows.find(b"\n", begin) + 1
    while quoted and end and _is_open(rows, begin, end):
        end = rows.find(b"\n", end) + 1
    return end or len(rows)


def separator_of(text: str) -> str:
    """What separates the cells of a CSV file that begins so; the last row may be cut off.

    >>> separator_of('day;note\\n1;"a, b\\nc, d"\\n2;"e, ')
    ';'
    """
    bare = re.sub(r'"[^"]*"', '"', text)
    if text.count('"') % 2:  # within a cell: before its row
        bare = bare[: bare.rfind("\n", 0, bare.rindex('"')) + 1] or bare
    rows = [row for row in io.StringIO(bare, newline="") if row.strip()]
    counts = {c: min((row.count(c) for row in rows), default=0) for c in (",", ";", "\t", "|")}
    lines = [line for line in text.splitlines() if line.strip()]
    counts["\t"] = max(counts["\t"], min((line.count("\t") for line in lines[:-1]), default=0))
    return max(counts, key=lambda c: counts[c])


def _layout(data: str) -> tuple[str, bool]:
    """Of a CSV file: what separates its cells, and whether its first row has titles."""
    with open(data, encoding="utf-8-sig", errors="replace", newline="") as file:
        text = "".join(islice((line[:_LONGEST] for line in file), 20))
    if not text.strip():
        raise DataError(f"{data} is empty")
    separator = separator_of(text)
    try:
        first = next(cells_of(io.StringIO(text, newline=""), separator), [])
    except csv.Error as error:
        raise DataError(f"{data} cannot be read as a table: {error}") from error
    return separator, not any(is_number(cell) for cell in first)


@contextmanager
def _as_table(data: str) -> Iterator[None]:
    """DataError where polars cannot read it."""
    try:
        yield
    except polars().exceptions.PolarsError as error:
        raise _unreadable(data, error) from error


def _unreadable(data: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split("\n\n")[0].split())[:160]
    return DataError(f"{data} cannot be read as a table: {reason}")
