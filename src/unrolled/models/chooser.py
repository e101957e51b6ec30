"""Chooser: one symbol from scores and a uniform number. One rule for the engine, the heads and decoding."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from unrolled.errors import RunError


@dataclass(frozen=True)
class Chooser:
    """Chooses one symbol from scores and a uniform number.

    Equation::

        p = softmax(scores / temperature)     the first k with p_0 + ... + p_k > u * (p_0 + ... + p_{V-1})

    in double precision, in the order of the symbols. Temperature 0 takes the highest score. ``top_k``
    keeps the k most likely symbols, ``top_p`` the fewest whose probabilities reach p; ties go to the
    lower symbol. Symbols in ``exclude`` are never chosen.

    Raises:
        ValueError: a setting out of range, or no symbol that is left. RunError: scores that are not finite.

    Source:
        top-p: A. Holtzman et al., "The curious case of neural text degeneration" (2020).

    >>> Chooser(temperature=0)(np.array([0.0, 2.0, 1.0]), u=0.5)
    1
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    exclude: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        if self.top_k is not None and (not isinstance(self.top_k, int) or self.top_k < 1):
            raise ValueError(f"top_k must be a whole number from 1, got {self.top_k!r}")
        if self.top_p is not None and (not isinstance(self.top_p, int | float) or not 0 < self.top_p <= 1):
            raise ValueError(f"top_p must lie in (0, 1], got {self.top_p!r}")

    @property
    def settings(self) -> tuple[float, int | None, float | None, tuple[int, ...]]:
        """The fields in their order."""
        return self.temperature, self.top_k, self.top_p, self.exclude

    def __call__(self, scores: np.ndarray, u: float) -> int:
        return int(self.each(scores[None], np.array([u]))[0])

    def each(self, scores: np.ndarray, u: np.ndarray) -> np.ndarray:
        """One symbol for each row: scores (R, V) and numbers (R,) to symbols (R,)."""
        scores = scores.astype(np.float64)
        if not np.isfinite(scores).all():
            raise RunError("the model's scores are not finite: its weights are damaged")
        check_excluded(self.exclude, scores.shape[1])
        scores[:, list(self.exclude)] = -np.inf
        if self.temperature == 0:
            return scores.argmax(axis=1)
        p = np.exp((scores - scores.max(axis=1, keepdims=True)) / self.temperature)
        if self.top_k is not None or self.top_p is not None:
            p = np.array([self._most_likely(row) for row in p]).reshape(p.shape)
        total = np.cumsum(p, axis=1)
        k = (total <= (u * total[:, -1])[:, None]).sum(axis=1)
        last = p.shape[1] - 1 - (p[:, ::-1] != 0).argmax(axis=1)
        return np.minimum(k, last)

    def _most_likely(self, p: np.ndarray) -> np.ndarray:
        order = np.argsort(-p, kind="stable")
        keep = len(p) if self.top_k is None else min(self.top_k, len(p))
        if self.top_p is not None:
            reached = np.cumsum(p[order]) >= self.top_p * p.sum()
            keep = min(keep, int(reached.argmax()) + 1 if reached.any() else len(p))
        kept = np.zeros_like(p)
        kept[order[:keep]] = p[order[:keep]]
        return kept


def check_excluded(exclude: Collection[int], count: int) -> None:
    """ValueError unless these are some of so many symbols, and not all."""
    if unknown := [k for k in exclude if not 0 <= k < count]:
        raise ValueError(f"exclude must be symbols from 0 to {count - 1}, got {unknown[0]}")
    if len(set(exclude)) == count:
        raise ValueError(f"exclude leaves none of the {count} symbols to choose")


def check_temperature(value: Any) -> None:
    """ValueError unless it is a finite number from 0."""
    if not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"temperature must be a number from 0, got {value!r}")
