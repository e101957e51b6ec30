"""Reading music: files and folders of MIDI and ABC, and the JSON of collections of piano rolls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.errors import DataError, UsageError
from unrolled.tasks.folders import PART_NAMES, files_in, part_of_folder
from unrolled.tasks.music.notes import KEYS, LOWEST, score_of_file, score_of_roll
from unrolled.tasks.music.tunes import score_of_tune
from unrolled.wording import shortened

MIDI = (".mid", ".midi", ".kar")
ABC = ".abc"
_COLLECTION = re.compile(rb'\s*\{\s*"(\w+)"\s*:\s*\[\s*\[\s*\[')
_STEPS = {r"16th|sixteenth": 4, r"(?<!\d)8th|eighth": 2, r"quarter": 1}
"""Per quarter note, by what the name of a collection says."""
_LOOKED_AT = 1_000
"""Files of a folder, to tell whether it is one of music."""


@dataclass(frozen=True)
class Source:
    """One piece as it was found: in a MIDI file, as an ABC tune, or as a roll.

    Fields:
        name: of the file, and which of its pieces.
        part: which it belongs to, if the data say.
        steps: of a roll, per quarter note; None where its file does not say.
        wrong: why it cannot be used, if it cannot.
    """

    name: str
    part: str = ""
    file: Path | None = None
    tune: str | None = None
    roll: np.ndarray | None = None
    steps: int | None = None
    wrong: str = ""

    def score(self) -> Any:
        """Its notes; DataError if there are none."""
        if self.file is not None:
            return score_of_file(self.file)
        if self.tune is not None:
            return score_of_tune(self.tune, self.name)[0]
        assert self.roll is not None
        return score_of_roll(self.roll, self.steps or 1, tempo=100)


def is_music(path: Path) -> bool:
    """Whether a file has MIDI, ABC, or piano rolls as JSON, or most files of a folder have."""
    if path.is_dir():
        found = [p.suffix.lower() in (*MIDI, ABC) for p in islice(path.rglob("*"), _LOOKED_AT) if p.is_file()]
        return 2 * sum(found) > len(found)
    if path.suffix.lower() == ".json":
        try:
            with open(path, "rb") as stream:
                begin = _COLLECTION.match(stream.read(4096))
        except OSError:
            return False
        return begin is not None and begin[1].decode().lower() in PART_NAMES
    return path.suffix.lower() in (*MIDI, ABC)


def files_of(data: str) -> list[Path]:
    """The files of music: the one that is named, or those of a folder, but hidden ones and those of runs.

    Raises:
        UsageError: there is no such file or folder. DataError: no music in it.
    """
    path = Path(data)
    if not path.exists():
        raise UsageError(f"there is no file or folder {data}")
    if not path.is_dir():
        return [path]
    files = [p for p in files_in(path) if p.suffix.lower() in (*MIDI, ABC)]
    if not files:
        raise DataError(f"{data} has no MIDI or ABC files (names that end in .mid, .midi or .abc)")
    return files


def sources(data: str, files: list[Path]) -> Iterator[Source]:
    """The pieces of all files, one at a time; also those that cannot be used, each with what is wrong with it."""
    for file in files:
        part = part_of_folder(file.relative_to(data)) or ""
        try:
            yield from _sources(file, part)
        except (DataError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            yield Source(str(file), part, wrong=reason or str(error))


def _sources(file: Path, part: str) -> Iterator[Source]:
    suffix = file.suffix.lower()
    if suffix == ".json":
        yield from _of_collection(file)
    elif suffix == ABC:
        tunes = tunes_of(_text_of(file.read_bytes()))
        if not tunes:
            raise DataError(f"{file} has no ABC tune: each begins with a line X: and its number")
        for number, tune in enumerate(tunes, 1):
            yield Source(f"{file}, tune {number}" if len(tunes) > 1 else str(file), part, tune=tune)
    else:
        yield Source(str(file), part, file=file)


def _text_of(content: bytes) -> str:
    """ABC as text: in UTF-8, else in Latin-1, which all tunes were in before version 2.1 of the standard.

    >>> _text_of(b"T:Caf\\xe9"), _text_of(b"\\xef\\xbb\\xbfT:Caf\\xc3\\xa9")
    ('T:Café', 'T:Café')
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def tunes_of(text: str) -> list[str]:
    """The tunes of an ABC file, each from its line X: to the next empty line.

    >>> tunes_of("% songs\\nX:1\\nK:C\\nCDE|\\n\\nX:2\\nK:G\\nGAB|")
    ['X:1\\nK:C\\nCDE|\\n', 'X:2\\nK:G\\nGAB|\\n']
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    found = re.findall(r"^X:.*(?:\n(?!X:)[^\n]*\S[^\n]*)*", lines, flags=re.MULTILINE)
    return [tune.rstrip() + "\n" for tune in found if "\nK:" in tune]


def _of_collection(file: Path) -> Iterator[Source]:
    """The pieces of ``{"train": [[[pitch, ...], ...], ...], "valid": ..., "test": ...}``."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict) or not content or not {key.lower() for key in content} <= PART_NAMES.keys():
        raise DataError(f"{file} is not a collection of piano rolls: an object of the lists train, valid and test")
    steps = next((count for said, count in _STEPS.items() if re.search(said, file.stem.lower())), None)
    for key, pieces in content.items():
        if not isinstance(pieces, list):
            raise DataError(f"{file}: {key} is not a list of pieces")
        for number, piece in enumerate(pieces, 1):
            where, part = f"{file}, {key} {number}", PART_NAMES[key.lower()]
            try:
                roll = _roll(piece, where)
            except DataError as error:
                yield Source(where, part, wrong=str(error))
            else:
                yield Source(where, part, roll=roll, steps=steps)


def _roll(piece: Any, where: str) -> np.ndarray:
    """A list of steps, each a list of pitches, as a roll (T, 88)."""
    if not isinstance(piece, list):
        raise DataError(f"{where} is not a piece: expected a list of steps, each a list of MIDI pitches")
    roll = np.zeros((len(piece), KEYS), dtype=np.uint8)
    for t, step in enumerate(piece):
        if not isinstance(step, list) or not all(type(pitch) is int for pitch in step):
            came = shortened(json.dumps(step))
            raise DataError(f"{where}, step {t + 1:,}: is {came}, expected a list of MIDI pitches, such as [60, 64]")
        for pitch in step:
            if LOWEST <= pitch < LOWEST + KEYS:
                roll[t, pitch - LOWEST] = 1
    if not roll.any():
        raise DataError(f"{where} has no note on a piano ({LOWEST} to {LOWEST + KEYS - 1})")
    return roll
