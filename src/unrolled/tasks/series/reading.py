"""All series of a file, on their clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unrolled.errors import DataError, UsageError
from unrolled.series.clock import Clock, positions, read_clock
from unrolled.tasks.series.columns import Columns
from unrolled.tasks.series.options import SeriesOptions
from unrolled.tasks.series.table import Rows, read_table
from unrolled.tasks.series.tsf import read_tsf

SUFFIXES = (".csv", ".parquet", ".pq", ".tsf", ".tsv")


@dataclass(frozen=True)
class Series:
    """One series.

    Fields:
        times: (T,) dates or numbers, one a step.
        y: (T, K), NaN where nothing was observed.
        known: (T + F, C) covariates; of F steps behind the last one, whose times are ``later`` (F,).
    """

    name: str
    times: np.ndarray
    y: np.ndarray
    known: np.ndarray
    later: np.ndarray

    def after(self, clock: Clock, count: int) -> np.ndarray:
        """The next so many times: those of the file, and then as the clock says."""
        times = self.later[:count]
        rest = clock.after([*self.times, *times][-1], count - len(times))
        return np.concatenate([times, rest])

    @property
    def label(self) -> str:
        """Its name in a sentence."""
        return f"series {self.name!r}" if self.name else "the series"


@dataclass(frozen=True)
class Source:
    """What a file has.

    Fields:
        clock: of the longest series.
        horizon: what the file says of itself, if it does.
        missing: steps that the clock has and the file has not, or that have no number.
        irregular: the names of series whose steps are their rows since they have no even steps.
    """

    series: list[Series]
    clock: Clock
    columns: Columns
    horizon: int | None = None
    missing: int = 0
    irregular: list[str] = field(default_factory=list)


def read_series(data: str, options: SeriesOptions, targets: Sequence[str] = ()) -> Source:
    """All series of a CSV, Parquet or .tsf file.

    Arguments:
        targets: the columns that a run forecasts; none for those of the options.

    Raises:
        UsageError: there is no such file or column. DataError: it cannot be used.
    """
    path = Path(data)
    if not path.exists():
        raise UsageError(f"there is no file {data}")
    if path.is_dir():
        raise UsageError(f"{data} is a folder: name a CSV, Parquet or .tsf file")
    if path.suffix.lower() == ".tsf":
        header, rows = read_tsf(data)
        columns, clock, horizon = Columns(None, ("value",), "series"), header.clock, header.horizon
        given = (
            ("time", options.time),
            ("id", options.id),
            ("target", options.target),
            ("covariates", options.covariates),
        )
        if named := [name for name, value in given if value not in (None, "value", "series")]:
            raise UsageError(f"--{named[0]}: a .tsf file has no named columns: leave out --{named[0]}")
    else:
        columns, rows = read_table(data, options.time, targets or options.target, options.id, options.covariates)
        clock = horizon = None
    longest = max(rows, key=lambda one: len(one.values))
    if clock is None:
        clock = Clock("irregular", 1, False) if longest.times is None else read_clock(longest.times)
    irregular: list[str] = []
    series = [_on_clock(one, clock, irregular) for one in rows]
    if columns.covariates:
        series = [_cut(one) for one in series]
    missing = sum(int(np.isnan(one.y).any(1).sum()) for one in series)
    if longest.times is None:
        irregular = []
    return Source(series, clock, columns, horizon, missing, irregular)


def looks_like_series(path: Path) -> bool:
    """Whether a file is a table that has numbers to forecast, as far as its first rows say."""
    suffix = path.suffix.lower()
    if not path.is_file() or suffix not in SUFFIXES:
        return False
    if suffix == ".tsf":
        return True
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 16)
    except OSError:
        return False
    if suffix in (".parquet", ".pq"):
        return head[:4] == b"PAR1"
    try:
        lines = head.decode("utf-8-sig", "strict").splitlines()[:50]
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        lines = head[: error.start].decode("utf-8-sig").splitlines()[:50]
    return _has_numbers(lines[:-1] if len(lines) == 50 else lines)


def _has_numbers(lines: list[str]) -> bool:
    """Whether most rows of one column, behind the titles, are numbers."""
    import csv

    from unrolled.tasks.series.columns import is_number

    if len(lines) < 3:
        return False
    separator = max(",;\t|", key=lambda c: min(line.count(c) for line in lines if line.strip()))
    rows = [row for row in csv.reader(lines[1:], delimiter=separator) if row]
    width = len(rows[0]) if rows else 0
    even = sum(len(row) == width for row in rows)
    if not width or even < 0.9 * len(rows):
        return False
    columns = zip(*(row for row in rows if len(row) == width), strict=True)
    return any(sum(map(is_number, cells)) > 0.5 * len(cells) for cells in columns)


def _on_clock(one: Rows, clock: Clock, irregular: list[str]) -> Series:
    """A series with one row for each step of its clock."""
    count = len(one.values)
    if one.times is None:
        return _observed(one, np.arange(1.0, count + 1))
    own = clock if count < 2 else read_clock(one.times)
    same = own.kind == clock.kind and own.step % clock.step == 0 if clock.step else False
    place = positions(clock, one.times) if same or count < 2 else np.arange(count)
    if clock.kind == "irregular" or (not same and count > 1):
        irregular.append(one.name)
    if place[-1] + 1 == count:
        return _observed(one, one.times)
    y = np.full((int(place[-1]) + 1, one.values.shape[1]), np.nan)
    y[place] = one.values
    known = one.known[
        np.searchsorted(place, np.arange(len(y)), side="right") - 1
    ]  # the last one, where rows are missing
    times = np.concatenate([one.times[:1], clock.after(one.times[0], len(y) - 1)])
    return Series(one.name, times, y, known, times[:0])


def _observed(one: Rows, times: np.ndarray) -> Series:
    return Series(one.name, times, one.values, one.known, times[:0])


def _cut(one: Series) -> Series:
    """The same, with the rows at its end that have no target as steps to come."""
    seen = np.flatnonzero(~np.isnan(one.y).all(1))
    steps = int(seen[-1]) + 1 if len(seen) else 0
    return Series(one.name, one.times[:steps], one.y[:steps], one.known, one.times[steps:])


def check_long_enough(source: Source, fewest: int, data: str) -> tuple[list[Series], list[str]]:
    """The series with so many steps, and the names of the others.

    Raises:
        DataError: there is none.
    """
    enough = [one for one in source.series if len(one.y) >= fewest]
    short = [one.name for one in source.series if len(one.y) < fewest]
    if not enough:
        most = max(len(one.y) for one in source.series)
        which = "the longest series" if len(source.series) > 1 else "the series"
        raise DataError(
            f"{data}: {which} has {most:,} steps, and this needs at least {fewest:,}: a context, and a horizon in "
            "each of training, validation and test; choose a smaller --horizon"
        )
    return enough, short
