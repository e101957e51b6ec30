"""Sound: a score as WAV, where there is a SoundFont, a file of recorded instruments."""

from __future__ import annotations

import io
import wave
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.errors import UsageError
from unrolled.tasks.music.notes import symusic

_RATE = 44_100
_PLACES = [
    *("/usr/share/sounds/sf2", "/usr/share/sounds/sf3", "/usr/share/soundfonts", "/usr/local/share/soundfonts"),
    *("/opt/homebrew/share/soundfonts", "/opt/homebrew/share/fluid-synth/sf2"),
]
HOW = "no WAV: there is no SoundFont. Install one (apt install fluid-soundfont-gm), or name one with --soundfont FILE"


def soundfont(given: str | None) -> Path | None:
    """The SoundFont to play with: the one given, or one that the system has; None where it has none.

    Raises:
        UsageError: the one given is not there, or is none.
    """
    if given is not None:
        file = Path(given)
        if not file.is_file():
            raise UsageError(f"--soundfont: there is no file {given}")
        with open(file, "rb") as stream:
            head = stream.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"sfbk":
            raise UsageError(f"--soundfont: {given} is no SoundFont")
        return file
    found = [p for place in _PLACES for p in Path(place).glob("*.sf[23]")]
    return min(found, key=lambda p: (not p.stem.startswith("default"), p.name), default=None)


def wav(score: Any, font: Path) -> bytes:
    """The score played with the instruments of a SoundFont: 16 bit, stereo, 44.1 kHz."""
    sound = np.asarray(symusic().Synthesizer(str(font), _RATE).render(score, stereo=True))  # (2, samples)
    loudest = max(1.0, float(np.abs(sound).max(initial=0.0)))
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes((sound.T / loudest * 32_767).astype("<i2").tobytes())
    return stream.getvalue()
