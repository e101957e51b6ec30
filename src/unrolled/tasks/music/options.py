"""What a person can say about music. No torch here, so that help is instant."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unrolled.options import check, check_one_of, check_types, option, percentages

REPRESENTATIONS = ("roll", "events", "abc")
HEADS = ("nade", "bernoulli")


@dataclass(frozen=True)
class MusicOptions:
    """Settings of the music task; None where the program is to choose.

    ``representation``: ``roll``, which of 88 keys sound at each step; ``events``, tokens with timing and velocity;
    ``abc``, the letters of ABC tunes. ``head`` is how the keys of a step depend on each other: not at all
    (``bernoulli``), or each on those below it (``nade``). ``split`` is the training, validation and test part in
    percent of the pieces, for data that are not split already.
    """

    representation: str | None = option(None, "roll, events or abc (default: by the files).", metavar="KIND")
    head: str = option("nade", "Keys of a roll: nade (chords, default) or bernoulli (independent).", metavar="KIND")
    units: int = option(128, "Hidden units of the nade head (128).")
    steps_per_quarter: int | None = option(None, "Steps of a roll per quarter note (MIDI 4).")
    longest: int | None = option(None, "Cut pieces into sequences of so many steps (roll 256, others 512).")
    transpose: int | None = option(None, "Train on rolls moved by up to so many semitones at random (5).")
    split: str = option("80/10/10", "Training/validation/test in percent (80/10/10).", metavar="A/B/C")

    def __post_init__(self) -> None:
        check_types(self)
        if self.representation is not None:
            check_one_of(self, "representation", REPRESENTATIONS)
        check_one_of(self, "head", HEADS)
        check(self.units >= 1, "units", f"must be a whole number from 1, got {self.units}")
        steps = self.steps_per_quarter
        check(steps is None or 1 <= steps <= 96, "steps_per_quarter", f"must be from 1 to 96, got {steps}")
        check(self.longest is None or self.longest >= 8, "longest", f"must be at least 8 steps, got {self.longest}")
        moved = self.transpose
        check(moved is None or 0 <= moved <= 12, "transpose", f"must be from 0 to 12 semitones, got {moved}")
        self.shares()

    def shares(self) -> tuple[int, int, int]:
        """The split as three whole percentages."""
        return percentages(self.split, "80/10/10")


@dataclass(frozen=True)
class SampleOptions:
    """Settings of ``unrolled sample`` for music."""

    bars: int = option(8, "Length in bars of four quarter notes (8).")
    prime: str | None = option(None, "Music to go on from: a MIDI or ABC file.", metavar="FILE", is_name=True)
    temperature: float = option(1.0, "Below 1 safer, above 1 bolder; 0 takes the most likely (1).")
    tempo: float = option(100.0, "Quarter notes a minute (100).")
    soundfont: str | None = option(None, "Instruments for WAV: a SoundFont.", metavar="FILE.sf2", is_name=True)
    seed: int = option(1, "The same seed gives the same music (1).")

    def __post_init__(self) -> None:
        check_types(self)
        check(1 <= self.bars <= 10_000, "bars", f"must be a whole number from 1 to 10,000, got {self.bars}")
        warm = 0 <= self.temperature < math.inf
        check(warm, "temperature", f"must be a number from 0, got {self.temperature}")
        check(10 <= self.tempo <= 1000, "tempo", f"must be from 10 to 1,000, got {self.tempo}")
        check(0 <= self.seed < 2**63, "seed", f"must lie in [0, 2^63), got {self.seed}")
