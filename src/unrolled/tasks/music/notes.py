"""Notes: from MIDI files to rolls, and back to MIDI. symusic reads and writes the files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.errors import DataError
from unrolled.tasks.extras import needed
from unrolled.wording import counted

KEYS = 88
LOWEST = 21
"""The MIDI pitch of a piano's lowest key, A0."""
_MOST_STEPS = 200_000
_LARGEST = 64 << 20
"""Bytes of a MIDI file; one of an hour of piano music has about a million."""
_BEGIN = b"MThd"
_HEAD = 14
"""Bytes that every MIDI file begins with."""
_TICKS = 480
_NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def symusic() -> Any:
    """The module that reads and writes MIDI.

    Raises:
        UsageError: it is not installed.
    """
    return needed("symusic", "notes")


def pitch_name(pitch: int) -> str:
    """As musicians write it.

    >>> pitch_name(60), pitch_name(21)
    ('C4', 'A0')
    """
    return f"{_NAMES[pitch % 12]}{pitch // 12 - 1}"


def score_of_file(file: Path) -> Any:
    """The score of a MIDI file, in ticks.

    Raises:
        DataError: it cannot be read, or has no notes.
    """
    try:
        if file.stat().st_size > _LARGEST:
            raise DataError(f"{file} is larger than {_LARGEST >> 20} MiB, which no MIDI file of one piece is")
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror or error}") from error
    if content[: len(_BEGIN)] != _BEGIN:
        came = repr(content[:8].decode("ascii", "replace")) if content else "nothing"
        raise DataError(f"{file} is not a MIDI file: it begins with {came}, and not with {_BEGIN.decode()!r}")
    if len(content) < _HEAD:
        raise DataError(f"{file} is a damaged MIDI file: it has {counted(len(content), 'bytes')}")
    try:
        score = symusic().Score.from_midi(content)
    except (RuntimeError, ValueError, OverflowError) as error:
        raise DataError(f"{file} is a damaged MIDI file: its tracks are cut off, or not as it says") from error
    if score.tpq < 1:
        raise DataError(f"{file} is a damaged MIDI file: its quarter notes have {score.tpq} ticks")
    if not score.note_num():
        raise DataError(f"{file} has no notes")
    return score


def roll_of(score: Any, steps_per_quarter: int, where: str) -> tuple[np.ndarray, int]:
    """Which keys sound at each step (T, 88) uint8, and how many notes no piano has.

    A note begins at the step nearest to it and lasts at least one step. Drums, and silence at the start, are left
    out. A note that is struck again where it ends is one with the note before.

    Raises:
        DataError: no notes on a piano, or far too many steps.
    """
    spans = [
        (note.pitch - LOWEST, note.start, note.start + note.duration)
        for track in score.tracks
        if not track.is_drum
        for note in track.notes
    ]
    if not spans:
        raise DataError(f"{where} has no notes but drums")
    found = np.array(spans, dtype=np.float64)
    kept = found[(found[:, 0] >= 0) & (found[:, 0] < KEYS)]
    if not len(kept):
        raise DataError(f"{where} has no note on a piano: all pitches lie outside {LOWEST} to {LOWEST + KEYS - 1}")
    starts = np.floor(kept[:, 1] * steps_per_quarter / score.tpq + 0.5)
    ends = np.maximum(np.floor(kept[:, 2] * steps_per_quarter / score.tpq + 0.5), starts + 1)
    starts, ends = (t - starts.min() for t in (starts, ends))
    if ends.max() > _MOST_STEPS:
        raise DataError(f"{where} lasts {ends.max():,.0f} steps, more than {_MOST_STEPS:,}")
    roll = np.zeros((int(ends.max()), KEYS), dtype=np.uint8)
    for key, start, end in zip(kept[:, 0].astype(int), starts.astype(int), ends.astype(int), strict=True):
        roll[start:end, key] = 1
    return roll, len(found) - len(kept)


def score_of_roll(roll: np.ndarray, steps_per_quarter: int, tempo: float, velocity: int = 80) -> Any:
    """The score of a roll (T, 88), in bars of four quarter notes; a key that stays down is one note."""
    module = symusic()
    score, track = module.Score(_TICKS), module.Track("Piano", 0, False)
    ticks = _TICKS / steps_per_quarter
    edges = np.diff(np.pad(roll.astype(np.int8), ((1, 1), (0, 0))), axis=0)  # (T + 1, 88)
    for key in range(KEYS):
        begins, stops = np.flatnonzero(edges[:, key] > 0), np.flatnonzero(edges[:, key] < 0)
        for begin, stop in zip(begins.tolist(), stops.tolist(), strict=True):
            start = round(begin * ticks)
            track.notes.append(module.Note(start, round(stop * ticks) - start, key + LOWEST, velocity))
    track.notes.sort(inplace=True)
    score.tracks.append(track)
    score.tempos.append(module.Tempo(0, tempo))
    score.time_signatures.append(module.TimeSignature(0, 4, 4))
    return score


def chord_name(pitches: Iterable[int]) -> str:
    """The notes that sound together, from below; a rest is a dash.

    >>> chord_name([60, 64]), chord_name([])
    ('C4 E4', '-')
    """
    return " ".join(pitch_name(p) for p in sorted(pitches)) or "-"
