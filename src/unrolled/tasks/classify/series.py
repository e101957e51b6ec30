"""Files in the ``.ts`` form of the UEA and UCR archives: several channels of values and a label in each line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unrolled.errors import DataError
from unrolled.tasks.classify.records import Record, composed

SUFFIX = ".ts"
LARGEST = 1e15
"""Of a value; sums of the squares of larger ones are not finite in 32 bits."""


def is_series(path: Path) -> bool:
    """Whether the file begins as that form does; TypeScript has the same ending."""
    if path.suffix.lower() != SUFFIX:
        return False
    try:
        with open(path, encoding="utf-8") as file:
            line = next((line for line in file if line.strip() and not line.startswith("#")), "")
    except (OSError, UnicodeDecodeError):
        return False
    return line.lower().startswith(("@problemname", "@timestamps", "@univariate", "@dimensions", "@classlabel"))


def read_series(path: Path) -> Iterator[Record]:
    """The series of a file: values (T, channels). A missing value is that before it, or else the one behind it.

    Raises:
        DataError: the file is damaged, or has time stamps.
    """
    labelled, width, in_data, count = True, None, False, 0
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line, where = line.strip(), f"{path}, line {number}"
            if not line or line.startswith("#"):
                continue
            if not in_data:
                words = line.lower().split()
                if words[0] == "@timestamps" and words[-1] == "true":
                    raise DataError(f"{where}: series with time stamps are not supported")
                if words[0] == "@classlabel":
                    labelled = words[1:2] != ["false"]
                in_data = words[0] == "@data"
                continue
            *channels, label = line.split(":") if labelled else [*line.split(":"), ""]
            values = _values(channels, where)
            if width is not None and values.shape[1] != width:
                raise DataError(f"{where}: has {values.shape[1]} channels, expected {width}")
            width = values.shape[1]
            count += 1
            yield Record(f"line {number}", values, _label(label), where)
    if not count:
        raise DataError(f"{path} has no series behind @data")


def _values(channels: list[str], where: str) -> np.ndarray:
    if not channels:
        raise DataError(f"{where}: has no values before its label")
    found = []
    for k, channel in enumerate(channels, 1):
        cells = channel.split(",")
        try:
            values = np.array([np.nan if c.strip() in ("?", "NaN", "") else float(c) for c in cells])
        except ValueError:
            odd = next(c for c in cells if not _is_number(c))
            raise DataError(f"{where}: channel {k} has {odd.strip()[:20]!r}, which is not a number") from None
        if np.isnan(values).all():
            raise DataError(f"{where}: channel {k} has no finite value")
        if len(far := np.flatnonzero(np.abs(values) > LARGEST)):
            odd = cells[far[0]].strip()[:20]
            raise DataError(f"{where}: channel {k}, step {far[0] + 1:,} is {odd!r}, expected at most {LARGEST:g}")
        found.append(_filled(values))
    if len({len(values) for values in found}) > 1:
        lengths = sorted({len(values) for values in found})
        raise DataError(f"{where}: its channels have {lengths[0]} and {lengths[-1]} steps, expected the same number")
    return np.stack(found, axis=1).astype(np.float32)


def _label(cell: str) -> str | None:
    text = composed(cell.strip())
    return None if text in ("", "?") else text


def _filled(values: np.ndarray) -> np.ndarray:
    known = np.flatnonzero(~np.isnan(values))
    places = np.searchsorted(known, np.arange(len(values)), side="right") - 1
    return values[known[np.maximum(places, 0)]]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip() in ("?", "")
    return True
