"""A score as a person gets it: MIDI, a picture, and sound where there is a SoundFont."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unrolled.tasks.music.picture import piano_roll
from unrolled.tasks.music.sound import wav
from unrolled.training.task import Shown


def shown(score: Any, primed: float, font: Path | None) -> Shown:
    """The MIDI file, with the other forms beside it.

    Arguments:
        primed: so many quarter notes were given.
        font: the SoundFont; None for no sound.
    """
    sound, silent = wav(score, font)
    beside = [Shown("picture", piano_roll(score, primed))] + [Shown("wav", sound)] * bool(sound)
    return Shown("midi", score.dumps_midi(), tuple(beside), silent and f"no WAV: {silent}")
