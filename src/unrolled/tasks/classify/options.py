"""What a person can say about a classification. No torch here, so that help is instant."""

from __future__ import annotations

from dataclasses import dataclass

from unrolled.options import check, check_one_of, check_types, option, percentages

UNITS = ("dna", "protein", "characters", "words", "values")
POOLS = ("last", "mean", "max", "attention", "position")
WEIGHTS = ("none", "balanced")
AUGMENTATIONS = ("shift", "noise", "reverse-complement")
FOLDS = ("leave-one-out", "official")


@dataclass(frozen=True)
class ClassifyOptions:
    """Settings of the classification task; None where the program is to choose.

    ``label`` is the column of a table, or, for FASTA, a regular expression whose first group is the label in a
    header. ``split`` is the training, validation and test part in percent, with the same share of every label; where
    the data come with a test part, the last two numbers are both of validation. ``augment`` changes sequences anew
    each time that they are trained on; see `augmenting`. ``context`` lets the network read each step between so many
    neighbours on either side. ``places`` tells it where in the sequence each step stands.
    """

    units: str | None = option(None, "dna, protein, characters, words or values (default: by the data).")
    label: str | None = option(None, "Column of the label, or a pattern for FASTA headers.", metavar="NAME")
    sequence: str | None = option(None, "Column of the sequence in a table.", metavar="NAME")
    split: str = option("80/10/10", "Training/validation/test in percent (80/10/10).", metavar="A/B/C")
    pool: str | None = option(
        None, "last, mean, max, attention, position, or several with commas (default: by the data).", metavar="HOW"
    )
    class_weights: str = option("none", "none (default), or balanced: rare labels count more.")
    augment: str | None = option(
        None, "none, shift, noise, reverse-complement, or several with commas (default: by the data).", metavar="HOW"
    )
    context: int | None = option(None, "Neighbours on either side of each step (default: by the data).", metavar="K")
    places: bool | None = option(None, "Give the network the position of each step (default: by the data).")
    longest: int = option(2000, "Steps of a sequence that are read; the rest is cut (2000).")
    folds: str | None = option(None, "Cross-validation: folds, leave-one-out or official.", metavar="K")
    seeds: int | None = option(None, "Models per fold, whose probabilities are averaged (default: by the data).")

    def __post_init__(self) -> None:
        check_types(self)
        if self.units is not None:
            check_one_of(self, "units", UNITS)
        if self.pool is not None:
            pools = self.pools()
            good = len(set(pools)) == len(pools) and set(pools) <= set(POOLS)
            check(good, "pool", f"must be some of {', '.join(POOLS)}, got {self.pool!r}")
            check(pools == ["last"] or "last" not in pools, "pool", f"last stands alone, got {self.pool!r}")
        check_one_of(self, "class_weights", WEIGHTS)
        hows = self.changes()
        good = len(set(hows)) == len(hows) and set(hows) <= set(AUGMENTATIONS)
        check(good, "augment", f"must be none, or some of {', '.join(AUGMENTATIONS)}, got {self.augment!r}")
        check(self.context is None or self.context >= 0, "context", f"must be a number from 0, got {self.context}")
        check(self.longest >= 1, "longest", f"must be a whole number from 1, got {self.longest}")
        check(self.seeds is None or self.seeds >= 1, "seeds", f"must be a whole number from 1, got {self.seeds}")
        if self.folds is not None and self.folds not in FOLDS:
            known = self.folds.isascii() and self.folds.isdigit() and int(self.folds) >= 2
            check(known, "folds", f"must be a number from 2, leave-one-out or official, got {self.folds!r}")
        self.shares()

    def changes(self) -> list[str]:
        """The augmentations by name.

        >>> ClassifyOptions(augment="shift,noise").changes()
        ['shift', 'noise']
        """
        return [] if self.augment in (None, "none") else self.augment.split(",")

    def pools(self) -> list[str]:
        """The pools by name.

        >>> ClassifyOptions(pool="mean,max").pools()
        ['mean', 'max']
        """
        return (self.pool or "mean").split(",")

    def shares(self) -> tuple[int, int, int]:
        """The split as three whole percentages."""
        return percentages(self.split, "80/10/10")
