"""Whether data are pictures with captions, and in which form. No torch here, so that help is instant."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from unrolled.tasks.folders import PART_NAMES

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm", ".tga")
"""Of pictures."""
KINDS = ("karpathy", "coco", "tokens", "table")
"""Forms of captions; in a folder that has several, the first of them counts."""

_TABLES = (".csv", ".tsv", ".txt")
_LINE = re.compile(r"\S[^\t]*#\d+\t\s*\S")
_FILE = ("path", "image", "image_path", "image_name", "file", "filename", "file_name", "picture", "img", "name")
_CAPTION = ("caption", "captions", "comment", "sentence", "description", "text")
_PART = ("part", "split", "set", "subset")
_HEAD = 1 << 16
"""Bytes at either end of a file that are looked at."""
_LOOKED_AT = 100
"""Files of a folder, and entries of each folder in it, that are looked at."""
_SEVERAL = 5
"""Pictures of a folder whose table is one of captions, whatever its columns are called."""


class Columns(NamedTuple):
    """Of a table: where path, caption and part stand.

    Fields:
        delimiter: what stands between cells. has_names: whether the first row has the columns' names.
        is_last: whether the caption is the last column, so that it may have delimiters in it.
        size: how many columns there are.
    """

    path: int
    caption: int
    part: int | None
    delimiter: str
    has_names: bool
    is_last: bool
    size: int


def is_captioned(path: Path) -> bool:
    """Whether a file has captions of pictures, or a folder a file that has, or pictures that its table names.

    A folder of nothing but pictures lacks its captions, and whoever reads it says so.
    """
    return bool(caption_files(path)) or _names_pictures(path) or _has_only_pictures(path)


def expected_columns(path: Path) -> str:
    """What a table of captions must have, and what there is in place of that in a file, or in a folder's table."""
    table = path if path.is_file() and path.suffix.lower() in _TABLES else _only_table(path)
    wanted = f"a table with a column of files ({', '.join(_FILE)}) and one of captions ({', '.join(_CAPTION)})"
    if table is None:
        return wanted
    names, example = [*_first_rows(table), [], []][:2]
    known = [name for name in names if name.strip().lower() in _FILE]
    if known and any(name.strip().lower() in _CAPTION for name in names):
        file = dict(zip(names, example, strict=False)).get(known[0], "")
        return f"{wanted}; the first {known[0]} of {table.name} is {file[:60]!r}, which does not end as pictures do"
    return f"{wanted}; {table.name} has {', '.join(name.strip()[:60] for name in names) or 'nothing'}"


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
    by_depth = sorted(found, key=lambda p: (len(p.parts), p))
    once = {p.resolve(): p for p in reversed(by_depth)}  # links lead to the same file
    kinds = [(kind_of(p), p) for p in sorted(once.values())[:_LOOKED_AT]]
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
            count = len(names)
            found = Columns(path, caption, part, delimiter, True, caption == count - 1, count)
            return found if _is_picture(example) else None
        if _is_picture(rows[0][0]):
            named = not any(_is_no_caption(cell) for row in rows for cell in row[1:])
            return Columns(0, 1, None, delimiter, False, True, 2) if named else None
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


def _names_pictures(folder: Path) -> bool:
    """Whether a folder has several pictures and one table, the first row of which has one of them and a text."""
    table = _only_table(folder)
    if table is None:
        return False
    names = [p.name for p in _entries(folder, _LOOKED_AT) if p.is_file()]
    for inner in _entries(folder, _LOOKED_AT):
        names += [p.name for p in _entries(inner, _LOOKED_AT)] if inner.is_dir() else []
    pictures = {name.rpartition(".")[0] for name in names if _is_picture(name)}
    cells = [cell.strip() for row in _first_rows(table)[1:] for cell in row]
    named = {cell for cell in cells if {name := Path(cell).name, name.rpartition(".")[0]} & pictures}
    texts = {cell for cell in cells if re.search(r"[^\W\d_]{2}", cell)}
    return len(pictures) >= _SEVERAL and bool(named) and bool(texts - named)


def _has_only_pictures(folder: Path) -> bool:
    inside = _entries(folder, _LOOKED_AT) if folder.is_dir() else []
    return bool(inside) and all(_is_picture(p.name) and p.is_file() for p in inside)


def _only_table(folder: Path) -> Path | None:
    """The table of a folder, if it has a single one."""
    found = [p for p in _entries(folder) if p.suffix.lower() in (".csv", ".tsv")] if folder.is_dir() else []
    return found[0] if len(found) == 1 else None


def _first_rows(table: Path) -> list[list[str]]:
    """The cells of the first two lines, by the delimiter that makes most of them."""
    try:
        first = first_lines(table)
    except OSError:
        return []
    rows = [[_cells(line, delimiter) for line in first] for delimiter in ",\t|;"]
    return max(rows, key=lambda made: len(made[0]) if made else 0)


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


def _is_no_caption(cell: str) -> bool:
    """Whether a cell is a number or a part, so that a table without names of columns has more than two."""
    return cell.strip().isdigit() or cell.strip().lower() in PART_NAMES


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
