"""Sound files as mono samples at one rate."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.errors import DataError
from unrolled.tasks.extras import needed

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au")
LONGEST = 3600
"""Seconds of one recording that training can use."""
_BLOCK = 1 << 16
_CUT = re.compile(r"(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)")
"""In libsndfile's remarks on a file: how many bytes of samples its header says it has, and how many it has."""
_SLACK = 128
"""Bytes by which a header may be wrong, as those are whose writer counts them differently."""
_UNKNOWN = 0x7F000000
"""From so many bytes on, a header stands for a recording whose length was not known when it was begun."""
_WHAT = "Sound files"


def rate_of(path: Path) -> int:
    """Samples a second of a file; DataError if it cannot be read."""
    with _opened(path) as file:
        return int(file.samplerate)


def read_sound(path: Path, rate: int, longest: float = math.inf) -> np.ndarray:
    """The mean of the channels (samples,), 16 bits.

    Arguments:
        longest: seconds that it may have.

    Raises:
        DataError: the file cannot be used.
    """
    pieces, samples = [], 0
    for piece in pieces_of(path, rate):
        pieces.append(piece)
        samples += len(piece)
        if samples > longest * rate:
            raise DataError(f"{path} is longer than {longest / 60:g} minutes: cut it at pauses")
    return np.concatenate(pieces)


def pieces_of(path: Path, rate: int) -> Iterator[np.ndarray]:
    """The same, a second or so at a time, so that a file of any length needs little memory.

    Raises:
        DataError: the file cannot be used.
    """
    with _opened(path) as file:
        resampler = None
        if file.samplerate != rate:
            soxr = needed("soxr", "Sounds of another rate")
            resampler = soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32")
        any_yet = False
        while True:
            try:
                block = file.read(_BLOCK, dtype="float32", always_2d=True)
            except RuntimeError as error:  # soundfile's own error is one
                raise DataError(f"{path} is damaged: {_reason(error)}") from error
            mono = block.mean(axis=1)
            if not np.isfinite(mono).all():
                raise DataError(f"{path} has samples that are not finite")
            last = len(block) < _BLOCK
            if resampler is not None:
                mono = resampler.resample_chunk(mono, last=last)
            if len(mono):
                any_yet = True
                yield np.rint(32767 * np.clip(mono, -1, 1)).astype(np.int16)
            if last and not any_yet:
                raise DataError(f"{path} has no samples")
            if last:
                return


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file; soundfile is given the bytes, since it takes no name that is not UTF-8."""
    soundfile = needed("soundfile", _WHAT)
    try:
        stream = open(path, "rb")  # noqa: SIM115  it is closed below
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    with stream:
        try:
            file = soundfile.SoundFile(stream)
        except TypeError as error:  # soundfile takes it for raw samples, by its name
            raise DataError(f"{path} does not say its rate: pipe raw samples to --stream -") from error
        except soundfile.SoundFileError as error:
            raise DataError(f"{path} cannot be read as sound: {_reason(error)}") from error
        with file:
            said, there = map(int, found.groups()) if (found := _CUT.search(file.extra_info)) else (0, 0)
            if there + _SLACK < said < _UNKNOWN:
                raise DataError(f"{path} is damaged: it ends after {there:,} of its {said:,} bytes of samples")
            yield file


def _reason(error: Exception) -> str:
    """What soundfile says, without its own naming of the file."""
    return str(error).rpartition(": ")[2].rstrip(".") or type(error).__name__
