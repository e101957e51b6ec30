"""What a person can say about a text. No torch here, so that help is instant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from unrolled.options import check, check_one_of, check_types, option, percentages
from unrolled.tasks.symbols.units import UNITS

VOCABULARIES = ("extended", "same", "text")


@dataclass(frozen=True)
class TextOptions:
    """Settings of the text task; None where the program is to choose.

    ``include`` picks files of a folder. ``split`` is the training, validation and test part in percent, in the
    order of the text. ``vocabulary_size`` is the most words that a vocabulary of words has; the rarer ones are
    unknown. ``vocabulary`` belongs to runs that start from another's weights: that run's and the text's symbols
    (``extended``), that run's alone (``same``), or the text's alone (``text``).
    """

    units: str = option("characters", "characters (default), bytes or words.")
    split: str = option("90/5/5", "Training/validation/test in percent (90/5/5).", metavar="A/B/C")
    include: str = option("**/*", "Files of a folder to read: '**/*.txt'.", metavar="PATTERN", is_name=True)
    vocabulary_size: int = option(20_000, "Largest vocabulary of words (20000).")
    vocabulary: str | None = option(None, "With --from: extended (default), same or text.", metavar="WHICH")

    def __post_init__(self) -> None:
        check_types(self)
        check_one_of(self, "units", UNITS)
        check(self.vocabulary_size >= 2, "vocabulary_size", f"must be at least 2, got {self.vocabulary_size}")
        if self.vocabulary is not None:
            check_one_of(self, "vocabulary", VOCABULARIES)
        self.shares()

    def shares(self) -> tuple[int, int, int]:
        """The split as three whole percentages."""
        return percentages(self.split, "90/5/5")


@dataclass(frozen=True)
class SampleOptions:
    """How a text is written; see `TrainedText.stream`."""

    length: int = option(500, "Number of symbols to write (500).")
    prime: str = option("", "Text to continue.", metavar="TEXT")
    temperature: float = option(1.0, "Below 1 safer, above 1 bolder; 0 takes the most likely (1).")
    top_k: int | None = option(None, "Only the k most likely symbols.")
    top_p: float | None = option(None, "Only the most likely symbols, up to probability p.")
    stop: str | None = option(None, "Stop before this text.", metavar="TEXT")
    seed: int = option(1, "The same seed gives the same text (1).")
    raw: bool = option(False, "Write a byte model's output unchanged, without a final newline.")

    def __post_init__(self) -> None:
        check_types(self)

    def settings(self) -> dict[str, Any]:
        """All but the length and the form."""
        return {name: value for name, value in asdict(self).items() if name not in ("length", "raw")}
