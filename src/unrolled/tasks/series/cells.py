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
_MARKS = {",": r"\d,\d", ".": r"\d\.|\.\d"}
"""How a decimal mark is told from a comma or a point that stands for something else."""
_GROUPED, _SHORT = r"^[-+]?[1-9]\d{0,2}[.,]\d{3}$", r"^[-+]?\d{1,3}$"
"""Numbers as they are where thousands are separated."""


class NumberColumn:
    """A column of numbers, with a decimal point or a decimal comma, but not with both.

    Whether ``1,020`` is 1.02 or 1020, the other cells say. In text, it is refused where every number may have its
    thousands separated, and some have fewer than four digits; a comma in a file of commas is refused even without
    them.
    """

    def __init__(self, table: Table, name: str) -> None:
        self._data, self._name, self._separator = table.data, name, table.separator
        self._marked: dict[str, tuple[int, str]] = {}  # the row and the cell that has it first
        self._grouped, self._short = True, False

    def read(self, frame: Any, row: int) -> np.ndarray:
        """The numbers of some rows, NaN where one is missing; all rows are read in their order, then `check`.

        Arguments:
            row: the number of the first row, from 0.

        Raises:
            DataError: a cell is not a number, or one too large to reckon with, or has the other decimal mark.
        """
        pl = polars()
        cells = frame[self._name]
        found = cells.cast(pl.Float64, strict=False)
        is_text = cells.dtype == pl.String
        largest = found.abs().max()
        has_others = bool(is_text and (found.null_count() or not largest <= LARGEST))
        if has_others:
            found = frame.select(_number(pl, self._name)).to_series()
        large = found.is_not_nan() & (found.abs() > LARGEST)
        if is_text:
            missing = cells.str.strip_chars().str.to_lowercase().is_in(MISSING)
            large = ~missing & (found.is_null() | found.is_nan() | large)
        if large.any():
            k = int(large.fill_null(False).arg_max())
            cell = str(cells[k]).strip()
            expected = f"a number from {-LARGEST:g} to {LARGEST:g}" if is_number(cell) else "a number"
            cell = cell if len(cell) <= 40 else cell[:40] + "..."
            raise DataError(f"{self._where(row + k)} is {cell!r}, expected {expected}")
        if is_text:
            self._look(cells.str.strip_chars(), row, has_others)
        values: np.ndarray = found.to_numpy()
        return values

    def _look(self, cells: Any, row: int, has_commas: bool) -> None:
        """See which decimal mark the cells have, and whether their thousands may be separated."""
        for mark, pattern in _MARKS.items():
            if mark in self._marked or (mark == "," and not has_commas):
                continue
            if (some := cells.str.contains(pattern)).any():
                k = int(some.fill_null(False).arg_max())
                self._marked[mark] = row + k, cells[k]
        if len(self._marked) > 1:
            (_, first), (at, second) = sorted(self._marked.values())
            raise DataError(
                f"{self._where(at)} is {second!r}, and another row has {first!r}: write all numbers with the same "
                "decimal mark, and without separators of thousands"
            )
        if self._grouped and (has_commas or self._separator != ","):
            short = cells.str.contains(_SHORT)
            others = cells.str.to_lowercase().is_in(MISSING)
            self._short = self._short or bool(short.any())
            self._grouped = bool((short | others | cells.str.contains(_GROUPED)).all())

    def check(self) -> None:
        """DataError where the numbers may have separators of thousands."""
        if not self._marked or not self._grouped:
            return
        ((mark, (row, cell)),) = self._marked.items()
        is_doubtful = mark == "," if self._separator == "," else self._short
        if is_doubtful:
            small, large = cell.replace(",", "."), re.sub("[.,]", "", cell)
            raise DataError(
                f"{self._where(row)} is {cell!r}, which may be {float(small):g} or {large}: write numbers without "
                "separators of thousands"
            )

    def _where(self, row: int) -> str:
        return f"{self._data}: row {row + 1:,}, column {self._name!r}"


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
