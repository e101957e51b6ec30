"""The current of a pore for each word of bases in it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unrolled.errors import DataError, UsageError

BASES = "ACGT"
_LONGEST = 12


@dataclass(frozen=True)
class Levels:
    """Mean and standard deviation of the current for every word of k bases.

    Fields:
        k: bases in the pore.
        mean, sd: pA, (4^k,), by the word read as a number of base 4, with A, C, G, T for 0, 1, 2, 3.
    """

    k: int
    mean: np.ndarray
    sd: np.ndarray

    def words(self, bases: np.ndarray) -> np.ndarray:
        """The number of the word that begins at each base (bases - k + 1,), of numbers 0 to 3.

        >>> Levels(2, np.zeros(16), np.zeros(16)).words(np.array([0, 1, 3])).tolist()
        [1, 7]
        """
        windows = np.lib.stride_tricks.sliding_window_view(bases, self.k)
        return np.asarray(windows @ 4 ** np.arange(self.k - 1, -1, -1))


def read_levels(path: str) -> Levels:
    """A table with the columns kmer, level_mean and level_stdv, as nanopore's are: one row for every word.

    Raises:
        UsageError: there is no such file. DataError: it is not such a table.
    """
    if not Path(path).is_file():
        raise UsageError(f"there is no file {path}")
    try:
        with open(path, encoding="utf-8", newline="") as file:
            lines = (line for line in file if not line.startswith("#"))
            rows = list(csv.DictReader(lines, delimiter="\t"))
        found = {row["kmer"].upper(): (float(row["level_mean"]), float(row["level_stdv"])) for row in rows}
    except (UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise DataError(f"{path}: expected columns kmer, level_mean and level_stdv, with tabs between") from error
    k = len(next(iter(found), ""))
    if not 1 <= k <= _LONGEST or len(found) != 4**k:
        raise DataError(f"{path} has {len(found):,} words of {k} bases, expected all {4**k:,}")
    table = np.full((4**k, 2), np.nan)
    for word, values in found.items():
        if len(word) != k or not set(word) <= set(BASES):
            raise DataError(f"{path}: {word!r} is not a word of {k} bases")
        table[int("".join(str(BASES.index(base)) for base in word), 4)] = values
    if not np.isfinite(table).all() or (table[:, 1] < 0).any():
        raise DataError(f"{path}: a level is not a finite number, or its deviation is below 0")
    return Levels(k, table[:, 0], table[:, 1])
