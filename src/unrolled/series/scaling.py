"""How the numbers of one series become those that a network reads, and back; fitted on its training part alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

PIECE = 1 << 20
"""Steps of a long series that are looked at together."""
TRANSFORMS = ("level", "sqrt", "differences", "returns")


@dataclass(frozen=True)
class Scaling:
    """A transform, then mean 0 and standard deviation 1 on the training part.

    Equation::

        level         z_t = (y_t - mean) / spread
        sqrt          z_t = (sqrt(y_t) - mean) / spread                    for y >= 0, whose variance grows with it
        differences   z_t = (y_t - y_{t-1} - mean) / spread                for series without a level
        returns       z_t = (log y_t - log y_{t-1} - mean) / spread        for prices and for growth

    Fields:
        kind: one of `TRANSFORMS`.
        mean, spread: of the transformed training part.
        floor: 0 where the training part is never below 0, so that forecasts are not either; else None.

    >>> y = np.array([1.0, 2.0, 4.0, 2.0])
    >>> one = fit_scaling(y, "returns")
    >>> z = one.forward(y)
    >>> one.back(z[1:][None, :, None], y[:1])[0, :, 0].round(6).tolist()
    [2.0, 4.0, 2.0]
    """

    kind: str
    mean: float
    spread: float
    floor: float | None

    def forward(self, y: np.ndarray) -> np.ndarray:
        """z (T,) of y (T,); NaN where y is missing, and at the first step of changes."""
        return (_transformed(y, self.kind) - self.mean) / self.spread

    def at(self, y: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """z of some steps of y (T,), in any shape, as `forward` has it."""
        w = y[steps]
        if self.changes:
            before = np.where(steps > 0, y[steps - 1], np.nan)
            w = _transformed(np.stack([before, w]), self.kind)[1]
        else:
            w = _transformed(w, self.kind)
        return (w - self.mean) / self.spread

    def back(self, z: np.ndarray, last: np.ndarray) -> np.ndarray:
        """y (O, H, M) of z, where ``last`` (O,) are the values before the first of the H steps."""
        w = z * self.spread + self.mean
        if self.kind == "sqrt":
            w = np.square(np.maximum(w, 0))
        elif self.kind == "differences":
            w = last[:, None, None] + np.cumsum(w, axis=1)
        elif self.kind == "returns":
            w = last[:, None, None] * np.exp(np.clip(np.cumsum(w, axis=1), -300, 300))
        return w if self.floor is None else np.maximum(w, self.floor)

    @property
    def changes(self) -> bool:
        """Whether it is the change from step to step that is modelled."""
        return self.kind in ("differences", "returns")

    def scored(self, y: np.ndarray) -> np.ndarray:
        """Where errors are measured: logarithms for returns, so that an error is a return; else the values."""
        return np.log(np.maximum(y, 1e-300)) if self.kind == "returns" else y

    def as_json(self) -> dict[str, Any]:
        """For a side file."""
        return asdict(self)


def fit_scaling(y: np.ndarray, kind: str) -> Scaling | None:
    """The scaling of a training part (T,); None where nothing varies, or where the transform does not fit.

    Raises:
        ValueError: another kind.
    """
    if kind not in TRANSFORMS:
        raise ValueError(f"fit_scaling: kind must be one of {', '.join(TRANSFORMS)}, got {kind!r}")
    count = len(y) - int(np.isnan(y).sum())
    lowest, highest = (float(np.fmin.reduce(y)), float(np.fmax.reduce(y))) if count else (0.0, 0.0)
    if count < 3 or not suits(kind, lowest):
        return None
    mean, spread = mean_and_spread(partial(in_pieces, y, kind))
    if not spread > 1e-12 * max(1.0, abs(lowest), abs(highest)):
        return None
    return Scaling(kind, mean, spread, 0.0 if lowest >= 0 else None)


def suits(kind: str, lowest: float) -> bool:
    """Whether a transform has a value for all numbers from ``lowest`` on; NaN for none.

    >>> suits("returns", 0.0), suits("sqrt", 0.0), suits("sqrt", -1.0), suits("level", -1.0)
    (False, True, False, True)
    """
    return not ((kind == "returns" and lowest <= 0) or (kind == "sqrt" and lowest < 0))


def mean_and_spread(pieces: Callable[[], Iterable[np.ndarray]]) -> tuple[float, float]:
    """The mean and the standard deviation of what was observed; of pieces that need not fit in memory together.

    >>> mean_and_spread(lambda: [np.array([1.0, np.nan]), np.array([3.0])])
    (2.0, 1.0)
    """
    some = list(islice(pieces(), 2))
    if len(some) == 1:
        (w,) = some
        return (0.0, 0.0) if np.isnan(w).all() else (float(np.nanmean(w)), float(np.nanstd(w)))
    count = sum(w.size - int(np.isnan(w).sum()) for w in pieces())
    if not count:
        return 0.0, 0.0
    mean = sum(float(np.nansum(w)) for w in pieces()) / count
    return mean, math.sqrt(sum(float(np.nansum(np.square(w - mean))) for w in pieces()) / count)


def in_pieces(y: np.ndarray, kind: str = "level") -> Iterator[np.ndarray]:
    """A transformed series (T, ...), some steps at a time."""
    for begin in range(0, max(len(y), 1), PIECE):
        before = min(begin, 1)
        yield _transformed(y[begin - before : begin + PIECE], kind)[before:]


def _transformed(y: np.ndarray, kind: str) -> np.ndarray:
    if kind == "sqrt":
        return np.sqrt(np.maximum(y, 0))
    if kind == "level":
        return y
    with np.errstate(divide="ignore", invalid="ignore"):
        w = np.log(y) if kind == "returns" else y
        change = np.concatenate([np.full_like(w[:1], np.nan), np.diff(w, axis=0)])
    return np.where(np.isfinite(change), change, np.nan)
