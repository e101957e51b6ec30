"""The budget, and the learning rate over it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """How long to train: until so many updates, or minutes, counted from the start of the run.

    A run that is trained further has several budgets, one after the other. Each begins where the one before
    it ended, and its progress runs from 0 to 1, so that each has the whole schedule of the learning rate.

    Arguments:
        updates, minutes: where it ends; one of them.
        begun_updates, begun_seconds: where it begins.

    >>> Budget(updates=200).progress(updates=50, seconds=1e9)
    0.25
    >>> Budget(updates=200, begun_updates=100).progress(updates=150, seconds=1e9)
    0.5
    """

    updates: int | None = None
    minutes: float | None = None
    begun_updates: int = 0
    begun_seconds: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether it ends where it begins, or before."""
        if self.updates is not None:
            return self.updates <= self.begun_updates
        assert self.minutes is not None
        return 60 * self.minutes <= self.begun_seconds

    def progress(self, updates: int, seconds: float) -> float:
        """The share of the budget that is used, 0 to 1."""
        if self.is_empty:
            return 1.0
        if self.updates is not None:
            return min(1.0, (updates - self.begun_updates) / (self.updates - self.begun_updates))
        assert self.minutes is not None
        return min(1.0, (seconds - self.begun_seconds) / (60 * self.minutes - self.begun_seconds))

    def seconds_left(self, updates: int, seconds: float) -> float:
        """An estimate for a budget of updates; exact for minutes."""
        if self.minutes is not None:
            return 60 * self.minutes - seconds
        progress, used = self.progress(updates, seconds), seconds - self.begun_seconds
        return used / progress - used if progress else math.inf


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


def linear(progress: float, warmup: float) -> float:
    """The learning rate as a share of its peak: linear warm-up, then a straight line to 0.

    >>> [round(linear(p, warmup=0.2), 2) for p in (0, 0.1, 0.2, 0.6, 1)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return progress / warmup if progress < warmup else (1 - progress) / (1 - warmup)


def constant(progress: float, warmup: float) -> float:
    """The learning rate as a share of its peak: linear warm-up, then the peak until the end.

    >>> [round(constant(p, warmup=0.2), 2) for p in (0, 0.1, 0.2, 0.6, 1)]
    [0.0, 0.5, 1.0, 1.0, 1.0]
    """
    return progress / warmup if progress < warmup else 1.0


SCHEDULES: dict[str, Callable[[float, float], float]] = {"cosine": cosine, "linear": linear, "constant": constant}
"""What ``--schedule`` may name."""


def passed(before: float, after: float, parts: int) -> bool:
    """Whether progress passed one of ``parts`` equally spaced marks."""
    return math.floor(after * parts + 1e-9) > math.floor(before * parts + 1e-9)
