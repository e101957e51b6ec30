"""A series as the network takes it: scaled, with what is known of every time in advance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unrolled.series.clock import Clock
from unrolled.series.scaling import PIECE, Scaling
from unrolled.tasks.series.reading import Series


@dataclass(frozen=True)
class Layout:
    """How a forecast is made.

    Fields:
        horizon, season, context, patch: in steps of the series; the context is a multiple of the patch.
        free: whether the network gets nothing behind the origin, instead of its own draws.
        counts: whether targets are counts as they are, rather than scaled values.
        repeats: for each target, 1 where the last season comes again, and a free-running network predicts the
            difference from it; else 0.
    """

    horizon: int
    season: int
    context: int
    patch: int
    free: bool
    counts: bool
    repeats: tuple[float, ...] = ()

    @property
    def ahead(self) -> int:
        """The horizon in whole patches, in steps."""
        return -(-self.horizon // self.patch) * self.patch

    @property
    def width(self) -> int:
        """How many numbers of a window belong to one target of one step of the network."""
        return (self.patch + 1) * (2 if self.season > 1 else 1)


@dataclass(frozen=True)
class Prepared:
    """A series with its scalings. What the network takes is made of it step by step, so that no more is kept.

    Fields:
        series: as it was read.
        scalings: one for each of the K targets.
        clock: how its times go on. counts: see `Layout`.
        covariates: the mean and the spread of each of the C covariates.
        static: (S,), of the whole series.
        training, validation: where these parts end.
    """

    series: Series
    scalings: Sequence[Scaling]
    clock: Clock
    counts: bool
    covariates: Sequence[tuple[float, float]]
    static: np.ndarray
    training: int
    validation: int

    def __len__(self) -> int:
        """T."""
        return len(self.series.y)

    def scaled(self, steps: np.ndarray) -> np.ndarray:
        """z (..., K) of some of the T steps, in any shape; NaN where missing."""
        y = self.series.y
        return np.stack([one.at(y[:, k], steps) for k, one in enumerate(self.scalings)], -1)

    def targets(self, steps: np.ndarray) -> np.ndarray:
        """What the head predicts of some of the T steps (..., K)."""
        return self.series.y[steps] if self.counts else self.scaled(steps)

    def calendar(self, steps: np.ndarray) -> np.ndarray:
        """What is known in advance of the times of steps (n,): (n, C)."""
        return self.clock.calendar(self.series.when(self.clock, steps))

    def known(self, steps: np.ndarray) -> np.ndarray:
        """The covariates (..., C) of steps, scaled; those of the last one where they end."""
        values = self.series.known[np.minimum(steps, len(self.series.known) - 1)]
        for k, (mean, spread) in enumerate(self.covariates):
            values[..., k] = (values[..., k] - mean) / spread
        return values


def prepared(
    series: Series,
    scalings: Sequence[Scaling],
    clock: Clock,
    layout: Layout,
    cuts: tuple[int, int],
    typical: tuple[float, float] | None,
    covariates: Sequence[tuple[float, float]] = (),
) -> Prepared:
    """Make a series ready.

    Arguments:
        cuts: where the training and the validation part end.
        typical: mean and standard deviation of the logarithms of all series' spreads, where there are many.
        covariates: the mean and the spread of each.
    """
    static = np.zeros(0)
    if typical is not None:
        logs = np.log([one.spread for one in scalings])
        static = np.clip((logs - typical[0]) / typical[1], -5, 5)
    return Prepared(series, scalings, clock, layout.counts, covariates, static, *cuts)


def window(one: Prepared, origin: int, layout: Layout, begin: int, end: int) -> np.ndarray:
    """What the network reads to predict steps ``begin`` to ``end`` of a series, (T / patch, width).

    Equation::

        x_t = [z_{t-P}, seen_{t-P}, z_{t-mS}, seen_{t-mS}, calendar_t, known_t, static, age_t]

    for the P steps of a patch side by side; seen is the share of them that was observed. m is the least number of
    seasons that lie before the origin, and age the time since then over the horizon. known are the covariates, those
    of their last step where they end. **No value of a target at or behind the origin is read**, which
    `tests/tasks/series` holds it to.
    """
    P, S = layout.patch, layout.season
    t = np.arange(begin, end).reshape(-1, P)
    parts = list(_values(one, t - P, origin))
    if S > 1:
        seasons = np.maximum(1, -(-(t - origin + 1) // S))
        parts += _values(one, t - seasons * S, origin)
    parts.append(one.calendar(np.clip(t[:, 0], 0, len(one) + layout.ahead - 1)))
    if one.covariates:
        known = one.known(np.maximum(t, 0)) * (t >= 0)[..., None]  # (rows, P, C)
        parts.append(known.reshape(len(t), -1))
    parts.append(np.broadcast_to(one.static, (len(t), len(one.static))))
    if layout.free:
        parts.append(np.maximum(0, t[:, :1] - origin + P) / layout.horizon)
    return np.concatenate(parts, 1).astype(np.float32)


def expected(one: Prepared, origin: int, layout: Layout, begin: int, end: int) -> np.ndarray:
    """What the season before the origin says of steps ``begin`` to ``end``, scaled (T, K); 0 where it is unknown.

    Equation::

        e_t = r z_{t-mS}        m the least number of seasons that lie before the origin
    """
    t = np.arange(begin, end)
    if not layout.free or not any(layout.repeats):
        return np.zeros((len(t), len(one.scalings)))
    at = t - np.maximum(1, -(-(t - origin + 1) // layout.season)) * layout.season
    known = (at >= 0) & (at < min(origin, len(one)))
    found = np.where(known[:, None], one.scaled(np.where(known, at, 0)), 0)
    return np.nan_to_num(found) * layout.repeats


def fit_repeats(series: Sequence[tuple[np.ndarray, Sequence[Scaling]]], season: int) -> tuple[float, ...]:
    """Whether a season comes again in the training parts, for each of the K targets: 1 or 0.

    Equation::

        r = 1 if sum_t z_t z_{t-S} / sum_t z_{t-S}^2 > 1/2 else 0

    Above a half, z_t - z_{t-S} varies less than z_t.

    Arguments:
        series: the training parts (T, K), with their scalings.
    """
    above, below = 0.0, 0.0
    for y, scalings in series:
        for begin in range(season, len(y), PIECE):
            steps = np.arange(begin, min(begin + PIECE, len(y)))
            now, before = (
                np.stack([one.at(y[:, k], some) for k, one in enumerate(scalings)], 1)
                for some in (steps, steps - season)
            )
            both = ~np.isnan(now) & ~np.isnan(before)
            above = above + np.where(both, now * before, 0).sum(0)
            below = below + np.where(both, before**2, 0).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return tuple((np.divide(above, below) > 0.5).astype(float).tolist())


def _values(one: Prepared, at: np.ndarray, origin: int) -> tuple[np.ndarray, np.ndarray]:
    """The values at these steps, 0 where none was seen before the origin, and the share that was: per target."""
    known = (at >= 0) & (at < min(origin, len(one)))
    found = np.where(known[..., None], one.scaled(np.where(known, at, 0)), np.nan)  # (rows, P, K)
    seen = ~np.isnan(found)
    return np.nan_to_num(found).reshape(len(at), -1), seen.mean(1)
