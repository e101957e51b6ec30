"""Which columns of a table are the times, the series' names and the numbers to forecast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unrolled.errors import DataError, UsageError
from unrolled.tasks.series.times import date_format

_TIMES = ("time", "date", "datetime", "timestamp", "ds", "year", "month", "week", "day", "hour", "period", "t")
_NAMES = ("id", "unique_id", "series", "series_id", "item_id", "item")


@dataclass(frozen=True)
class Columns:
    """The columns that are read: their names, and which others hold numbers."""

    time: str | None
    targets: tuple[str, ...]
    id: str | None
    others: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()


def choose(
    data: str,
    head: Any,
    time: str | None,
    target: str | Sequence[str] | None,
    id: str | None,
    covariates: str | None = None,
) -> Columns:
    """The columns to read: those that the person names, and for the rest what they look like.

    The times are a column that is called so, or the first one of dates; the series' names a column that is called
    so, or else the only one of text; the target is the first one of numbers.

    Arguments:
        head: the first rows, as text.
        target: as the person names them, with commas, or those of a run.

    Raises:
        UsageError: there is no such column. DataError: no column has numbers.
    """
    if target and not isinstance(target, str) and (missing := [n for n in target if n not in head.columns]):
        raise DataError(
            f"{data} has no column {missing[0]!r}, which the run forecasts; it has {_listed(head.columns)}"
        )
    cells = {name: [c for c in head[name].to_list() if c is not None and c.strip()] for name in head.columns}
    known = _named(covariates)
    lists = [("target", name) for name in _named(target)] + [("covariates", name) for name in known]
    for setting, name in (("time", time), ("id", id), *lists):
        if name is not None and name not in cells:
            raise UsageError(f"--{setting}: {data} has no column {name!r}; it has {_listed(list(cells))}")
    numbers = [name for name in cells if cells[name] and _share(cells[name]) > 0.5]
    if time is None:
        time = _time(cells, numbers, {id, *_named(target), *known})
    if id is None:
        taken = {time, *_named(target), *known}
        texts = [n for n in cells if n not in taken and n not in numbers and cells[n]]
        called = [n for n in cells if n.lower() in _NAMES and n not in taken and len(set(cells[n])) < len(cells[n])]
        repeated = [n for n in texts if len(set(cells[n])) < len(cells[n])]
        id = called[0] if called else repeated[0] if len(texts) == 1 and repeated else None
    left = [name for name in numbers if name not in (time, id, *known)]
    targets = tuple(_named(target)) or tuple(left[:1])
    if not targets:
        raise DataError(f"{data} has no column of numbers to forecast; it has {_listed(list(cells))}")
    if twice := [name for name in known if name in (time, id, *targets) or known.count(name) > 1]:
        raise UsageError(f"--covariates: {twice[0]!r} has another part already: name each column once")
    return Columns(time, targets, id, tuple(name for name in left if name not in targets), tuple(known))


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with a point or a comma."""
    try:
        return math.isfinite(float(cell.strip().replace(",", ".")))
    except ValueError:
        return False


def _named(target: str | Sequence[str] | None) -> list[str]:
    if target is not None and not isinstance(target, str):
        return list(target)
    return [] if target is None else [name.strip() for name in target.split(",") if name.strip()]


def _share(cells: Sequence[str]) -> float:
    return sum(map(is_number, cells)) / len(cells)


def _time(cells: dict[str, list[str]], numbers: list[str], taken: set[str | None]) -> str | None:
    free = [name for name in cells if name not in taken and cells[name]]
    for name in free:  # of one that is called so, a first date is enough: reading says where another is not one
        if date_format(cells[name]) or (name.lower() in _TIMES and date_format(cells[name][:1])):
            return name
    for name in free:
        if name in numbers and name.lower() in _TIMES and len(numbers) > 1:
            values = [float(cell.replace(",", ".")) for cell in cells[name] if is_number(cell)]
            if all(a <= b for a, b in zip(values, values[1:], strict=False)) or len(numbers) - len(taken) > 1:
                return name
    return None


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:12])
    return shown + (f" and {len(names) - 12:,} more" if len(names) > 12 else "")
