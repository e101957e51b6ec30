"""A part of a sequence of symbols, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Part:
    """Consecutive symbols.

    Fields:
        numbers: its symbols.
        characters: how many characters its symbols but the first have.
        unknown: which symbols it has that the vocabulary lacks, with their counts.
    """

    numbers: np.ndarray
    characters: int
    unknown: dict[str, int]
