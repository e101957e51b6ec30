"""The cells of a table as numbers and as times; the first one that is neither is named with its row."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from unrolled.errors import DataError
from unrolled.tasks.series.blocks import Table, polars
from unrolled.tasks.series.columns import is_number
from unrolled.tasks.series.times import as_array, as_time, date_format, is_ambiguous, offset

MISSING = ("", "na", "n/a", "nan", "null", "none", "-", ".", "?")
"""What stands where a number is missing, in small letters."""
_NEAR = 60_000_000
"""Microseconds from one time to the next below which a fraction of a second matters."""
LARGEST = 1e100
"""Of a number; squares of larger ones are not finite."""


def numbers(data: str, frame: Any, name: str, row: int) -> np.ndarray:
    """A column of some rows, NaN where a number is missing.

    Arguments:
        row: the number of the first row, from 0.

    Raises:
        DataError: a cell is not a number, or one too large to reckon with.
    """
    pl = polars()
    found = frame[name].cast(pl.Float64, strict=False)
    is_text = frame[name].dtype == pl.String
    largest = found.abs().max()
    if is_text and (found.null_count() or not largest <= LARGEST):
        found = frame.select(_number(pl, name)).to_series()
    large = found.is_not_nan() & (found.abs() > LARGEST)
    if is_text:
        missing = frame[name].str.strip_chars().str.to_lowercase().is_in(MISSING)
        large = ~missing & (found.is_null() | found.is_nan() | large)
    if large.any():
        k = int(large.fill_null(False).arg_max())
        cell = str(frame[name][k]).strip()
        expected = f"a number from {-LARGEST:g} to {LARGEST:g}" if is_number(cell) else "a number"
        cell = cell if len(cell) <= 40 else cell[:40] + "..."
        raise DataError(f"{data}: row {row + k + 1:,}, column {name!r} is {cell!r}, expected {expected}")
    values: np.ndarray = found.to_numpy()
    return values


def _number(pl: Any, name: str) -> Any:
    """Text as numbers, with a point or a comma; null where there is none."""
    text = pl.col(name).str.strip_chars()
    plain = pl.when(text.str.contains(r"^[-+]?\d+,\d+$")).then(text.str.replace(",", ".")).otherwise(text)
    known = pl.when(text.str.to_lowercase().is_in(MISSING)).then(None).otherwise(plain)
    return known.cast(pl.Float64, strict=False)


def _texts(column: Any) -> list[str]:
    return [cell for cell in column.to_list() if cell is not None and cell.strip()]


class TimeColumn:
    """A column of times, written as the first rows are; whether the day comes before the month, all rows say.

    Attributes:
        dated: whether they are dates; otherwise they are numbers.
    """

    def __init__(self, table: Table, name: str) -> None:
        self._data, self._name = table.data, name
        self._cells = _texts(table.head()[name])
        self._form = (date_format(self._cells) or date_format(self._cells[:1])) if self._cells else None
        seen = dict.fromkeys(self._cells)
        for _, frame in table.blocks([name]):
            if not is_ambiguous(self._form, seen):
                break
            seen |= dict.fromkeys(_texts(frame[name].cast(polars().String).unique(maintain_order=True)))
            self._form = date_format(list(seen)) or self._form
        self.dated = self._form is not None

    def read(self, frame: Any, row: int) -> np.ndarray:
        """The times of some rows: seconds as whole numbers if they are dates, or numbers.

        Raises:
            DataError: a cell is neither.
        """
        pl = polars()
        time = as_time(pl.col(self._name).cast(pl.String), self._form)
        times = frame.select(time).to_series()
        bad = times.is_null() if self.dated else times.is_null() | ~times.is_finite()
        if bad.any():
            k = int(bad.fill_null(True).arg_max())
            cell = frame[self._name].cast(pl.String)[k]
            came = "empty" if cell is None or not cell.strip() else repr(cell[:40])
            expected = f"a date like {self._cells[0]}" if self.dated else "a date such as 2020-01-31, or a number"
            raise DataError(
                f"{self._data}: row {row + k + 1:,}, column {self._name!r} is {came}, expected {expected}"
            )
        if self.dated:
            self._check_offsets(frame[self._name], row)
            self._check_fractions(times, frame[self._name], row)
        found = as_array(times)
        return found.astype(np.int64) if self.dated else found

    def _check_offsets(self, column: Any, row: int) -> None:
        """DataError where the clocks of times differ: an hour may come twice, or be left out."""
        if column.dtype != polars().String or "%H" not in (self._form or ""):
            return
        first = offset(self._cells[0])
        pattern = r"(?:Z|[+-]00:?00)$" if first == "+0000" else rf"{re.escape(first[:3])}:?{first[3:]}$"
        same = column.str.strip_chars().str.contains(pattern if first else r"(?:Z|\d[+-]\d\d:?\d\d)$")
        if not first:
            same = ~same
        if not same.all():
            k = int((~same).fill_null(True).arg_max())
            raise DataError(
                f"{self._data}: row {row + k + 1:,}, column {self._name!r} is {column[k][:40]!r}, whose clock is "
                f"another than that of {self._cells[0]!r}: write all times in UTC"
            )

    def _check_fractions(self, times: Any, column: Any, row: int) -> None:
        """DataError where whole seconds, which are what is kept, would move times that are near one another."""
        micro = times.to_physical().to_numpy()
        parts = micro % 1_000_000 != 0
        if parts.any() and len(micro) > 1 and np.median(np.abs(np.diff(micro))) < _NEAR:
            k = int(parts.argmax())
            raise DataError(
                f"{self._data}: row {row + k + 1:,}, column {self._name!r} is {str(column[k])[:40]!r}, and seconds "
                "are not divided: give times so near one another as numbers, such as the seconds since the first"
            )
