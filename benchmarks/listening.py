"""How fast a stream of sound is written down, and in how much memory: `unrolled transcribe RUN FILE --stream`.

    python benchmarks/listening.py FOLDER [--minutes 6 60] [--epochs 150]

FOLDER has the Free Spoken Digit Dataset. A model that reads forward alone is trained on it, and then hears its test
part, recording after recording with pauses of 0.1 to 0.5 seconds, for so many minutes, on one thread. Each row has
the share of real time that it took, beginning and end of the program included, its highest memory, the share of the
digits that are wrong, and whether its text is that of the whole recording at once, which is checked for the shortest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import wave
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from unrolled.tasks.transcribe.scores import Transcripts

RATE = 8_000


def written(digits: Path, minutes: float, to: Path) -> str:
    """So much sound, piece by piece; the digits that are said."""
    random = np.random.default_rng(0)
    files = sorted(digits.glob("*_[0-4].wav"))
    left, said = round(60 * minutes * RATE), ""
    with wave.open(str(to), "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(RATE)
        while left > 0:
            file = files[random.integers(len(files))]
            said += file.name[0]
            with wave.open(str(file)) as one:
                sound = np.frombuffer(one.readframes(one.getnframes()), np.int16)
            pause = (3 * random.standard_normal(round(RATE * random.uniform(0.1, 0.5)))).astype(np.int16)
            piece = np.concatenate([sound, pause])[:left]
            made.writeframes(piece.tobytes())
            left -= len(piece)
    return said


def measured(*arguments: object) -> tuple[str, float, float]:
    """What a command prints, its seconds and its highest memory in MiB."""
    command = [sys.executable, "-m", "unrolled", *map(str, arguments)]
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    text = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return text, time.monotonic() - began, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("digits", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[6.0, 60.0])
    parser.add_argument("--epochs", type=float, default=150.0)
    told = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        data = ("--pattern", r"^(\d)_", "--test", r"_[0-4]\.wav$", "--join", 5, "--no-augment")
        how = ("--direction", "forward", "--epochs", told.epochs, "--threads", 1, "--json")
        measured("train", told.digits, "--run", folder / "run", *data, *how)
        for n, minutes in enumerate(sorted(told.minutes)):
            sound = folder / "sound.wav"
            said = written(told.digits, minutes, sound)
            text, seconds, memory = measured("transcribe", folder / "run", sound, "--stream", "--threads", 1)
            shown = f"{minutes:>5g} min  {seconds / 60 / minutes:.4f} of real time  {memory:>6,.0f} MiB"
            scores = Transcripts()
            scores.add("sound", said, text.strip(), 0.0)
            shown += f"  {scores.means()['cer']:.2%} of {len(said):,} digits wrong"
            if n == 0:
                whole, *_ = measured("transcribe", folder / "run", sound, "--threads", 1)
                shown += "  the same text at once" if whole == text else "  ANOTHER TEXT AT ONCE"
            print(shown, flush=True)


if __name__ == "__main__":
    main()
