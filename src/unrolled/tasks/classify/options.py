"""What a person can say about a classification. No torch here, so that help is instant."""

from __future__ import annotations

from dataclasses import dataclass

from unrolled.options import check, check_one_of, check_types, option, percentages

UNITS = ("dna", "protein", "characters", "words", "values")
POOLS = ("last", "mean", "max", "attention", "position")
WEIGHTS = ("none", "balanced")
AUGMENTATIONS = ("none", "shift", "noise", "reverse-complement")
FOLDS = ("leave-one-out", "official")


@dataclass(frozen=True)
class ClassifyOptions:
    """Settings of the classification task; None where the program is to choose.

    ``label`` is the column of a table, or, for FASTA, a regular expression whose first group is the label in a
    header. ``split`` is the training, validation and test part in percent, with the same share of every label; where
    the data come with a test part, the last two numbers are both of validation. ``augment`` changes sequences anew
    each time that they are trained on; see `augmenting`. ``places`` tells the network where in the sequence each step
    stands.
    """

    units: str | None = option(None, "dna, protein, characters, words or values (default: by the data).")
    label: str | None = option(None, "Column of the label, or a pattern for FASTA headers.", metavar="NAME")
    sequence: str | None = option(None, "Column of the sequence in a table.", metavar="NAME")
    split: str = option("80/10/10", "Training/validation/test in percent (80/10/10).", metavar="A/B/C")
    pool: str | None = option(None, "last, mean, max, attention or position (default: by the data).")
    class_weights: str = option("none", "none (default), or balanced: rare labels count more.")
    augment: str = option("none", "none (default), shift, noise or reverse-complement.", metavar="HOW")
    places: bool | None = option(None, "Tell the network where each step stands (default: by the data).")
    longest: int = option(2000, "Steps of a sequence that are read; the rest is cut (2000).")
    folds: str | None = option(None, "Cross-validation: folds, leave-one-out or official.", metavar="K")
    seeds: int = option(1, "Models per fold, whose probabilities are averaged (1).")

    def __post_init__(self) -> None:
        check_types(self)
        if self.units is not None:
            check_one_of(self, "units", UNITS)
        if self.pool is not None:
            check_one_of(self, "pool", POOLS)
        check_one_of(self, "class_weights", WEIGHTS)
        check_one_of(self, "augment", AUGMENTATIONS)
        check(self.longest >= 1, "longest", f"must be a whole number from 1, got {self.longest}")
        check(self.seeds >= 1, "seeds", f"must be a whole number from 1, got {self.seeds}")
        if self.folds is not None and self.folds not in FOLDS:
            known = self.folds.isascii() and self.folds.isdigit() and int(self.folds) >= 2
            check(known, "folds", f"must be a number from 2, leave-one-out or official, got {self.folds!r}")
        self.shares()

    def shares(self) -> tuple[int, int, int]:
        """The split as three whole percentages."""
        return percentages(self.split, "80/10/10")
