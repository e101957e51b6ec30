"""Series from CSV and Parquet files, read lazily: only the columns that are needed, in pieces."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.errors import DataError
from unrolled.tasks.extras import needed
from unrolled.tasks.series.columns import Columns, choose, is_number
from unrolled.tasks.series.times import as_array, as_time, date_format

MISSING = ("", "na", "n/a", "nan", "null", "none", "-", ".", "?")
"""What stands where a number is missing, in small letters."""
_HEAD, _SAMPLE = 500, 1 << 20
LARGEST = 1e100
"""Of a number; squares of larger ones are not finite."""


@dataclass(frozen=True)
class Rows:
    """The rows of one series, as the file has them.

    Fields:
        name: what its id column says; empty where there is none.
        times: (T,) dates or numbers, increasing; None where the file has none.
        values: (T, K), NaN where one is missing.
        known: (T, C) covariates.
    """

    name: str
    times: np.ndarray | None
    values: np.ndarray
    known: np.ndarray


def polars() -> Any:
    """The library that reads tables; UsageError where it is not installed."""
    return needed("polars", "tables")


def read_table(
    data: str,
    time: str | None,
    target: str | Sequence[str] | None,
    id: str | None,
    covariates: str | None = None,
) -> tuple[Columns, list[Rows]]:
    """All series of a file, and which of its columns they are.

    Arguments:
        time, target, id, covariates: the columns, as the person names them; see `choose`.

    Raises:
        UsageError: a column is not there. DataError: the file is no table, or a cell or a time cannot be used.
    """
    pl = polars()
    lazy, head = _opened(pl, data)
    columns = choose(data, head, time, target, id, covariates)
    try:
        _check_numbers(pl, lazy, data, columns)
        wanted = [_number(pl, lazy, name).alias(f"value {k}") for k, name in enumerate(columns.targets)]
        wanted += [_number(pl, lazy, name).alias(f"known {k}") for k, name in enumerate(columns.covariates)]
        if columns.time is not None:
            wanted.append(_checked_time(pl, lazy, data, columns.time, head).alias("time"))
        if columns.id is not None:
            wanted.append(pl.col(columns.id).cast(pl.String).cast(pl.Categorical).alias("id"))
        table = lazy.select(wanted).collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        raise _unreadable(data, error) from error
    values = _numbers(table, "value", len(columns.targets))
    known = _numbers(table, "known", len(columns.covariates))
    if not len(values):
        raise DataError(f"{data} has no rows")
    if np.isnan(values).all():
        raise DataError(f"{data}: column {columns.targets[0]!r} has no number")
    if len(empty := np.argwhere(np.isnan(known))):
        row, k = empty[0]
        raise DataError(
            f"{data}: row {row + 1:,}, column {columns.covariates[k]!r} is empty: a covariate has a value in each row"
        )
    times = None if columns.time is None else as_array(table["time"])
    if columns.id is None:
        _check_order(data, times, np.arange(len(values)), columns, "")
        return columns, [Rows("", times, values, known)]
    made = []
    groups = table.select("id").with_row_index("row").group_by("id", maintain_order=True).agg("row")
    for name, rows in zip(groups["id"].to_list(), groups["row"].to_list(), strict=True):
        if name is None:
            raise DataError(f"{data}: row {rows[0] + 1:,} has no {columns.id}")
        at = np.asarray(rows)
        where = slice(at[0], at[-1] + 1) if at[-1] - at[0] + 1 == len(at) else at  # no copy of what lies together
        own = None if times is None else times[where]
        _check_order(data, own, at, columns, str(name))
        made.append(Rows(str(name), own, values[where], known[where]))
    return columns, made


def _numbers(table: Any, kind: str, count: int) -> np.ndarray:
    """Its columns of one kind, (T, count), NaN where null."""
    if not count:
        return np.zeros((len(table), 0))
    found: np.ndarray = table.select([f"{kind} {k}" for k in range(count)]).to_numpy().astype(np.float64, copy=False)
    return found


def _opened(pl: Any, data: str) -> tuple[Any, Any]:
    """The table to read later, and its first rows, as text."""
    path = Path(data)
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            lazy = pl.scan_parquet(path)
        else:
            separator, titled = _layout(path)
            lazy = pl.scan_csv(path, separator=separator, has_header=titled, infer_schema=False)
        return lazy, lazy.head(_HEAD).collect().cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise _unreadable(data, error) from error


def _layout(path: Path) -> tuple[str, bool]:
    """Of a CSV file: what separates its cells, and whether its first line has titles."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        lines = [line for line in islice((x[:_SAMPLE] for x in file), 20) if line.strip()]
    if not lines:
        raise DataError(f"{path} is empty")
    counts = {c: min(line.count(c) for line in lines) for c in (",", ";", "\t", "|")}
    separator = max(counts, key=lambda c: counts[c])
    first = next(csv.reader([lines[0]], delimiter=separator), [])
    return separator, not any(is_number(cell) for cell in first)


