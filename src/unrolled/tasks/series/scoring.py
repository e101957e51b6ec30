"""Scores of a model and of all baselines on the same origins."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unrolled.series import ets, scores
from unrolled.series.baselines import History, forecasts
from unrolled.series.season import filled_before
from unrolled.tasks.series.prepared import Layout, Prepared
from unrolled.tasks.series.windows import Pair

NAMES = ("mase", "smape", "crps", "coverage_80")
_FEWEST_ORIGINS = 3


@dataclass(frozen=True)
class Group:
    """The origins of one target of one series.

    Fields:
        history: for the baselines; rows: which of all origins these are.
        raw: (O, H) as observed; actual: the same where errors are measured.
        scale: the error of the naive forecast of the training part, there.
    """

    history: History
    origins: np.ndarray
    rows: np.ndarray
    target: int
    raw: np.ndarray
    actual: np.ndarray
    scale: float
    back: Callable[[np.ndarray], np.ndarray]
    scored: Callable[[np.ndarray], np.ndarray]


def groups(series: Sequence[Prepared], pairs: Sequence[Pair], layout: Layout) -> list[Group]:
    """The origins, by series and target; without those where nothing was observed, or whose past never changes."""
    made = []
    for k in sorted({k for k, _ in pairs}):
        one = series[k]
        rows = np.array([n for n, (own, _) in enumerate(pairs) if own == k])
        origins = np.array([pairs[n][1] for n in rows])
        for j, scaling in enumerate(one.scalings):
            y = one.series.y[:, j]
            w = scaling.scored(y)
            raw = np.stack([y[o : o + layout.horizon] for o in origins])
            past = w[: one.training]
            season = layout.season if one.training > 2 * layout.season else 1
            scale = scores.naive_error(past, season)
            if not scale > 0 or np.isnan(raw).all():
                continue
            floor = None if scaling.kind == "returns" else scaling.floor
            history = History(w, one.training, season, scaling.changes, floor)
            back = np.exp if scaling.kind == "returns" else _same
            made.append(Group(history, origins, rows, j, raw, scaling.scored(raw), scale, back, scaling.scored))
    return made


class Tally:
    """The scores of one model or baseline, group by group."""

    def __init__(self) -> None:
        self.losses: list[np.ndarray] = []
        self._each: dict[str, list[float]] = {name: [] for name in NAMES}
        self._histograms: list[list[float]] = []
        self._weights: list[int] = []

    def __len__(self) -> int:
        return len(self.losses)

    def add(self, group: Group, made: np.ndarray) -> None:
        """Score draws (O, H, M), where errors are measured."""
        median = np.median(made, axis=-1)
        loss = scores.crps(group.actual, made) / group.scale
        seen = ~np.isnan(group.actual)
        self.losses.append(
            np.array([row[ok].mean() if ok.any() else math.nan for row, ok in zip(loss, seen, strict=True)])
        )
        self._each["mase"].append(scores.mase(group.actual, median, group.scale))
        self._each["smape"].append(scores.smape(group.raw, group.back(median)))
        self._each["crps"].append(float(loss[seen].mean()))
        self._each["coverage_80"].append(scores.coverage(group.actual, made))
        self._histograms.append(scores.pit(group.actual, made))
        self._weights.append(int(seen.sum()))

    @property
    def scored(self) -> int:
        """Values that were observed."""
        return sum(self._weights)

    @property
    def figures(self) -> dict[str, float]:
        """The means over all groups of `NAMES`; ``crps`` is in units of the naive error."""
        return {name: float(np.mean(values)) for name, values in self._each.items()}

    @property
    def pit(self) -> list[float]:
        """The histogram over all groups."""
        found: list[float] = np.average(self._histograms, axis=0, weights=self._weights).tolist()
        return found


class Scores:
    """What forecasts are worth, as they come; the draws of a series are dropped when they are scored.

    Arguments:
        compare: whether baselines are scored, too.
    """

    def __init__(self, layout: Layout, compare: bool) -> None:
        self.own, self._baselines = Tally(), dict[str, Tally]()
        self._layout, self._compare = layout, compare
        self._far = self._went = 0.0
        self._apart = layout.horizon

    def add(self, series: Sequence[Prepared], pairs: Sequence[Pair], made: np.ndarray) -> None:
        """Score draws (O, H, K, M) of all origins of some series."""
        for group in groups(series, pairs, self._layout):
            draws = group.scored(made[group.rows, :, group.target])
            self.own.add(group, draws)
            if not self._compare:
                continue
            self._apart = int(np.diff(group.origins).min(initial=self._layout.horizon))
            last = np.array([filled_before(group.history.y, origin)[origin - 1] for origin in group.origins])[:, None]
            self._far += float(np.abs(np.median(draws, axis=-1) - last).mean() / group.scale)
            self._went += float(np.nanmean(np.abs(group.actual - last)) / group.scale)
            for name, other in _baselines(group, self._layout.horizon):
                self._baselines.setdefault(name, Tally()).add(group, other)

    @property
    def baselines(self) -> dict[str, Tally]:
        """Those that every group has."""
        return {name: one for name, one in self._baselines.items() if len(one) == len(self.own)}

    @property
    def moves(self) -> float:
        """How far the medians go from the last value, as a share of how far the values went."""
        return self._far / self._went if self._went else math.nan

    def compared(self) -> dict[str, Any]:
        """The Diebold-Mariano test of the model against the baseline with the smallest CRPS.

        One series is compared origin by origin; many are compared series by series, by their mean losses.
        """
        crps = {name: one.figures["crps"] for name, one in self.baselines.items()}
        best = min(crps, key=lambda name: crps[name])
        first, second = self.own.losses, self._baselines[best].losses
        if len(first) == 1:
            ok = ~np.isnan(first[0])
            lags = -(-self._layout.horizon // max(self._apart, 1)) - 1
            test = scores.diebold_mariano(first[0][ok], second[0][ok], lags)
        else:
            means = [np.array([np.nanmean(loss) for loss in losses]) for losses in (first, second)]
            test = scores.diebold_mariano(means[0], means[1], 0)
        return {"against": best, "statistic": test.statistic, "p": test.p, "compared": test.origins}


def _baselines(group: Group, horizon: int) -> Iterator[tuple[str, np.ndarray]]:
    yield from forecasts(group.history, group.origins, horizon)
    if ets.is_installed():
        yield "AutoETS", ets.auto_ets(group.history, group.origins, horizon)


def _same(values: np.ndarray) -> np.ndarray:
    return values
