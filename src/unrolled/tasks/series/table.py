"""Series from CSV and Parquet files, of which only the columns that are needed are read, in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unrolled.errors import DataError
from unrolled.series.clock import Clock, Times, label, steps_after
from unrolled.series.moments import Stamps
from unrolled.tasks.series.blocks import open_table, polars
from unrolled.tasks.series.cells import NumberColumn, TimeColumn
from unrolled.tasks.series.columns import choose


@dataclass(frozen=True)
class Grid:
    """One series on its clock.

    Fields:
        name: what its id column says; empty where there is none.
        times: (steps,).
        first: where rows are missing, the time of the first one; the clock says which step each row is. Else None,
            and the rows are the steps.
    """

    name: str
    times: Times
    first: Any = None


class SeriesTable:
    """The series of a CSV or Parquet file, which is read three times: for their names, the times and the numbers.

    So no more is kept than the numbers, and about a byte for each time.

    Arguments:
        time, target, id, covariates: the columns, as the person names them; see `choose`.

    Attributes:
        columns: which ones are read. names: of the series, in the order of the file; empty where it has one.
        counts: (series,) rows of each.
        times: of each series, increasing; None where the file has none.

    Raises:
        UsageError: a column is not there. DataError: the file is no table, or a cell or a time cannot be used.
    """

    def __init__(
        self,
        data: str,
        time: str | None,
        target: str | Sequence[str] | None,
        id: str | None,
        covariates: str | None = None,
    ) -> None:
        self._table = open_table(data)
        self.columns = choose(data, self._table.head(), time, target, id, covariates)
        self._numbers: dict[str, int] = {}
        self.counts = self._counted()
        if not self.counts.sum():
            raise DataError(f"{data} has no rows")
        self.names = list(self._numbers) if self.columns.id is not None else [""]
        self.times = None if self.columns.time is None else self._read_times(self.columns.time)

    def values(self, clock: Clock, grids: Sequence[Grid]) -> list[tuple[np.ndarray, np.ndarray]]:
        """The targets (steps, K) of each series, NaN where one is missing, and its covariates (steps, C)."""
        K, columns = len(self.columns.targets), [*self.columns.targets, *self.columns.covariates]
        begin = np.concatenate([[0], np.cumsum([len(grid.times) for grid in grids])])
        y = np.full((begin[-1], K), np.nan)
        known = np.full((begin[-1], len(columns) - K), np.nan)
        seen, gapped = False, np.array([grid.first is not None for grid in grids])
        read = [NumberColumn(self._table, name) for name in columns]
        for found, frame in self._blocks(columns):
            at = begin[found.own] + found.rank
            for j in np.flatnonzero(gapped[found.heads]):
                assert self.times is not None
                n, some = int(found.heads[j]), slice(found.begin[j], found.begin[j + 1])
                times = self.times[n][found.rank[some][0] : found.rank[some][-1] + 1]
                at[some] = begin[n] + steps_after(clock, grids[n].first, times)
            for k, name in enumerate(columns):
                cells = read[k].read(frame, found.row)[found.rows]
                if k < K:
                    y[at, k], seen = cells, seen or not np.isnan(cells).all()
                    continue
                if (empty := np.isnan(cells)).any():
                    row = found.row + int(found.rows[empty].min())
                    raise DataError(
                        f"{self._table.data}: row {row + 1:,}, column {name!r} is empty: a covariate has a value in "
                        "each row"
                    )
                known[at, k - K] = cells
        for column in read:
            column.check()
        if not seen:
            raise DataError(f"{self._table.data}: column {self.columns.targets[0]!r} has no number")
        made = []
        for grid, low, high in zip(grids, begin, begin[1:], strict=False):
            own = known[low:high]
            if grid.first is not None and own.shape[1]:
                there = np.where(np.isnan(own[:, 0]), 0, np.arange(len(own)))
                own[:] = own[np.maximum.accumulate(there)]  # the last one, where rows are missing
            made.append((y[low:high], own))
        return made

    def _counted(self) -> np.ndarray:
        """The rows of each series, whose names get their numbers."""
        counts = np.zeros(1, dtype=np.int64)
        for row, frame in self._table.blocks([self.columns.id or self.columns.targets[0]]):
            if self.columns.id is None:
                counts[0] += len(frame)
                continue
            more = np.bincount(self._own(row, frame), minlength=len(counts))
            more[: len(counts)] += counts
            counts = more
        return counts

    def _own(self, row: int, frame: Any) -> np.ndarray:
        """The number of the series of each row."""
        if self.columns.id is None:
            return np.zeros(len(frame), dtype=np.int64)
        names = frame[self.columns.id].cast(polars().String)
        if names.null_count():
            k = int(names.is_null().arg_max())
            raise DataError(f"{self._table.data}: row {row + k + 1:,} has no {self.columns.id}")
        different = names.unique(maintain_order=True)
        own = [self._numbers.setdefault(name, len(self._numbers)) for name in different.to_list()]
        found: np.ndarray = names.replace_strict(different, own, return_dtype=polars().Int64).to_numpy()
        return found

    def _blocks(self, columns: Sequence[str]) -> Iterator[tuple[Found, Any]]:
        """Some columns, in blocks: whose rows they are, and a frame."""
        done = np.zeros(len(self.counts), dtype=np.int64)
        wanted = dict.fromkeys([*columns, *([] if self.columns.id is None else [self.columns.id])])
        for row, frame in self._table.blocks(list(wanted)):
            own = self._own(row, frame)
            if len(self._numbers) > len(done):
                break
            found = located(own, done, row)
            if (done > self.counts).any():
                break
            yield found, frame
        if (done != self.counts).any():
            raise DataError(f"{self._table.data} has changed while it was read")

    def _read_times(self, name: str) -> list[Times]:
        column = TimeColumn(self._table, name)
        stamps = Stamps(self.counts, column.dated)
        last = np.zeros(len(self.counts), dtype=np.int64 if column.dated else np.float64)
        for found, frame in self._blocks([name]):
            times = column.read(frame, found.row)[found.rows]
            before = np.concatenate([times[:1], times[:-1]])
            before[found.begin[:-1]] = last[found.heads]
            gaps = times - before
            if (bad := (gaps <= 0) & (found.rank > 0)).any():
                k = np.flatnonzero(bad)[np.argmin(found.rows[bad])]
                pair = np.array([before[k], times[k]])
                pair = pair.astype("datetime64[s]") if column.dated else pair
                raise self._unordered(found.row + int(found.rows[k]), pair, self.names[found.own[k]])
            last[found.heads] = times[found.begin[1:] - 1]
            stamps.add(found.own, found.rank, times, gaps)
        return [stamps.of(k) for k in range(len(self.counts))]

    def _unordered(self, row: int, times: np.ndarray, name: str) -> DataError:
        """Of a row whose time is not behind that of the row above."""
        before, now = label(times[0]), label(times[1])
        where = f"{self._table.data}: row {row + 1:,}" + (f" of {self.columns.id} {name!r}" if name else "")
        if times[0] != times[1]:
            return DataError(f"{where} has the time {now}, before {before} in the row above: sort by time")
        advice = (
            ""
            if self.columns.id
            else "; where the file has several series, name the column that tells them apart: --id"
        )
        return DataError(f"{where} has the time {now} a second time{advice}")


@dataclass(frozen=True)
class Found:
    """Whose the rows of a block are.

    Fields:
        row: the number of its first row.
        rows: the places of the rows in the block, series by series.
        own, rank: the series of each of them, and how many rows it has before.
        heads: the series in the block; begin: (heads + 1,) where the rows of each of them begin.
    """

    row: int
    rows: np.ndarray
    own: np.ndarray
    rank: np.ndarray
    heads: np.ndarray
    begin: np.ndarray


def located(own: np.ndarray, done: np.ndarray, row: int) -> Found:
    """Sort the rows of a block by their series.

    Arguments:
        own: the series of each row. done: how many rows of each came before; counted on.

    >>> found = located(np.array([1, 0, 1]), np.array([0, 5]), 0)
    >>> found.own.tolist(), found.rank.tolist(), found.rows.tolist()
    ([0, 1, 1], [0, 5, 6], [1, 0, 2])
    """
    rows = np.argsort(own, kind="stable")
    own = own[rows]
    begin = np.concatenate([[0], np.flatnonzero(np.diff(own)) + 1, [len(own)]])
    heads, sizes = own[begin[:-1]], np.diff(begin)
    rank = np.arange(len(own)) + np.repeat(done[heads] - begin[:-1], sizes)
    done[heads] += sizes
    return Found(row, rows, own, rank, heads, begin)
