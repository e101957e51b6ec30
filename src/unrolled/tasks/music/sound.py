"""Sound: a score as WAV, played by the program fluidsynth with a SoundFont, a file of recorded instruments."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.errors import UsageError

_PROGRAM = "fluidsynth"
_ERROR = "fluidsynth: error: "
_RATE = 44_100
_LOUDEST = 0.9
_LONGEST = 20
"""Minutes of sound, at 10 MB each."""
_SHARED = "/usr/local/share:/usr/share:/opt/homebrew/share"
_FOLDERS = ("soundfonts", "sounds/sf2", "sounds/sf3", "fluid-synth/sf2")


def soundfont(given: str | None) -> Path | None:
    """The SoundFont to play with: the one given, else one that the system has; None where it has none.

    Raises:
        UsageError: the one given is not there or is damaged, or nothing can play it.
    """
    if given is None:
        return next(filter(_is_whole, _installed()), None)
    file = Path(given)
    if not file.is_file():
        raise UsageError(f"--soundfont: there is no file {given}")
    if not _is_whole(file):
        raise UsageError(f"--soundfont: {given} is no SoundFont, or a damaged one")
    if shutil.which(_PROGRAM) is None:
        raise UsageError(f"--soundfont: the program {_PROGRAM} plays it: install that")
    return file


def _is_whole(file: Path) -> bool:
    """Whether a file begins as a SoundFont does, and is as long as it says."""
    try:
        with open(file, "rb") as stream:
            head = stream.read(12)
        whole = file.stat().st_size >= 8 + int.from_bytes(head[4:8], "little")
    except OSError:
        return False
    return whole and head[:4] == b"RIFF" and head[8:] == b"sfbk"


def _installed() -> Iterator[Path]:
    """The SoundFonts of this person and of the system, in each place the default first."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    shared = [*(os.environ.get("XDG_DATA_DIRS") or "").split(os.pathsep), *_SHARED.split(":")]
    for place in (home, *filter(None, shared)):
        found = [file for folder in _FOLDERS for file in Path(place, folder).glob("*.sf[23]")]
        yield from sorted(found, key=lambda file: (not file.stem.startswith("default"), file.name))


def wav(score: Any, font: Path | None) -> tuple[bytes, str]:
    """A score as WAV: 16 bit, stereo, 44.1 kHz. Where there is none, nothing, and the reason."""
    if font is None or shutil.which(_PROGRAM) is None:
        missing = "a SoundFont" if font is None else f"the program {_PROGRAM}"
        return b"", f"{missing} is missing (apt install fluidsynth fluid-soundfont-gm)"
    minutes = score.to("second").end() / 60
    if minutes > _LONGEST:
        return b"", f"the music lasts {minutes:,.0f} minutes, and sound is made of {_LONGEST} at most"
    with tempfile.TemporaryDirectory() as folder:
        midi, raw = Path(folder, "tune.mid"), Path(folder, "tune.raw")
        midi.write_bytes(score.dumps_midi())
        form = ["-n", "-i", "-q", "-r", str(_RATE), "-T", "raw", "-O", "s16", "-E", "little", "-F", str(raw)]
        played = subprocess.run([_PROGRAM, *form, str(font.resolve()), str(midi)], capture_output=True, check=False)
        wrong = [line for line in played.stderr.decode("utf-8", "replace").split("\n") if _ERROR in line]
        sound = np.fromfile(raw, "<i2").astype(np.float32) if raw.exists() else np.zeros(0, np.float32)
    loudest = float(np.abs(sound).max(initial=0.0))
    if wrong or not loudest:  # it goes on with another SoundFont where it has one
        return b"", f"{_PROGRAM} cannot play {font}" + "".join(f": {line.partition(_ERROR)[2]}" for line in wrong[:1])
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes((sound * (_LOUDEST * 32_767 / loudest)).astype("<i2").tobytes())
    return stream.getvalue(), ""
