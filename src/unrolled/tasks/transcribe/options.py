"""What a person can say about transcription. No torch here, so that help is instant."""

from __future__ import annotations

import re
from dataclasses import dataclass

from unrolled.errors import UsageError
from unrolled.options import check, check_types, flag, option, percentages

RATES = range(2_000, 200_001)
"""Samples a second."""


@dataclass(frozen=True)
class TranscribeOptions:
    """Settings of the transcription task; None where the program is to choose.

    ``pattern`` is a regular expression for file names, whose first group is the text; without it, texts come from the
    table ``transcripts``, or from the one that lies in the folder. ``test`` is one for the recordings of the test
    part. ``join`` is how many recordings of the training part may follow one another in an utterance, and
    ``reduction`` how many frames of 10 ms, or samples of
    a nanopore's read, make a step of the recurrent layers.
    """

    transcripts: str | None = option(
        None, "Table of file names and texts (default: the one in the folder).", metavar="FILE", is_name=True
    )
    pattern: str | None = option(None, "Regular expression: group 1 of a file's name is its text.", metavar="REGEX")
    test: str | None = option(None, "Regular expression for the names of the test part.", metavar="REGEX")
    split: str = option("80/10/10", "Training/validation/test in percent (80/10/10).", metavar="A/B/C")
    rate: int | None = option(None, "Samples a second, to which all is resampled (default: by the files).")
    mels: int = option(40, "Bands of the log-mel spectrum (40).")
    reduction: int | None = option(None, "Frames of 10 ms, or samples of a read, for one step (2 and 3).")
    join: int = option(1, "Join up to so many recordings to one, with pauses, in training (1).")
    augment: bool = option(True, "Vary speed and loudness, add noise, stretch and mask bands in training.")

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("pattern", "test"):
            if (text := getattr(self, name)) is not None:
                _check_pattern(name, text, groups=name == "pattern")
        both = self.pattern is not None and self.transcripts is not None
        check(not both, "pattern", "the texts come from --transcripts: give one of the two")
        usable = self.rate is None or self.rate in RATES
        check(usable, "rate", f"must be from {RATES[0]:,} to {RATES[-1]:,}, got {self.rate}")
        check(8 <= self.mels <= 256, "mels", f"must be from 8 to 256, got {self.mels}")
        steps = self.reduction
        check(steps is None or 1 <= steps <= 16, "reduction", f"must be from 1 to 16, got {steps}")
        check(1 <= self.join <= 100, "join", f"must be from 1 to 100, got {self.join}")
        self.shares()

    def shares(self) -> tuple[int, int, int]:
        """The split as three whole percentages."""
        return percentages(self.split, "80/10/10")


def _check_pattern(name: str, text: str, groups: bool) -> None:
    try:
        made = re.compile(text)
    except re.error as error:
        raise UsageError(f"{flag(name)} {text}: not a regular expression: {error}") from error
    if groups and not made.groups:
        raise UsageError(f"{flag(name)} {text}: expected a group in brackets, such as (\\w+)_")
