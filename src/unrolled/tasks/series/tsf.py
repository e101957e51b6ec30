"""The text format of the Monash time series archive: one series a line, behind a header."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from unrolled.errors import DataError
from unrolled.series.clock import Clock, Times
from unrolled.series.moments import Even
from unrolled.tasks.series.cells import LARGEST
from unrolled.tasks.series.columns import is_number

_STEPS = {
    "yearly": ("months", 12),
    "quarterly": ("months", 3),
    "monthly": ("months", 1),
    "weekly": ("seconds", 604_800),
    "daily": ("seconds", 86_400),
    "hourly": ("seconds", 3_600),
    "half_hourly": ("seconds", 1_800),
    "10_minutes": ("seconds", 600),
    "minutely": ("seconds", 60),
    "4_seconds": ("seconds", 4),
    "secondly": ("seconds", 1),
}
_START = "%Y-%m-%d %H-%M-%S"


@dataclass(frozen=True)
class Header:
    """What stands before the data: the attributes of a series in their order, the step, the horizon."""

    attributes: tuple[str, ...]
    clock: Clock | None
    horizon: int | None


@dataclass(frozen=True)
class Line:
    """One series.

    Fields:
        times: (T,) numbers from 1 where the file has no dates.
        y: (T, 1), NaN where a value is missing.
    """

    name: str
    times: Times
    y: np.ndarray


def read_tsf(data: str) -> tuple[Header, list[Line]]:
    """All series of a file, and what its header says.

    Raises:
        DataError: a line that cannot be read, with its number.

    Source:
        R. Godahewa, C. Bergmeir, G. Webb, R. Hyndman & P. Montero-Manso, "Monash time series forecasting archive"
        (2021), appendix.
    """
    attributes: list[tuple[str, str]] = []
    said: dict[str, str] = {}
    header: Header | None = None
    made: list[Line] = []
    names: set[str] = set()
    with open(Path(data), encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if header is not None:
                made.append(_series(data, number, text, attributes, header))
                if made[-1].name in names:
                    raise DataError(f"{data}: line {number:,} has the name {made[-1].name!r} a second time")
                names.add(made[-1].name)
                continue
            if not text.startswith("@"):
                raise DataError(f"{data}: line {number:,} stands before @data, and does not begin with @")
            word, *rest = text[1:].split()
            if word.lower() == "data":
                header = _header(data, attributes, said)
            elif word.lower() == "attribute" and len(rest) == 2:
                attributes.append((rest[0], rest[1].lower()))
            elif rest:
                said[word.lower()] = rest[0]
    if header is None:
        raise DataError(f"{data} has no line @data")
    if not made:
        raise DataError(f"{data} has no series behind @data")
    return header, made


def _header(data: str, attributes: list[tuple[str, str]], said: dict[str, str]) -> Header:
    clock = None
    if (frequency := said.get("frequency")) is not None:
        if frequency.lower() not in _STEPS:
            raise DataError(f"{data}: the frequency is {frequency!r}, expected one of {', '.join(_STEPS)}")
        clock = Clock(*_STEPS[frequency.lower()], dated=True)
    horizon = said.get("horizon", "")
    return Header(tuple(name for name, _ in attributes), clock, int(horizon) if horizon.isdecimal() else None)


def _series(data: str, number: int, text: str, attributes: list[tuple[str, str]], header: Header) -> Line:
    """One line: its attributes and its values, with colons between."""
    parts = text.split(":")
    if len(parts) != len(attributes) + 1:
        raise DataError(
            f"{data}: line {number:,} has {len(parts)} parts with colons between, expected "
            f"{len(attributes) + 1}: {', '.join(name for name, _ in attributes)} and the values"
        )
    name, start = f"line {number}", None
    for (key, kind), value in zip(attributes, parts, strict=False):
        if kind == "date":
            try:
                start = np.datetime64(datetime.strptime(value.strip(), _START), "s")
            except ValueError as error:
                raise DataError(
                    f"{data}: line {number:,}: {key} is {value!r}, expected 1979-01-01 00-00-00"
                ) from error
        elif kind == "string" and name.startswith("line "):
            name = value.strip()
    values = []
    for k, cell in enumerate(parts[-1].split(",")):
        try:
            values.append(np.nan if cell.strip() in ("?", "NaN") else float(cell))
        except ValueError:
            values.append(np.inf)
        if abs(values[-1]) > LARGEST:
            expected = f"a number from {-LARGEST:g} to {LARGEST:g}" if is_number(cell) else "a number"
            raise DataError(f"{data}: line {number:,}, value {k + 1:,} is {cell.strip()!r}, expected {expected}")
    times = Even(Clock("irregular", 1, False), 1.0, len(values))
    if start is not None and header.clock is not None:
        times = Even(header.clock, start, len(values))
    return Line(name, times, np.array(values)[:, None])
