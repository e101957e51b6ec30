"""Recordings read into memory, or into a file that the system pages in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from unrolled.errors import DataError
from unrolled.tasks.sequences import Sequences
from unrolled.tasks.transcribe.options import TranscribeOptions
from unrolled.tasks.transcribe.recordings import Recording, recordings_of
from unrolled.tasks.transcribe.sound import LONGEST, rate_of, read_sound

_LOOKED_AT = 200
"""Recordings whose rates are looked at to choose one."""


@dataclass
class Speech:
    """What a folder of recordings has.

    Fields:
        sounds: samples of each, 16 bits, at the rate ``rate``.
        texts, parts, names: of each; a part is None where the data do not say.
        bad: a sentence for each recording that was left out.
    """

    rate: int
    sounds: Sequences = field(default_factory=lambda: Sequences(np.int16))
    texts: list[str] = field(default_factory=list)
    parts: list[str | None] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Of all recordings together."""
        return float(self.sounds.lengths.sum()) / self.rate


def read_speech(data: str, options: TranscribeOptions) -> Speech:
    """All recordings of a folder.

    Raises:
        UsageError: there is no such folder. DataError: none of its recordings can be used.
    """
    found, bad = recordings_of(data, options)
    speech = Speech(options.rate or _usual_rate(found), bad=bad)
    for one in found:
        try:
            sound = read_sound(one.path, speech.rate)
            if len(sound) > LONGEST * speech.rate:
                raise DataError(f"{one.path} is longer than an hour: cut it at pauses")
            if not sound.any():
                raise DataError(f"{one.path} is silent")
        except DataError as error:
            speech.bad.append(str(error))
            continue
        speech.sounds.append(sound)
        speech.texts.append(one.text)
        speech.parts.append(one.part)
        speech.names.append(one.path.name)
    if not speech.texts:
        others = f"; and {len(speech.bad) - 1:,} more that cannot be used" if len(speech.bad) > 1 else ""
        raise DataError(speech.bad[0] + others)
    return speech


def _usual_rate(found: list[Recording]) -> int:
    """The rate of most of the first recordings; the lowest of several that are as frequent."""
    rates: Counter[int] = Counter()
    for one in islice(found, _LOOKED_AT):
        try:
            rates[rate_of(one.path)] += 1
        except DataError:
            continue
    return min(rates, key=lambda rate: (-rates[rate], rate)) if rates else 16_000
