"""All series of a file, on their clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unrolled.errors import DataError, UsageError
from unrolled.series.clock import Clock, Times, day_of_month, has_gaps, read_clock, steps_after
from unrolled.series.moments import Even
from unrolled.series.scaling import in_pieces
from unrolled.tasks.series.blocks import cells_of, separator_of
from unrolled.tasks.series.columns import Columns
from unrolled.tasks.series.options import SeriesOptions
from unrolled.tasks.series.table import Grid, SeriesTable
from unrolled.tasks.series.tsf import read_tsf

SUFFIXES = (".csv", ".parquet", ".pq", ".tsf", ".tsv")
_RECENT = 60
"""Dates that say on which day of the month they are."""


@dataclass(frozen=True)
class Series:
    """One series.

    Fields:
        moments: (T + F,) dates or numbers, one a step, and those of F steps behind the last one.
        y: (T, K), NaN where nothing was observed.
        known: (T + F, C) covariates.
    """

    name: str
    moments: Times
    y: np.ndarray
    known: np.ndarray

    @property
    def times(self) -> np.ndarray:
        """(T,) those of the steps of y."""
        times: np.ndarray = self.moments[: len(self.y)]
        return times

    @property
    def later(self) -> int:
        """F."""
        return len(self.moments) - len(self.y)

    def when(self, clock: Clock, steps: np.ndarray) -> np.ndarray:
        """The times of some steps, in any shape: those of the file, and behind its end as the clock says."""
        last = len(self.moments) - 1
        times: np.ndarray = self.moments[np.minimum(steps, last)]
        if (beyond := steps > last).any():
            day = day_of_month(self.moments[-_RECENT:]) if clock.kind == "months" else None
            times[beyond] = clock.plus(self.moments[last], steps[beyond] - last, day)
        return times

    def after(self, clock: Clock, count: int) -> np.ndarray:
        """The next so many times."""
        return self.when(clock, len(self.y) + np.arange(count))

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
    irregular: list[str] = []
    if path.suffix.lower() == ".tsf":
        given = (
            ("time", options.time),
            ("id", options.id),
            ("target", options.target),
            ("covariates", options.covariates),
        )
        if named := [name for name, value in given if value not in (None, "value", "series")]:
            raise UsageError(f"--{named[0]}: a .tsf file has no named columns: leave out --{named[0]}")
        header, lines = read_tsf(data)
        columns, clock, horizon = Columns(None, ("value",), "series"), header.clock, header.horizon
        series = [Series(one.name, one.times, one.y, np.zeros((len(one.y), 0))) for one in lines]
        if clock is None:
            clock = Clock("irregular", 1, False)
    else:
        table = SeriesTable(data, options.time, targets or options.target, options.id, options.covariates)
        columns, horizon = table.columns, None
        longest = int(np.argmax(table.counts))
        clock = Clock("irregular", 1, False) if table.times is None else read_clock(table.times[longest])
        grids = [_on_clock(table, k, clock, irregular) for k in range(len(table.names))]
        series = [
            Series(grid.name, grid.times, y, known)
            for grid, (y, known) in zip(grids, table.values(clock, grids), strict=True)
        ]
        if columns.covariates:
            series = [_cut(one) for one in series]
    missing = sum(int(np.isnan(some).any(1).sum()) for one in series for some in in_pieces(one.y))
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
    from unrolled.tasks.series.columns import is_number

    if len(lines) < 3:
        return False
    separator = separator_of("\n".join(lines))
    rows = list(cells_of(lines, separator))[1:]
    width = len(rows[0]) if rows else 0
    even = sum(len(row) == width for row in rows)
    if not width or even < 0.9 * len(rows):
        return False
    columns = zip(*(row for row in rows if len(row) == width), strict=True)
    return any(sum(map(is_number, cells)) > 0.5 * len(cells) for cells in columns)


def _on_clock(table: SeriesTable, k: int, clock: Clock, irregular: list[str]) -> Grid:
    """A series with one step for each one of its clock."""
    name, count = table.names[k], int(table.counts[k])
    if table.times is None:
        return Grid(name, Even(clock, 1.0, count))
    times = table.times[k]
    own = clock if count < 2 else read_clock(times)
    same = own.kind == clock.kind and own.step % clock.step == 0 if clock.step else False
    if clock.kind == "irregular" or (not same and count > 1):
        irregular.append(name)
    if not same or not has_gaps(clock, times):
        return Grid(name, times)
    first = times[0]
    day = day_of_month(times[-_RECENT:]) if clock.kind == "months" else None
    return Grid(name, Even(clock, first, int(steps_after(clock, first, times[-1:])[0]) + 1, day), first)


def _cut(one: Series) -> Series:
    """The same, with the rows at its end that have no target as steps to come."""
    steps = len(one.y)
    while steps and np.isnan(one.y[steps - 1]).all():
        steps -= 1
    return Series(one.name, one.moments, one.y[:steps], one.known)


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
