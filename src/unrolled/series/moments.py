"""The times of long series, in a byte or so a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from unrolled.series.clock import Clock, Times

_EVERY = 4_096
"""Steps from one time that is kept as it is to the next."""


class Even:
    """The times that a clock shows; ``day`` is that of `Clock.plus`.

    >>> Even(Clock("months", 1, True), np.datetime64("2020-01-31T00:00:00"), 3)[1:].astype("datetime64[D]").tolist()
    [datetime.date(2020, 2, 29), datetime.date(2020, 3, 31)]
    """

    def __init__(self, clock: Clock, first: Any, count: int, day: int | None = None) -> None:
        self._clock, self._first, self._count, self._day = clock, first, count, day

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return self._clock.plus(self._first, np.arange(*at.indices(self._count)), self._day)
        steps = np.asarray(at)
        return self._clock.plus(self._first, np.where(steps < 0, steps + self._count, steps), self._day)


class Gapped:
    """Times with any gaps between them: dates, or whole numbers.

    Arguments:
        first: the first one, in seconds if it is a date.
        gaps: (T,) the distance of each time from the one before, or its place in ``table``; that of the first time
            is not read.
        table: the distances; None where ``gaps`` has them.

    >>> times = Gapped(10, np.array([0, 1, 0, 1], dtype=np.uint8), np.array([5, 60]), dated=False)
    >>> times[:].tolist(), float(times[-1]), times[np.array([0, 2])].tolist()
    ([10.0, 70.0, 75.0, 135.0], 135.0, [10.0, 75.0])
    """

    def __init__(self, first: int, gaps: np.ndarray, table: np.ndarray | None, dated: bool) -> None:
        self._gaps, self._table, self._dated = gaps, table, dated
        kept = [first]
        for begin in range(0, len(gaps) - _EVERY, _EVERY):
            kept.append(kept[-1] + int(self._distances(begin + 1, begin + _EVERY + 1).sum()))
        self._kept = np.array(kept, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._gaps)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            begin, end, step = at.indices(len(self))
            return self._between(begin, end)[::step]
        steps = np.asarray(at)
        steps = np.where(steps < 0, steps + len(self), steps)
        if not steps.size:
            return self._between(0, 0)
        low = int(steps.min())
        return self._between(low, int(steps.max()) + 1)[steps - low]

    def _between(self, begin: int, end: int) -> np.ndarray:
        k = min(begin // _EVERY, len(self._kept) - 1)
        found = np.empty(max(end - k * _EVERY, 1), dtype=np.int64)
        found[0] = self._kept[k] if len(self) else 0
        np.cumsum(self._distances(k * _EVERY + 1, end), out=found[1:])
        found[1:] += found[0]
        found = found[begin - k * _EVERY : max(end, begin) - k * _EVERY]
        return found.astype("datetime64[s]") if self._dated else found.astype(np.float64)

    def _distances(self, begin: int, end: int) -> np.ndarray:
        some = self._gaps[begin : max(begin, end)]
        return some.astype(np.int64) if self._table is None else self._table[some]


class Stamps:
    """The times of many series, as they are read: a few rows of some of the series at a time.

    Arguments:
        counts: (series,) how many rows each has.
    """

    def __init__(self, counts: np.ndarray, dated: bool) -> None:
        self._counts, self._dated = counts, dated
        self._begin = np.concatenate([[0], np.cumsum(counts)])
        self._gaps = np.zeros(self._begin[-1], dtype=np.uint8)
        self._table: np.ndarray | None = np.zeros(0, dtype=np.int64)
        self._first = np.zeros(len(counts), dtype=np.int64)
        self._plain: np.ndarray | None = None

    def add(self, own: np.ndarray, rank: np.ndarray, times: np.ndarray, gaps: np.ndarray) -> None:
        """Take the times of some rows.

        Arguments:
            own, rank: the series of each row, and how many rows it has before this one; rows of a series in order.
            times: dates in seconds, or numbers; gaps: each less the one before it.
        """
        at = self._begin[own] + rank
        if self._plain is None and times.dtype.kind == "f":
            if (np.floor(times) == times).all() and np.abs(times).max(initial=0) < 2**53:
                times, gaps = times.astype(np.int64), np.where(rank > 0, gaps, 0).astype(np.int64)
            else:  # sums of such gaps would not be these times
                self._plain = self._unfolded()
        if self._plain is not None:
            self._plain[at] = times
            return
        starts = rank == 0
        self._first[own[starts]] = times[starts]
        gaps = np.where(starts, 0, gaps)
        if self._table is not None:
            values, which = np.unique(gaps, return_inverse=True)
            self._table = np.concatenate([self._table, values[~np.isin(values, self._table)]])
            if len(self._table) <= 256:
                order = np.argsort(self._table)
                self._gaps[at] = order[np.searchsorted(self._table, values, sorter=order)][which]
                return
            self._gaps, self._table = self._table[self._gaps], None
            self._gaps = self._gaps.astype(np.min_scalar_type(self._gaps.max()))
        wide = np.result_type(self._gaps.dtype, np.min_scalar_type(gaps.max()))
        self._gaps = self._gaps.astype(wide, copy=False)
        self._gaps[at] = gaps

    def of(self, k: int) -> Times:
        """The times of one series, when all have been read."""
        rows = slice(self._begin[k], self._begin[k + 1])
        if self._plain is not None:
            return self._plain[rows]
        return Gapped(int(self._first[k]), self._gaps[rows], self._table, self._dated)

    def _unfolded(self) -> np.ndarray:
        """All times so far, one by one."""
        plain = np.empty(len(self._gaps))
        if self._table is not None and not len(self._table):  # none so far
            return plain
        for k in range(len(self._counts)):
            plain[self._begin[k] : self._begin[k + 1]] = self.of(k)[:]
        return plain
