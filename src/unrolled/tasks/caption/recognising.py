"""Whether data are pictures with captions, and in which form. No torch here, so that help is instant."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".tga")
"""Of pictures."""
KINDS = ("karpathy", "coco", "tokens", "table")
"""Forms of captions; in a folder that has several, the first of them counts."""

_TABLES = (".csv", ".tsv", ".txt")
_LINE = re.compile(r"\S.*#\d+\t\s*\S")
_FILE = ("path", "image", "image_path", "image_name", "file", "filename", "file_name", "picture", "img")
_CAPTION = ("caption", "captions", "comment", "sentence", "description", "text")
_PART = ("part", "split", "set", "subset")
_HEAD = 1 << 16
"""Bytes at either end of a file that are looked at."""
_LOOKED_AT = 100
"""Files of a folder, and entries of each folder in it, that are looked at."""


class Columns(NamedTuple):
    """Of a table: where path, caption and part stand.

    Fields:
        delimiter: what stands between cells. has_names: whether the first row has the columns' names.
        is_last: whether the caption is the last column, so that it may have delimiters in it.
    """

    path: int
    caption: int
    part: int | None
    delimiter: str
    has_names: bool
    is_last: bool


def is_captioned(path: Path) -> bool:
    """Whether a file has captions of pictures, or a folder a file that has."""
    return bool(caption_files(path))


def caption_files(path: Path) -> list[tuple[str, Path]]:
    """The files with captions, all of one form, in the order of their names; each with its form, one of `KINDS`."""
    if not path.is_dir():
        kind = kind_of(path)
        return [] if kind is None else [(kind, path)]
    inside = _entries(path)
    found = [p for p in inside if p.suffix.lower() in (".json", *_TABLES)]
    for folder in inside[:_LOOKED_AT]:
        if folder.is_dir():
            found += (p for p in _entries(folder, _LOOKED_AT) if p.suffix.lower() in (".json", *_TABLES))
    kinds = [(kind_of(p), p) for p in sorted(found)[:_LOOKED_AT]]
    first = next((kind for kind in KINDS if any(kind == one for one, _ in kinds)), None)
    return [(kind, p) for kind, p in kinds if kind is not None and kind == first]


def kind_of(file: Path) -> str | None:
    """The form of a file with captions; None if it is none."""
    suffix = file.suffix.lower()
    try:
        if not file.is_file():
            return None
        if suffix == ".json":
            return _kind_of_json(_ends(file))
        if suffix not in _TABLES or "lemma" in file.name.lower():
            return None
        first = first_lines(file)
    except OSError:
        return None
    if first and _LINE.match(first[0]) and _is_picture(first[0].partition("#")[0]):
        return "tokens"
    return "table" if columns_of(first) else None


def columns_of(first: list[str]) -> Columns | None:
    """The columns of a table, by its `first_lines`; None if it is not one of pictures and captions."""
    for delimiter in ",\t|;":
        rows = [_cells(line, delimiter) for line in first[:2]]
        if not rows or len(rows[0]) < 2:
            continue
        names = [name.strip().lower() for name in rows[0]]
        places = [next((names.index(one) for one in some if one in names), None) for some in (_FILE, _CAPTION, _PART)]
        path, caption, part = places
        if path is not None and caption is not None:
            example = rows[1][path] if len(rows) > 1 and path < len(rows[1]) else ""
            is_last = caption == len(names) - 1
            return Columns(path, caption, part, delimiter, True, is_last) if _is_picture(example) else None
        if _is_picture(rows[0][0]):
            return Columns(0, 1, None, delimiter, False, True)
    return None


def first_lines(file: Path) -> list[str]:
    """Up to two lines that are not empty; OSError if the file cannot be read."""
    with open(file, encoding="utf-8-sig", errors="replace") as stream:
        lines = (stream.readline(_HEAD) for _ in range(_LOOKED_AT))
        return [line.rstrip("\r\n") for line in islice(filter(str.strip, lines), 2)]


def rows_of(lines: Iterable[str], delimiter: str) -> Any:
    """The reader of a table; quotes mean nothing between bars."""
    if delimiter == "|":
        return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=delimiter)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(rows_of([line], delimiter), [])
    except csv.Error:
        return []


def _kind_of_json(ends: str) -> str | None:
    if '"images"' not in ends:
        return None
    if re.search(r'"sent(ences|ids)"\s*:\s*\[', ends):
        return "karpathy"
    return "coco" if re.search(r'"caption"\s*:', ends) else None


def _is_picture(name: str) -> bool:
    return name.strip().lower().endswith(SUFFIXES)


def _ends(file: Path) -> str:
    """The first and the last of a file."""
    with open(file, "rb") as stream:
        head = stream.read(_HEAD)
        stream.seek(max(len(head), file.stat().st_size - _HEAD))
        return (head + stream.read(_HEAD)).decode("utf-8", errors="replace")


def _entries(folder: Path, most: int | None = None) -> list[Path]:
    """What lies in a folder, but for what is hidden."""
    try:
        with os.scandir(folder) as found:
            return sorted(Path(p.path) for p in islice(found, most) if not p.name.startswith("."))
    except OSError:
        return []
