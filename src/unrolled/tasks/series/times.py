"""Times as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from unrolled.series.clock import read_clock

_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y%m%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f")
_OFFSET = r"(:\d\d(?:\.\d+)?) ?(Z|[+-]\d\d:?\d\d)$"
"""What stands behind a time of day: how far its clock is from UTC."""
_FORMATS = ("%Y-%m", *(day + clock for day in _DAYS for clock in _CLOCKS))


def date_format(cells: Sequence[str]) -> str | None:
    """The way of writing dates that fits all cells, and in which they increase if any does; None for numbers.

    Of several, as for 01/02/2020, it is the one whose steps have the fewest gaps, and else the first.

    >>> date_format(["13/02/2020", "14/02/2020"]), date_format(["2020-01-01T06:00:00Z"]), date_format(["1700"])
    ('%d/%m/%Y', '%Y-%m-%d %H:%M:%S', None)
    """
    fitting: list[tuple[str, bool, float]] = []
    for form in _FORMATS:
        if (times := _as_dates(cells, form)) is None:
            continue
        if form == "%Y%m%d" and not all(len(cell.strip()) == 8 for cell in cells):
            continue
        decreases = any(a > b for a, b in zip(times, times[1:], strict=False))
        fitting.append((form, decreases, _gaps(times)))
    return min(fitting, key=lambda one: one[1:])[0] if fitting else None


def is_ambiguous(form: str | None, cells: Iterable[str]) -> bool:
    """Whether all cells fit a way of writing dates, and also with the day and the month the other way round.

    >>> is_ambiguous("%d/%m/%Y", ["01/02/2020"]), is_ambiguous("%d/%m/%Y", ["01/02/2020", "13/02/2020"])
    (True, False)
    """
    if form is None or "/" not in form or form.startswith("%Y"):
        return False
    other = form.translate(str.maketrans("dm", "md"))
    return all(_as_dates(cells, one) is not None for one in (form, other))


def _as_dates(cells: Iterable[str], form: str) -> list[datetime] | None:
    """None where one of them does not fit."""
    try:
        texts = [plain(cell) for cell in cells]
        if form.endswith(".%f"):  # a fraction of zeros is gone
            texts = [text if re.search(r":\d\d\.\d+$", text) else f"{text}.0" for text in texts]
        return [datetime.strptime(text, form) for text in texts]
    except ValueError:
        return None


def _gaps(times: Sequence[datetime]) -> float:
    """How many steps are missing between these times."""
    found = np.unique(np.array(times, dtype="datetime64[s]"))
    clock = read_clock(found)
    if clock.kind in ("months", "seconds"):
        unit = "datetime64[M]" if clock.kind == "months" else "datetime64[s]"
        return float((found[-1].astype(unit) - found[0].astype(unit)).astype(int) / clock.step + 1 - len(found))
    return 0.0 if clock.kind == "business days" else np.inf


def plain(cell: str) -> str:
    """Without the T and the offset of ISO 8601, and without a fraction of zeros.

    >>> plain("2020-01-31T06:00:00.000+02:00")
    '2020-01-31 06:00:00'
    """
    text = cell.strip()
    if len(text) > 10 and text[10] == "T":
        text = text[:10] + " " + text[11:]
    return re.sub(r"\.0+$", "", re.sub(_OFFSET, r"\1", text))


def offset(cell: str) -> str:
    """How far a time's clock is from UTC; empty where it does not say so.

    >>> offset("2020-01-31 06:00:00+02:00"), offset("2020-01-31 06:00Z"), offset("2020-01-31")
    ('+0200', '+0000', '')
    """
    found = re.search(_OFFSET, cell.strip())
    return "" if found is None else found[2].replace("Z", "+0000").replace(":", "")


def as_time(column: Any, form: str | None) -> Any:
    """A column of text as dates or, without a format, as numbers; null where a cell is neither. To be read later."""
    import polars as pl

    text = column.str.strip_chars()
    if form is None:
        return text.cast(pl.Float64, strict=False)
    text = text.str.replace(r"^(.{10})T", "${1} ").str.replace(_OFFSET, "${1}").str.replace(r"\.0+$", "")
    if form == "%Y-%m":
        text, form = text + "-01", "%Y-%m-%d"
    if "%H" in form:
        return text.str.to_datetime(form.replace(".%f", "%.f"), strict=False, time_unit="us")
    return text.str.to_date(form, strict=False).cast(pl.Datetime("us"))


def as_array(column: Any) -> np.ndarray:
    """The times that were read: datetime64[s], or numbers."""
    values = column.to_numpy()
    return values.astype("datetime64[s]") if values.dtype.kind == "M" else values.astype(np.float64)
