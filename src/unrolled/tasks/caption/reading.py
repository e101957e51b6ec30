"""Pictures and their captions, from the files in which data sets come."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unrolled.errors import DataError, UsageError
from unrolled.tasks.caption.finding import Finder
from unrolled.tasks.caption.recognising import (
    SUFFIXES,
    Columns,
    caption_files,
    columns_of,
    expected_columns,
    first_lines,
    rows_of,
)
from unrolled.tasks.folders import PART_NAMES
from unrolled.wording import counted

_PARTS = PART_NAMES | {"restval": "training"}
_IN_NAME = re.compile(r"(?<![a-z])(training|train|test|validation|valid|val|dev)(?![a-z])", re.IGNORECASE)
_QUOTED = re.compile(r'\s+"([^"]*)"\s*')
"""A quoted text behind a blank, with which it is none for a reader of tables."""
_LONGEST = 10_000
"""Characters of a caption."""
_LONGEST_LINE = 1 << 17
_LINES_OF_A_TEXT = 20
"""Lines that a quoted text may go over."""
_LARGEST_JSON = 1 << 30
"""Bytes: such a file is read as a whole, and takes several times as much memory while it is."""


@dataclass(frozen=True)
class Picture:
    """A picture, all of its captions, and the part that it belongs to where the data say so."""

    path: Path
    captions: tuple[str, ...]
    part: str | None


@dataclass
class Collection:
    """What data have.

    Fields:
        pictures: in the order in which the data name them.
        left_out: names of pictures and places in files, and why each cannot be used.
    """

    pictures: list[Picture] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class _Entry:
    """What has been read of a picture: its file, captions in order, and all parts that were named."""

    path: Path
    captions: dict[str, None] = field(default_factory=dict)
    parts: set[str] = field(default_factory=set)


class _Gathered:
    """Entries by the file of their picture, links followed, and what cannot be used."""

    def __init__(self) -> None:
        self.entries: dict[str, _Entry] = {}
        self.missing: dict[tuple[str, str], int] = {}
        self.bad: list[tuple[str, str]] = []
        self._files: dict[Path, str] = {}

    def add(self, name: str, found: Path | str, caption: object, parts: Iterable[str], where: str) -> None:
        """A caption of a picture; ``found`` is its file, or says why there is none; ``where`` it was read."""
        if isinstance(found, str):
            self.missing[name, found] = self.missing.get((name, found), 0) + 1
        elif unknown := [part for part in parts if part.lower() not in _PARTS]:
            self.bad.append((where, f"its part is {unknown[0][:40]!r}, expected training, validation or test"))
        elif why := _unusable(caption):
            self.bad.append((where, why))
            self._entry(found)
        else:
            entry = self._entry(found)
            entry.captions[" ".join(str(caption).split())] = None
            entry.parts |= {_PARTS[part.lower()] for part in parts}

    def _entry(self, found: Path) -> _Entry:
        if found not in self._files:
            self._files[found] = os.path.realpath(found)
        return self.entries.setdefault(self._files[found], _Entry(found))

    def collection(self) -> Collection:
        """What can be used."""
        made = Collection()
        for (name, why), times in self.missing.items():
            made.left_out.append((name, f"{why} ({counted(times, 'captions')})"))
        made.left_out += self.bad
        for entry in self.entries.values():
            if not entry.captions:
                made.left_out.append((entry.path.name, "it has no caption"))
            elif len(entry.parts) > 1:
                made.left_out.append((entry.path.name, f"it belongs to {' and '.join(sorted(entry.parts))}"))
            else:
                made.pictures.append(Picture(entry.path, tuple(entry.captions), next(iter(entry.parts), None)))
        return made


def read_collection(data: str | Path) -> Collection:
    """The pictures and captions of a file, or of the files of a folder.

    ============  ==================================================================================================
    COCO          ``{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}``
    Karpathy      ``{"images": [{"filename", "filepath", "split", "sentences": [{"raw"}]}]}``
    Flickr8k      lines ``NAME#0<tab>CAPTION``, and files such as ``Flickr_8k.trainImages.txt`` beside them
    a table       columns such as ``path``, ``caption`` and ``part``; comma, tab, bar or semicolon; a line a caption
    ============  ==================================================================================================

    Parts are those that the data name, or that the file's name says. Lines of a table are read one by one, a JSON
    file as a whole. Whether a picture can be opened is not looked at here.

    Raises:
        UsageError: there is no such file or folder.
        DataError: it has no captions, or none of its pictures can be used.
    """
    path = Path(data)
    if not path.exists():
        raise UsageError(f"there is no file or folder {data}")
    files = caption_files(path)
    if not files:
        raise DataError(
            f"{data} has no captions: expected captions of COCO, Karpathy's or Flickr8k's files, or "
            f"{expected_columns(path)}"
        )
    gathered = _Gathered()
    for kind, file in files:
        _READERS[kind](file, Finder(file, path if path.is_dir() else None), gathered)
    made = gathered.collection()
    if path.is_dir():
        unnamed = [name for p, name in _pictures_in(path) if os.path.realpath(p) not in gathered.entries]
        made.left_out += ((name, "it has no caption") for name in unnamed)
    if not made.pictures:
        (name, why), *others = made.left_out or [(str(data), "it has no captions")]
        more = f"; and {len(others):,} more that cannot be used" if others else ""
        raise DataError(f"{data}: {name}: {why}{more}")
    return made


def _coco(file: Path, finder: Finder, gathered: _Gathered) -> None:
    data = _json(file)
    parts = _parts_in(file.name)
    names: dict[Any, str] = {}
    shared: set[Any] = set()
    for k, image in enumerate(_list(file, data, "images")):
        name = image.get("file_name") if isinstance(image, dict) else None
        if not isinstance(name, str) or not isinstance(image.get("id"), int | str):
            gathered.bad.append((f"{file.name}, image {k}", "it has no file_name, or no id"))
            continue
        if names.setdefault(image["id"], name) != name:
            shared.add(image["id"])
            gathered.bad.append((f"{file.name}, image {k}", f"{name} has the id of {names[image['id']]}"))
    used = set()
    for k, one in enumerate(_list(file, data, "annotations")):
        where = f"{file.name}, annotation {k}"
        number = one.get("image_id") if isinstance(one, dict) else None
        if not isinstance(number, int | str) or number not in names:
            gathered.bad.append((where, "its image_id is none of the images"))
            continue
        used.add(number)
        if number in shared:
            gathered.bad.append((where, "its image_id is that of several images"))
            continue
        gathered.add(names[number], finder.find(names[number]), one.get("caption"), parts, where)
    gathered.bad += ((name, "it has no caption") for number, name in names.items() if number not in used)


def _karpathy(file: Path, finder: Finder, gathered: _Gathered) -> None:
    for k, image in enumerate(_list(file, _json(file), "images")):
        where = f"{file.name}, image {k}"
        name, split, sentences = (
            (image.get(key) for key in ("filename", "split", "sentences")) if isinstance(image, dict) else [None] * 3
        )
        if (
            not isinstance(name, str)
            or not isinstance(split, str)
            or not isinstance(sentences, list)
            or not sentences
        ):
            gathered.bad.append((where, "it has no filename, no split, or no sentences"))
            continue
        parts, folder = [split] if split else [], image.get("filepath")
        found = finder.find(f"{folder}/{name}") if isinstance(folder, str) else finder.find(name)
        if isinstance(found, str):
            found = finder.find(name)
        for sentence in sentences:
            gathered.add(name, found, sentence.get("raw") if isinstance(sentence, dict) else None, parts, where)


def _tokens(file: Path, finder: Finder, gathered: _Gathered) -> None:
    parts: dict[str, list[str]] = {}
    for beside in sorted(file.parent.glob("*.txt")):
        part = re.search(r"(train|dev|val|test)_?images$", beside.stem, re.IGNORECASE)
        if part:
            for _, line in _lines(beside):
                if line.strip():
                    parts.setdefault(line.strip(), []).append(part[1])
    for number, line in _lines(file):
        name, _, caption = line.rstrip("\r\n").partition("\t")
        name, _, nth = name.rpartition("#")
        if not name or not nth.strip().isdigit():
            if line.strip():
                gathered.bad.append((f"{file.name}, line {number}", "expected NAME#NUMBER, a tab and a caption"))
        elif parts and name not in parts:
            gathered.missing[name, "it is in none of the lists of parts"] = (
                gathered.missing.get((name, "it is in none of the lists of parts"), 0) + 1
            )
        else:
            gathered.add(name, finder.find(name), caption, parts.get(name, ()), f"{file.name}, line {number}")


def _table(file: Path, finder: Finder, gathered: _Gathered) -> None:
    columns = columns_of(first_lines(file))
    assert columns is not None  # it was recognised by them
    said = _parts_in(file.name)
    for number, row in _rows(file, columns, gathered):
        where = f"{file.name}, line {number}"
        last = max(columns.path, columns.caption, columns.part or 0)
        if len(row) <= last:
            gathered.bad.append((where, f"it has {counted(len(row), 'cells')}, expected at least {last + 1}"))
            continue
        if not columns.is_last and any(cell.strip() for cell in row[columns.size :]):
            hint = "" if columns.delimiter == "|" else ": a text with a separator in it needs quotes"
            gathered.bad.append((where, f"it has {len(row)} cells, expected {columns.size}{hint}"))
            continue
        caption = columns.delimiter.join(row[last:]) if columns.is_last else row[columns.caption]
        if match := _QUOTED.fullmatch(caption):
            caption = match[1]
        name = row[columns.path].strip()
        part = row[columns.part].strip() if columns.part is not None else ""
        gathered.add(name, finder.find(name), caption, [part] if part else said, where)


def _rows(file: Path, columns: Columns, gathered: _Gathered) -> Iterator[tuple[int, list[str]]]:
    """The rows below that of the names, each with the number of its last line."""
    is_first = columns.has_names
    for number, lines in _blocks(file, columns.delimiter):
        rows = rows_of(lines, columns.delimiter)
        try:
            for row in rows:
                if row and not is_first:
                    yield number + rows.line_num - 1, row
                is_first = is_first and not row
        except csv.Error as error:
            gathered.bad.append((f"{file.name}, line {number}", str(error)))


def _blocks(file: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Lines that go together, and the number of the first: a quoted text may go over several.

    One that does not end soon is cut at its first line, so that it does not cost the rest of the file.
    """
    begins = rf'(?:^|{re.escape(delimiter)})"'
    whole = re.compile(rf'{begins}(?:[^"]|"")*"(?={re.escape(delimiter)}|\s*$)', re.MULTILINE)
    begun = re.compile(begins, re.MULTILINE)
    pending: list[tuple[int, str]] = []
    for one in _lines(file):
        pending.append(one)
        while pending:
            is_whole = delimiter == "|" or not begun.search(whole.sub("", "".join(line for _, line in pending)))
            if not is_whole and len(pending) < _LINES_OF_A_TEXT:
                break
            count = len(pending) if is_whole else 1
            yield pending[0][0], [line for _, line in pending[:count]]
            del pending[:count]
    for number, line in pending:
        yield number, [line]


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers; bytes that are not UTF-8 become surrogates, and long lines are cut."""
    try:
        with open(file, encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            number = 1
            while line := stream.readline(_LONGEST_LINE):
                yield number, line
                number += line.endswith(("\n", "\r"))
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error


def _json(file: Path) -> Any:
    try:
        if file.stat().st_size > _LARGEST_JSON:
            raise DataError(f"{file} is larger than {_LARGEST_JSON >> 20:,} MiB")
        return json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    except RecursionError as error:
        raise DataError(f"{file} is nested too deeply") from error
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{file} is damaged: {error}") from error


def _list(file: Path, data: Any, name: str) -> list[Any]:
    found = data.get(name) if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise DataError(f"{file} has no list of {name}")
    return found


def _parts_in(name: str) -> list[str]:
    """The part that a file's name says, if any."""
    return _IN_NAME.findall(name)[-1:]


def _unusable(caption: object) -> str | None:
    """Why a caption cannot be used."""
    if not isinstance(caption, str):
        return "its caption is not a text"
    if not caption.strip():
        return "its caption is empty"
    if len(caption) > _LONGEST:
        return f"its caption has more than {_LONGEST:,} characters"
    try:
        caption.encode()
    except UnicodeEncodeError:
        return "its caption is not UTF-8"
    return None


def _pictures_in(folder: Path) -> Iterator[tuple[Path, str]]:
    """All pictures of a folder, with their names in it."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                path = Path(place, name)
                yield path, path.relative_to(folder).as_posix()


_READERS: dict[str, Callable[[Path, Finder, _Gathered], None]] = {
    "coco": _coco,
    "karpathy": _karpathy,
    "tokens": _tokens,
    "table": _table,
}
