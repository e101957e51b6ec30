"""The budget, and the learning rate over it."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """How long to train: updates, or minutes.

    >>> Budget(updates=200).progress(updates=50, seconds=1e9)
    0.25
    """

    updates: int | None = None
    minutes: float | None = None

    def progress(self, updates: int, seconds: float) -> float:
        """The share of the budget that is used, 0 to 1."""
        if self.updates is not None:
            return min(1.0, updates / self.updates)
        assert self.minutes is not None
        return min(1.0, seconds / (60 * self.minutes))

    def seconds_left(self, updates: int, seconds: float) -> float:
        """An estimate for a budget of updates; exact for minutes."""
        progress = self.progress(updates, seconds)
        if self.minutes is not None:
            return 60 * self.minutes - seconds
        return seconds / progress - seconds if progress else math.inf


def cosine(progress: float, warmup: float) -> float:
    """The learning rate as a share of its peak: linear warm-up, then a cosine that ends at 0.

    Equation::

        p / warmup                                       p < warmup
        (1 + cos(pi * (p - warmup) / (1 - warmup))) / 2  from there to p = 1

    Source:
        I. Loshchilov & F. Hutter, "SGDR" (2017), without restarts.

    >>> [round(cosine(p, warmup=0.2), 2) for p in (0, 0.1, 0.2, 0.6, 1)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    if progress < warmup:
        return progress / warmup
    return (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


def passed(before: float, after: float, parts: int) -> bool:
    """Whether progress passed one of ``parts`` equally spaced marks."""
    return math.floor(after * parts + 1e-9) > math.floor(before * parts + 1e-9)
