"""Events: notes with their time, length and velocity as tokens, which miditok makes of MIDI and MIDI of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.errors import DataError, RunError, UsageError
from unrolled.models.model import Model
from unrolled.tasks.extras import needed
from unrolled.tasks.music.notes import KEYS, LOWEST, symusic
from unrolled.tasks.music.options import MusicOptions, SampleOptions
from unrolled.tasks.music.reading import Source
from unrolled.tasks.music.shown import shown
from unrolled.tasks.music.tokens import Tokens, kinds_of
from unrolled.training.task import Shown

_CONFIG: dict[str, Any] = {
    "pitch_range": (LOWEST, LOWEST + KEYS),
    "beat_res": {(0, 4): 12, (4, 12): 4},
    "num_velocities": 16,
    "use_rests": False,
    "use_programs": False,
    "use_tempos": False,
    "use_time_signatures": False,
    "use_chords": False,
}
_PER_BAR = 200
"""Tokens, at most, of a bar that is sampled."""


class Events(Tokens):
    """Tokens of Pitch, Velocity, Duration and TimeShift, in the order of time.

    All instruments but drums are one piano. A note starts on a twelfth of a quarter note, and has one of 16
    velocities.

    Source:
        N. Fradet et al., "MidiTok: a Python package for MIDI file tokenization" (2021): its tokens TSD.
    """

    name, unit = "events", "events"

    def __init__(self, options: MusicOptions, kept: Mapping[str, Any] | None = None) -> None:
        super().__init__(options, kept)
        self._tokenizer = _tokenizer()
        numbers = self._tokenizer.vocab
        self.names = sorted(numbers, key=numbers.__getitem__)
        self.start = numbers["BOS_None"]
        self.never = [k for k, n in enumerate(self.names) if n.endswith("_None")]
        if kept is not None and kept["vocabulary"] != self.names:
            raise RunError("the run was trained on tokens of another version of miditok: install that version")

    def kept(self) -> dict[str, Any]:
        """What using a model needs to know."""
        return {"vocabulary": list(self.names)}

    def convert(self, source: Source) -> np.ndarray:
        """The tokens of a piece."""
        score = _one_piano(source.score(), source.name)
        ids = self._tokenizer.encode(score)[0].ids
        if not ids:
            raise DataError(f"{source.name} has no note on a piano ({LOWEST} to {LOWEST + KEYS - 1})")
        return np.array(ids, dtype=np.int16)

    def quarters(self, tokens: Sequence[int]) -> float:
        """How much time the tokens take, in quarter notes."""
        return float(sum((self._shift(k) for k in tokens), Fraction(0)))

    def _shift(self, number: int) -> Fraction:
        kind, _, value = self.names[number].partition("_")
        if kind != "TimeShift":
            return Fraction(0)
        whole, part, of = map(int, value.split("."))
        return whole + Fraction(part, of)

    def sample(self, model: Model, options: SampleOptions, primed: np.ndarray | None, font: Path | None) -> Shown:
        """Music of so many bars."""
        given = [] if primed is None else primed.tolist()
        tokens, passed, end = list(given), Fraction(0), 4 * options.bars
        for token in self.drawn(model, options, primed, _PER_BAR * options.bars):
            passed += self._shift(token)
            if passed >= end:
                break
            tokens.append(token)
        score = self._tokenizer.decode([tokens])
        if not score.note_num():
            raise UsageError(
                f"the model plays nothing in {options.bars} bars: choose another --temperature or --seed"
            )
        last = round((self.quarters(given) + end) * score.tpq)
        for note in score.tracks[0].notes:
            note.duration = min(note.duration, last - note.start)
        score.tempos.clear()
        score.tempos.append(symusic().Tempo(0, options.tempo))
        score.time_signatures.clear()
        score.time_signatures.append(symusic().TimeSignature(0, 4, 4))
        return shown(score, self.quarters(given), font)

    def features(self, piece: np.ndarray) -> dict[str, np.ndarray]:
        """Which kind of token it is, and when."""
        names = [self.names[k] for k in piece]
        kinds = {"Pitch": "a pitch", "Velocity": "a velocity", "Duration": "a length", "TimeShift": "time passes"}
        times = np.cumsum([float(self._shift(k)) for k in piece])
        pitch = [float(n.partition("_")[2]) if n.startswith("Pitch") else np.nan for n in names]
        known = np.maximum.accumulate(np.where(np.isnan(pitch), 0, np.arange(len(pitch))))
        last = np.nan_to_num(np.array(pitch)[known], nan=60.0)
        return {**kinds_of(names, kinds), "last pitch": last, "place in the bar": times % 4 / 4}


def _tokenizer() -> Any:
    """miditok's tokenizer; UsageError if it is not installed."""
    miditok = needed("miditok", "events")
    return miditok.TSD(miditok.TokenizerConfig(**_CONFIG))


def _one_piano(score: Any, where: str) -> Any:
    """The notes of all tracks but drums in one track, from the first one on."""
    module = symusic()
    merged, track = module.Score(score.tpq), module.Track("Piano", 0, False)
    for one in score.tracks:
        if not one.is_drum:
            track.notes.extend([n for n in one.notes if LOWEST <= n.pitch < LOWEST + KEYS])
    if not len(track.notes):
        raise DataError(f"{where} has no note on a piano ({LOWEST} to {LOWEST + KEYS - 1})")
    track.notes.sort(inplace=True)
    merged.tracks.append(track)
    return merged.shift_time(-track.notes[0].start)
