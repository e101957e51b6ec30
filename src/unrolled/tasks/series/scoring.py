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


@dataclass(frozen=True)
class Scored:
    """What came of some forecasts.

    Fields:
        figures: the means over all targets of all series of `NAMES`; ``crps`` is in units of the naive error.
        losses: the CRPS of each group's origins.
        pit: the histogram over all.
    """

    figures: dict[str, float]
    losses: list[np.ndarray]
    pit: list[float]


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


def score_draws(found: Sequence[Group], draws: Callable[[Group], np.ndarray]) -> Scored:
    """The scores of forecasts.

    Arguments:
        draws: of each group (O, H, M), where errors are measured.
    """
    each: dict[str, list[float]] = {name: [] for name in NAMES}
    losses, histograms, weights = [], [], []
    for group in found:
        made = draws(group)
        median = np.median(made, axis=-1)
        loss = scores.crps(group.actual, made) / group.scale
        seen = ~np.isnan(group.actual)
        losses.append(
            np.array([row[ok].mean() if ok.any() else math.nan for row, ok in zip(loss, seen, strict=True)])
        )
        each["mase"].append(scores.mase(group.actual, median, group.scale))
        each["smape"].append(scores.smape(group.raw, group.back(median)))
        each["crps"].append(float(loss[seen].mean()))
        each["coverage_80"].append(scores.coverage(group.actual, made))
        histograms.append(scores.pit(group.actual, made))
        weights.append(int(seen.sum()))
    figures = {name: float(np.mean(values)) for name, values in each.items()}
    return Scored(figures, losses, np.average(histograms, axis=0, weights=weights).tolist())


def of_model(made: np.ndarray) -> Callable[[Group], np.ndarray]:
    """The model's own draws (O, H, K, M) of a group."""
    return lambda group: group.scored(made[group.rows, :, group.target])


def of_baselines(found: Sequence[Group], horizon: int, tell: Callable[[float], None] | None) -> dict[str, Scored]:
    """The scores of each baseline, by name."""
    by_name: dict[str, list[np.ndarray]] = {}
    for n, group in enumerate(found):
        for name, made in _baselines(group, horizon):
            by_name.setdefault(name, []).append(made)
        if tell is not None:
            tell(0.5 + 0.5 * (n + 1) / len(found))
    whole = {name: made for name, made in by_name.items() if len(made) == len(found)}
    numbers = {id(group): n for n, group in enumerate(found)}

    def scored(draws: list[np.ndarray]) -> Scored:
        return score_draws(found, lambda group: draws[numbers[id(group)]])

    return {name: scored(draws) for name, draws in whole.items()}


def _baselines(group: Group, horizon: int) -> Iterator[tuple[str, np.ndarray]]:
    yield from forecasts(group.history, group.origins, horizon)
    if ets.is_installed():
        yield "AutoETS", ets.auto_ets(group.history, group.origins, horizon)


def compared(model: Scored, baselines: dict[str, Scored], found: Sequence[Group], horizon: int) -> dict[str, Any]:
    """The Diebold-Mariano test of the model against the baseline with the smallest CRPS.

    One series is compared origin by origin; many are compared series by series, by their mean losses.
    """
    best = min(baselines, key=lambda name: baselines[name].figures["crps"])
    first, second = model.losses, baselines[best].losses
    if len(found) == 1:
        ok = ~np.isnan(first[0])
        apart = int(np.diff(found[0].origins).min(initial=horizon))
        test = scores.diebold_mariano(first[0][ok], second[0][ok], -(-horizon // max(apart, 1)) - 1)
    else:
        means = [np.array([np.nanmean(loss) for loss in losses]) for losses in (first, second)]
        test = scores.diebold_mariano(means[0], means[1], 0)
    return {"against": best, "statistic": test.statistic, "p": test.p, "compared": test.origins}


def moves(model: np.ndarray, found: Sequence[Group]) -> float:
    """How far the medians (O, H, K, M) go from the last value, as a share of how far the values went."""
    far, went = 0.0, 0.0
    for group in found:
        y = group.history.y
        last = np.array([filled_before(y, origin)[origin - 1] for origin in group.origins])[:, None]
        median = np.median(of_model(model)(group), axis=-1)
        far += float(np.abs(median - last).mean() / group.scale)
        went += float(np.nanmean(np.abs(group.actual - last)) / group.scale)
    return far / went if went else math.nan


def _same(values: np.ndarray) -> np.ndarray:
    return values
