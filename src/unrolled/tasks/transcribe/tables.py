"""Tables of recordings and their texts."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from unrolled.errors import DataError
from unrolled.tasks.folders import PART_NAMES
from unrolled.tasks.tabbed import tabbed
from unrolled.wording import counted, shortened

_FILE = ("path", "file", "filename", "file_name", "audio", "wav", "wav_filename", "audio_path", "name", "id")
_TEXT = ("text", "transcript", "transcription", "sentence", "label", "normalized_text", "words")
_PART = ("split", "part", "set", "subset")


@dataclass
class Said:
    """What data say of recordings.

    Fields:
        texts, parts: of each file, where it has one.
        bad: a sentence for each file that cannot be used for what is said of it.
        about: sentences on what is said of no file.
    """

    texts: dict[Path, str] = field(default_factory=dict)
    parts: dict[Path, str] = field(default_factory=dict)
    bad: dict[Path, str] = field(default_factory=dict)
    about: list[str] = field(default_factory=list)


def read_table(table: Path, folder: Path, sounds: Sequence[Path]) -> Said:
    """Texts and parts from a table with a row for each recording.

    A row names a file by its path in the folder or by the end of it, with or without its ending, or by a path that
    ends in its path in the folder. A name that fits several files, and a file with two texts or two parts, cannot be
    used.

    Raises:
        DataError: it has no columns for files and texts, or cannot be read.
    """
    names = _Names(folder, sounds)
    said, unknown, rows = Said(), list[str](), 0
    for name, text, part in _rows(table):
        rows += 1
        files = names.find(name)
        if not files:
            unknown.append(name)
        for file in files:
            if len(files) > 1:
                said.bad[file] = f"{table} names {shortened(name)}, which may be {files[0]} or {files[1]}"
            elif part and part.lower() not in PART_NAMES:
                said.bad[file] = f"{file} is in part {shortened(part)!r}, expected training, validation or test"
            elif said.texts.setdefault(file, text) != text:
                said.bad[file] = f"{file} has two texts in {table}: {shortened(said.texts[file])}, {shortened(text)}"
            elif part and said.parts.setdefault(file, PART_NAMES[part.lower()]) != PART_NAMES[part.lower()]:
                said.bad[file] = f"{file} is in two parts in {table}"
    if unknown:
        lack = f"{len(unknown):,} of its {counted(rows, 'rows')}"
        said.about.append(f"{table}: there is no recording for {lack}, such as {shortened(unknown[0]) or 'no name'}")
    return said


class _Names:
    """Files by the names that a table may have for them."""

    def __init__(self, folder: Path, files: Sequence[Path]) -> None:
        self._whole: dict[str, list[Path]] = defaultdict(list)
        self._ends: dict[str, list[Path]] = defaultdict(list)
        for file in files:
            parts = file.relative_to(folder).parts
            for k in range(len(parts)):
                end = PurePosixPath(*parts[k:])
                for name in {str(end), str(end.with_suffix(""))}:
                    self._ends[name].append(file)
                    if k == 0:
                        self._whole[name].append(file)

    def find(self, name: str) -> list[Path]:
        """The files that a name fits: one, if it is clear."""
        parts = PurePosixPath(name.replace("\\", "/")).parts
        for k in range(len(parts)):
            end = str(PurePosixPath(*parts[k:]))
            if end in self._whole:
                return self._whole[end]
            if k == 0 and end in self._ends:
                return self._ends[end]
        return []


def _rows(table: Path) -> Iterator[tuple[str, str, str]]:
    """File name, text and part of each row."""
    text = read_text(table)
    first = text.partition("\n")[0]
    has_bars = "|" in first and "," not in first.partition("|")[0] and "\t" not in first
    delimiter = "|" if has_bars else "\t" if "\t" in first else ","
    rows = _cells(table, text, delimiter)
    _, heading = next(rows, (1, []))
    names = [name.strip().lower() for name in heading]
    file, spoken, part = (next((names.index(n) for n in some if n in names), None) for some in (_FILE, _TEXT, _PART))
    if has_bars and (file is None or spoken is None):  # LJ Speech has no heading: name, text, text in words
        for row in (heading, *(row for _, row in rows)):
            yield row[0].strip(), row[-1] if len(row) > 1 else "", ""
        return
    if file is None or spoken is None:
        raise DataError(
            f"{table}: expected a column with the file ({', '.join(_FILE[:3])}) and one with the text "
            f"({', '.join(_TEXT[:3])}), got {', '.join(filter(None, names)) or 'none'}"
        )
    for number, row in rows:
        if len(row) < len(heading) or any(cell.strip() for cell in row[len(heading) :]):
            raise DataError(
                f"{table}, line {number}: has more or fewer cells than the {len(heading)} in the first row: a text "
                "with a separator in it needs quotes"
            )
        yield row[file].strip(), row[spoken], "" if part is None else row[part].strip()


def _cells(table: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row that has any, with the number of its last line.

    Between commas, quotes may hold a text of several lines; between tabs, a row is a line, and quotes are those of a
    cell only if they stand around all of it; between bars they mean nothing.
    """
    if delimiter == "\t":
        yield from tabbed(text.split("\n"))
        return
    lines = io.StringIO(text, newline="")
    if delimiter == "|":
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, delimiter=delimiter)
    try:
        for row in filter(None, reader):
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{table}, line {reader.line_num}: {error}") from error


def read_text(path: Path) -> str:
    """What a file of texts holds.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
