"""Which recordings a folder has, what is said in each, and which part each belongs to."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from unrolled.errors import DataError, UsageError
from unrolled.tasks.folders import PART_NAMES, files_in
from unrolled.tasks.transcribe.options import TranscribeOptions
from unrolled.tasks.transcribe.recognising import TABLES
from unrolled.tasks.transcribe.sound import SUFFIXES

_FILE = ("path", "file", "filename", "file_name", "audio", "wav", "wav_filename", "audio_path", "name", "id")
_TEXT = ("text", "transcript", "transcription", "sentence", "label", "normalized_text", "words")
_PART = ("split", "part", "set", "subset")


@dataclass(frozen=True)
class Recording:
    """A sound file, its text, and the part it belongs to where the data say so."""

    path: Path
    text: str
    part: str | None


def recordings_of(data: str, options: TranscribeOptions) -> tuple[list[Recording], list[str]]:
    """The recordings of a folder, and a sentence for each that has no text.

    Texts come from ``--pattern``, if it matches any name; or from a table, ``--transcripts`` or the only CSV or TSV
    file in the folder; or from LibriSpeech's ``*.trans.txt``, or from a file of the same name that ends in ``.txt``
    or ``.lab``. A table has a row of names, or it is that of LJ Speech: name, ``|``, text.

    Raises:
        UsageError: there is no such folder, or no such table. DataError: no recording in it has a text.
    """
    folder = Path(data)
    if not folder.is_dir():
        raise UsageError(f"{data} is not a folder of recordings" if folder.exists() else f"there is no folder {data}")
    files = files_in(folder)
    sounds = [p for p in files if p.suffix.lower() in SUFFIXES]
    if not sounds:
        raise DataError(f"{data} has no recordings (names that end in {', '.join(SUFFIXES)})")
    texts, parts = _texts(folder, files, sounds, options)
    found, bad = [], []
    for path in sounds:
        text = " ".join(texts.get(path, "").split())
        if not text:
            bad.append(
                f"{path} has no text" + ("" if options.pattern is None else ": --pattern does not match its name")
            )
            continue
        found.append(Recording(path, text, _part(folder, path, parts.get(path), options)))
    if not found:
        hint = "name the table with --transcripts, or say with --pattern how names give it"
        raise DataError(f"{data} has {len(sounds):,} recordings, and no text for any of them: {hint}")
    return found, bad


def _texts(
    folder: Path, files: list[Path], sounds: list[Path], options: TranscribeOptions
) -> tuple[dict[Path, str], dict[Path, str]]:
    """The text of each recording, and the part that a table says it belongs to."""
    if options.pattern is not None:
        wanted = re.compile(options.pattern)
        matches = {p: wanted.search(p.relative_to(folder).as_posix()) for p in sounds}
        if any(matches.values()):
            return {p: match.group(1) or "" for p, match in matches.items() if match}, {}
    tables = [p for p in files if p.suffix.lower() in TABLES]
    if options.transcripts is not None:
        table = Path(options.transcripts)
        if not table.is_file():
            raise UsageError(f"--transcripts: there is no file {table}")
        return _of_table(table, folder, sounds)
    if len(tables) > 1:
        names = ", ".join(p.name for p in tables[:3])
        raise UsageError(f"{folder} has several tables ({names}): name one with --transcripts")
    if tables:
        return _of_table(tables[0], folder, sounds)
    texts: dict[Path, str] = {}
    for path in (p for p in files if p.name.endswith(".trans.txt")):
        for line in _read(path).splitlines():
            name, _, text = line.partition(" ")
            texts |= {path.parent / (name + suffix): text for suffix in SUFFIXES}
    for path in sounds:
        for beside in (path.with_suffix(".txt"), path.with_suffix(".lab")):
            if path not in texts and beside.is_file():
                texts[path] = _read(beside)
    return texts, {}


def _of_table(table: Path, folder: Path, sounds: list[Path]) -> tuple[dict[Path, str], dict[Path, str]]:
    known: dict[str, Path] = {}
    for path in sounds:  # by any way a table may name it
        whole = path.relative_to(folder).as_posix()
        for name in (whole, path.name, path.stem, whole.rpartition(".")[0], str(path)):
            known.setdefault(name, path)
    texts, parts = {}, {}
    for name, text, part in _rows(table):
        named = known.get(name) or known.get(Path(name).name)
        if named is not None:
            texts[named] = text
            if part.lower() in PART_NAMES:
                parts[named] = PART_NAMES[part.lower()]
    return texts, parts


def _rows(table: Path) -> Iterator[tuple[str, str, str]]:
    """File name, text and part of each row."""
    lines = _read(table).splitlines()
    first = lines[0] if lines else ""
    if "|" in first and "," not in first.partition("|")[0] and "\t" not in first:  # LJ Speech has no names
        for line in lines:
            name, *texts = line.split("|")
            yield name.strip(), texts[-1] if texts else "", ""
        return
    reader = csv.DictReader(lines, delimiter="\t" if "\t" in first else ",")
    names = {name.strip().lower(): name for name in reader.fieldnames or [] if name}
    columns = [next((names[one] for one in some if one in names), None) for some in (_FILE, _TEXT, _PART)]
    if columns[0] is None or columns[1] is None:
        raise DataError(
            f"{table}: expected a column with the file ({', '.join(_FILE[:3])}) and one with the text "
            f"({', '.join(_TEXT[:3])}), got {', '.join(names) or 'none'}"
        )
    for row in reader:
        if None in row.values() or any(cell.strip() for cell in row.get(None) or ()):
            raise DataError(
                f"{table}, line {reader.line_num}: has more or fewer cells than the {len(reader.fieldnames or [])} "
                "in the first row: a text with a separator in it needs quotes"
            )
        name, text, part = (row.get(column) or "" if column else "" for column in columns)
        yield name.strip(), text, part.strip()


def _part(folder: Path, path: Path, said: str | None, options: TranscribeOptions) -> str | None:
    """The part of a recording: by ``--test``, by the table, or by the folder it lies in."""
    inside = path.relative_to(folder)
    if options.test is not None:
        return "test" if re.search(options.test, inside.as_posix()) else None
    return said or (PART_NAMES.get(inside.parts[0].lower()) if len(inside.parts) > 1 else None)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
