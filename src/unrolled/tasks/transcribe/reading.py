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
class Collection:
    """What a folder of recordings, or of reads, has.

    Fields:
        rate: samples a second. sounds: samples of each, 16 bits.
        texts, parts, names: of each; a part is None where the data do not say; names are unique.
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

    def add(self, samples: np.ndarray, text: str, part: str | None, name: str) -> None:
        """One more."""
        self.sounds.append(samples)
        self.texts.append(text)
        self.parts.append(part)
        self.names.append(name)

    def check_any(self) -> None:
        """DataError with the first reason, where nothing can be used."""
        if not self.texts:
            others = f"; and {len(self.bad) - 1:,} more that cannot be used" if len(self.bad) > 1 else ""
            raise DataError(self.bad[0] + others)


def read_speech(data: str, options: TranscribeOptions, is_own: bool = True) -> Collection:
    """All recordings of a folder.

    Arguments:
        is_own: see `recordings_of`.

    Raises:
        UsageError: there is no such folder. DataError: none of its recordings can be used.
    """
    named, bad = recordings_of(data, options, is_own)
    found = Collection(options.rate or _usual_rate(named), bad=bad)
    for one in named:
        try:
            sound = read_sound(one.path, found.rate, LONGEST)
            if not sound.any():
                raise DataError(f"{one.path} is silent")
        except DataError as error:
            found.bad.append(str(error))
            continue
        found.add(sound, one.text, one.part, one.path.relative_to(data).as_posix())
    found.check_any()
    return found


def _usual_rate(found: list[Recording]) -> int:
    """The rate of most of the first recordings; the lowest of several that are as frequent."""
    rates: Counter[int] = Counter()
    for one in islice(found, _LOOKED_AT):
        try:
            rates[rate_of(one.path)] += 1
        except DataError:
            continue
    return min(rates, key=lambda rate: (-rates[rate], rate)) if rates else 16_000
