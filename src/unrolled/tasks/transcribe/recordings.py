"""Which recordings a folder has, what is said in each, and which part each belongs to."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from unrolled.errors import DataError, UsageError
from unrolled.tasks.folders import files_in, part_of_folder
from unrolled.tasks.transcribe.options import TranscribeOptions
from unrolled.tasks.transcribe.recognising import TABLES
from unrolled.tasks.transcribe.sound import SUFFIXES
from unrolled.tasks.transcribe.tables import Said, read_table, read_text
from unrolled.wording import counted


@dataclass(frozen=True)
class Recording:
    """A sound file, its text, and the part it belongs to where the data say so."""

    path: Path
    text: str
    part: str | None


def recordings_of(data: str, options: TranscribeOptions, is_own: bool = True) -> tuple[list[Recording], list[str]]:
    """The recordings of a folder, and a sentence for each that has no text.

    Texts come from ``--pattern``; or from a table, ``--transcripts`` or the only CSV or TSV file in the folder; or
    from LibriSpeech's ``*.trans.txt``, or from a file of the same name that ends in ``.txt`` or ``.lab``. A table has
    a heading, or it is that of LJ Speech: name, ``|``, text. Letters are composed (NFC), whoever wrote them.

    Arguments:
        is_own: the folder is that for which the settings were given. Of another one, ``--pattern`` counts if it
            matches any name, and ``--transcripts`` does not.

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
    said = _said(folder, files, sounds, options, is_own)
    found, bad = [], list(said.about)
    for path in sounds:
        text = " ".join(unicodedata.normalize("NFC", said.texts.get(path, "")).split())
        if path in said.bad:
            bad.append(said.bad[path])
        elif text:
            found.append(Recording(path, text, _part(folder, path, said.parts.get(path), options)))
        else:
            why = "" if options.pattern is None else ": --pattern does not match its name"
            bad.append(f"{path} has no text{why}")
    if not found:
        hint = "name the table with --transcripts, or say with --pattern how names give it"
        if options.pattern is not None:
            hint = f"--pattern {options.pattern} matches no name, such as {sounds[0].relative_to(folder)}"
        elif bad:
            hint = bad[0]
        raise DataError(f"{data} has {counted(len(sounds), 'recordings')}, and no text for any of them: {hint}")
    return found, bad


def _said(folder: Path, files: list[Path], sounds: list[Path], options: TranscribeOptions, is_own: bool) -> Said:
    """What the data say of each recording."""
    if options.pattern is not None:
        wanted = re.compile(options.pattern)
        matches = {p: wanted.search(p.relative_to(folder).as_posix()) for p in sounds}
        if is_own or any(matches.values()):
            return Said({p: match.group(1) or "" for p, match in matches.items() if match})
    tables = [p for p in files if p.suffix.lower() in TABLES]
    if options.transcripts is not None and is_own:
        table = Path(options.transcripts)
        if not table.is_file():
            raise UsageError(f"--transcripts: there is no file {table}")
        return read_table(table, folder, sounds)
    if len(tables) > 1:
        names = ", ".join(p.name for p in tables[:3])
        raise UsageError(f"{folder} has several tables ({names}): name one with --transcripts")
    if tables:
        return read_table(tables[0], folder, sounds)
    return Said(_beside(files, sounds))


def _beside(files: list[Path], sounds: list[Path]) -> dict[Path, str]:
    """Texts in LibriSpeech's files, and in a file beside each recording."""
    texts: dict[Path, str] = {}
    for path in (p for p in files if p.name.endswith(".trans.txt")):
        for line in read_text(path).split("\n"):
            name, _, text = line.partition(" ")
            texts |= {path.parent / (name + suffix): text for suffix in SUFFIXES}
    for path in sounds:
        for beside in (path.with_suffix(".txt"), path.with_suffix(".lab")):
            if path not in texts and beside.is_file():
                texts[path] = read_text(beside)
    return texts


def _part(folder: Path, path: Path, said: str | None, options: TranscribeOptions) -> str | None:
    """The part of a recording: by ``--test``, by the table, or by the folder it lies in."""
    inside = path.relative_to(folder)
    if options.test is not None:
        return "test" if re.search(options.test, inside.as_posix()) else None
    return said or part_of_folder(inside)
