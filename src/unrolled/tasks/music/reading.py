"""Reading music: files and folders of MIDI and ABC, and the JSON of collections of piano rolls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.errors import DataError, UsageError
from unrolled.tasks.folders import PART_NAMES, files_in
from unrolled.tasks.music.notes import KEYS, LOWEST, score_of_file, score_of_roll
from unrolled.tasks.music.tunes import score_of_tune
from unrolled.wording import shortened

MIDI = (".mid", ".midi", ".kar")
ABC = ".abc"
_COLLECTION = re.compile(rb'\s*\{\s*"(train|training|valid|validation|val|test)"\s*:\s*\[\s*\[\s*\[')
_LOOKED_AT = 1_000
"""Files of a folder, to tell whether it is one of music."""
_ENOUGH = 10
"""Pieces to split by the piece; fewer are cut in time."""


@dataclass(frozen=True)
class Source:
    """One piece as it was found: in a MIDI file, as an ABC tune, or as a roll.

    Fields:
        name: of the file, and which of its pieces.
        part: which it belongs to, if the data say.
        steps: of a roll, per quarter note.
    """

    name: str
    part: str = ""
    file: Path | None = None
    tune: str | None = None
    roll: np.ndarray | None = None
    steps: int = 1

    def score(self) -> Any:
        """Its notes; DataError if there are none."""
        if self.file is not None:
            return score_of_file(self.file)
        if self.tune is not None:
            return score_of_tune(self.tune, self.name)[0]
        assert self.roll is not None
        return score_of_roll(self.roll, self.steps, tempo=100)


@dataclass
class Library:
    """Pieces by part, each an array with one entry a step, and what was left out.

    Fields:
        skipped: names, and why.
    """

    parts: dict[str, list[np.ndarray]] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def is_music(path: Path) -> bool:
    """Whether a file has MIDI, ABC, or piano rolls as JSON, or most files of a folder have."""
    if path.is_dir():
        found = [p.suffix.lower() in (*MIDI, ABC) for p in islice(path.rglob("*"), _LOOKED_AT) if p.is_file()]
        return 2 * sum(found) > len(found)
    if path.suffix.lower() == ".json":
        try:
            with open(path, "rb") as stream:
                return _COLLECTION.match(stream.read(4096)) is not None
        except OSError:
            return False
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


def sources(data: str, files: list[Path]) -> Iterator[Source | tuple[str, str]]:
    """The pieces of all files, one at a time; a name and a reason for a file that cannot be used."""
    for file in files:
        try:
            yield from _sources(Path(data), file)
        except (DataError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            yield str(file), reason or str(error)


def _sources(root: Path, file: Path) -> Iterator[Source | tuple[str, str]]:
    folder = file.relative_to(root).parts[0] if file != root else ""
    part, suffix = PART_NAMES.get(folder, ""), file.suffix.lower()
    if suffix == ".json":
        yield from _of_collection(file)
    elif suffix == ABC:
        tunes = tunes_of(file.read_text(encoding="utf-8", errors="replace"))
        if not tunes:
            raise DataError(f"{file} has no ABC tune: each begins with a line X: and its number")
        for number, tune in enumerate(tunes, 1):
            yield Source(f"{file}, tune {number}" if len(tunes) > 1 else str(file), part, tune=tune)
    else:
        yield Source(str(file), part, file=file)


def tunes_of(text: str) -> list[str]:
    """The tunes of an ABC file, each from its line X: to the next empty line.

    >>> tunes_of("% songs\\nX:1\\nK:C\\nCDE|\\n\\nX:2\\nK:G\\nGAB|")
    ['X:1\\nK:C\\nCDE|\\n', 'X:2\\nK:G\\nGAB|\\n']
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    found = re.findall(r"^X:.*(?:\n(?!X:)[^\n]*\S[^\n]*)*", lines, flags=re.MULTILINE)
    return [tune.rstrip() + "\n" for tune in found if "\nK:" in tune]


def _of_collection(file: Path) -> Iterator[Source | tuple[str, str]]:
    """The pieces of ``{"train": [[[pitch, ...], ...], ...], "valid": ..., "test": ...}``."""
    try:
        content = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict) or not content or not content.keys() <= PART_NAMES.keys():
        raise DataError(f"{file} is not a collection of piano rolls: an object of the lists train, valid and test")
    name = file.stem.lower()
    steps = 4 if re.search(r"16th|sixteenth", name) else 2 if re.search(r"8th|eighth", name) else 1
    for key, pieces in content.items():
        if not isinstance(pieces, list):
            raise DataError(f"{file}: {key} is not a list of pieces")
        for number, piece in enumerate(pieces, 1):
            where = f"{file}, {key} {number}"
            try:
                yield Source(where, PART_NAMES[key], roll=_roll(piece, where), steps=steps)
            except DataError as error:
                yield where, str(error)


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


def read_library(
    data: str,
    files: list[Path],
    convert: Callable[[Source], np.ndarray],
    settled: Callable[[Sequence[np.ndarray]], list[np.ndarray]],
    shares: tuple[int, int, int],
) -> Library:
    """All pieces, converted one after the other, in their parts.

    Data that name their parts, in a collection or by folders ``train``, ``valid`` and ``test``, keep them. Else ten
    pieces or more are drawn into parts, always in the same way; fewer are cut in time, each in all parts.

    Arguments:
        convert: from what was found to an array with one entry a step; DataError for a piece that cannot be used.
        settled: what the arrays become once all are known.
        shares: the parts in percent.

    Raises:
        DataError: none of the pieces can be used.
    """
    library, pieces = Library(), []
    for source in sources(data, files):
        if not isinstance(source, Source):
            library.skipped.append(source)
            continue
        try:
            pieces.append((source.part, convert(source)))
        except DataError as error:
            library.skipped.append((source.name, str(error)))
    if not pieces:
        count = len(library.skipped)
        if not count:
            raise DataError(f"{data} has no pieces")
        others = f"; and {count - 1:,} more that cannot be used" if count > 1 else ""
        raise DataError(library.skipped[0][1] + others)
    every = settled([steps for _, steps in pieces])
    library.parts = _parts([part for part, _ in pieces], every, shares)
    return library


def _parts(named: list[str], every: list[np.ndarray], shares: tuple[int, int, int]) -> dict[str, list[np.ndarray]]:
    """The pieces by part.

    Arguments:
        named: the part of each, empty where the data do not say.
    """
    parts: dict[str, list[np.ndarray]] = {"training": [], "validation": [], "test": [], "all": every}
    if any(named):
        for part, steps in zip(named, every, strict=True):
            parts[part or "training"].append(steps)
    elif len(every) >= _ENOUGH:
        held = [len(every) * share // 100 for share in shares[1:]]
        order = np.random.default_rng(0).permutation(len(every))
        cuts = {"validation": order[: held[0]], "test": order[held[0] : sum(held)], "training": order[sum(held) :]}
        parts |= {part: [every[k] for k in chosen] for part, chosen in cuts.items()}
    else:
        for steps in every:
            cuts_at = [len(steps) * shares[0] // 100, len(steps) * (shares[0] + shares[1]) // 100]
            for part, stretch in zip(("training", "validation", "test"), np.split(steps, cuts_at), strict=True):
                parts[part] += [stretch] if len(stretch) else []
    return parts