def _widest(path: Path) -> str:
    """The first row with more cells than the titles, in words; empty if there is none."""
    separator, titled = _layout(path)
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = (row for row in csv.reader(file, delimiter=separator) if row)
        wanted = len(next(rows))
        for number, row in enumerate(rows, 1 if titled else 2):
            if len(row) > wanted:
                return f"row {number:,} has {len(row):,} cells, expected {wanted:,}"
    return ""


def _number(pl: Any, lazy: Any, name: str) -> Any:
    """A column's numbers; null where there is none."""
    column = pl.col(name)
    if lazy.collect_schema()[name] != pl.String:
        return column.cast(pl.Float64, strict=False)
    text = column.str.strip_chars()
    plain = pl.when(text.str.contains(r"^[-+]?\d+,\d+$")).then(text.str.replace(",", ".")).otherwise(text)
    known = pl.when(text.str.to_lowercase().is_in(MISSING)).then(None).otherwise(plain)
    return known.cast(pl.Float64, strict=False)


def _check_numbers(pl: Any, lazy: Any, data: str, columns: Columns) -> None:
    """DataError for the first cell that is no number, or one that nobody can reckon with, with its row and column."""
    for name in (*columns.targets, *columns.covariates):
        number = _number(pl, lazy, name)
        text, bad = pl.col(name).cast(pl.String).str.strip_chars(), number.abs() > LARGEST
        if lazy.collect_schema()[name] == pl.String:
            bad = ~text.str.to_lowercase().is_in(MISSING) & (number.is_null() | number.is_nan() | bad)
        else:
            bad &= ~number.is_nan()
        found = lazy.select(text.alias("cell"), bad.alias("bad")).with_row_index("row").filter("bad").head(1)
        rows = found.collect(engine="streaming").rows(named=True)
        if rows:
            cell = rows[0]["cell"] if len(rows[0]["cell"]) <= 40 else rows[0]["cell"][:40] + "..."
            expected = f"a number from {-LARGEST:g} to {LARGEST:g}" if is_number(cell) else "a number"
            raise DataError(f"{data}: row {rows[0]['row'] + 1:,}, column {name!r} is {cell!r}, expected {expected}")


def _checked_time(pl: Any, lazy: Any, data: str, name: str, head: Any) -> Any:
    """A column as times; DataError for the first cell that is none, with its row."""
    cells = [cell for cell in head[name].to_list() if cell is not None and cell.strip()]
    form = (date_format(cells) or date_format(cells[:1])) if cells else None
    column = pl.col(name).cast(pl.String)
    time = as_time(column, form)
    is_bad = time.is_null() if form is not None else time.is_null() | ~time.is_finite()
    found = lazy.select(column.alias("cell"), is_bad.alias("bad")).with_row_index("row").filter("bad").head(1)
    if rows := found.collect(engine="streaming").rows(named=True):
        cell = rows[0]["cell"]
        came = "empty" if cell is None or not cell.strip() else repr(cell[:40])
        expected = "a date such as 2020-01-31, or a number" if form is None else f"a date like {cells[0]}"
        raise DataError(f"{data}: row {rows[0]['row'] + 1:,}, column {name!r} is {came}, expected {expected}")
    return time


def _check_order(data: str, times: np.ndarray | None, rows: np.ndarray, columns: Columns, name: str) -> None:
    """DataError unless the times of a series increase."""
    if times is None or len(times) < 2:
        return
    bad = np.flatnonzero(~(np.diff(times) > (np.timedelta64(0, "s") if times.dtype.kind == "M" else 0)))
    if not len(bad):
        return
    from unrolled.series.clock import label

    k = int(bad[0]) + 1
    of = f" of {columns.id} {name!r}" if columns.id else ""
    now, before = label(times[k]), label(times[k - 1])
    if times[k] == times[k - 1]:
        advice = (
            "" if columns.id else "; where the file has several series, name the column that tells them apart: --id"
        )
        raise DataError(f"{data}: row {rows[k] + 1:,}{of} has the time {now} a second time{advice}")
    raise DataError(
        f"{data}: row {rows[k] + 1:,}{of} has the time {now}, before {before} in the row above: sort by time"
    )


def _unreadable(data: str, error: Exception) -> DataError:
    if "more fields than defined" in str(error) and (found := _widest(Path(data))):
        return DataError(f"{data}: {found}")
    reason = " ".join(str(error).split("\n\n")[0].split())[:160]
    return DataError(f"{data} cannot be read as a table: {reason}")
