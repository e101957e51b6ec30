"""Times as people write them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from unrolled.errors import DataError

_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y%m%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")
_FORMATS = ("%Y-%m", *(day + clock for day in _DAYS for clock in _CLOCKS))


def date_format(cells: Sequence[str]) -> str | None:
    """The first way of writing dates that fits all cells, and in which they increase if any does; None for numbers.

    >>> date_format(["13/02/2020", "14/02/2020"]), date_format(["2020-01-01T06:00:00Z"]), date_format(["1700"])
    ('%d/%m/%Y', '%Y-%m-%d %H:%M:%S', None)
    """
    fitting = []
    for form in _FORMATS:
        try:
            times = [datetime.strptime(plain(cell), form) for cell in cells]
        except ValueError:
            continue
        if form == "%Y%m%d" and not all(len(cell.strip()) == 8 for cell in cells):
            continue
        fitting.append(form)
        if all(a <= b for a, b in zip(times, times[1:], strict=False)):
            return form
    return fitting[0] if fitting else None


def plain(cell: str) -> str:
    """Without the T and the Z of ISO 8601, and without a fraction of zeros."""
    text = cell.strip()
    if len(text) > 10 and text[10] == "T":
        text = text[:10] + " " + text[11:]
    return text.removesuffix("Z").removesuffix("+00:00").removesuffix(".000000")


def read_times(data: str, column: Any, name: str) -> np.ndarray:
    """A column of text as dates (datetime64[s]) or as numbers, (T,).

    Raises:
        DataError: a cell is neither.
    """
    import polars as pl

    head = [cell for cell in column.head(500).to_list() if cell is not None]
    form = date_format(head) if head else None
    text = column.str.strip_chars()
    if form is None:
        found = text.cast(pl.Float64, strict=False)
        expected = "a date such as 2020-01-31, or a number"
    else:
        text = text.str.replace(r"^(.{10})T", "${1} ").str.replace(r"(Z|\+00:00)$", "").str.replace(r"\.0+$", "")
        if form == "%Y-%m":
            text, form = text + "-01", "%Y-%m-%d"
        has_clock = "%H" in form
        parsed = text.str.to_datetime(form.replace(".%f", "%.f"), strict=False, time_unit="us") if has_clock else None
        found = text.str.to_date(form, strict=False).cast(pl.Datetime("us")) if parsed is None else parsed
        expected = f"a date like {head[0]}"
    bad = found.is_null()
    if bad.any():
        row = int(bad.arg_max())
        cell = column[row]
        came = "empty" if cell is None else repr(cell[:40])
        raise DataError(f"{data}: row {row + 1:,}, column {name!r} is {came}, expected {expected}")
    values = found.to_numpy()
    return values.astype(np.float64) if form is None else values.astype("datetime64[s]")
