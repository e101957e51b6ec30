"""Forecasts that need no network. Each knows the values before its origin, and is fitted on the training part.

Every one is a distribution, as draws that stand at its quantiles, so that it is scored as a network is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np

from unrolled.series.season import filled, filled_before

DRAWS = 99
"""Quantiles of each forecast, at (i - 1/2) / 99."""
_LONGEST, _FITTED = 400, 100_000
"""The highest order of an autoregression; the last steps of a training part that it is fitted on."""
_NORMAL = np.array([NormalDist().inv_cdf((i + 0.5) / DRAWS) for i in range(DRAWS)])


@dataclass(frozen=True)
class History:
    """A series as the baselines take it.

    Fields:
        y: (T,) where errors are measured: logarithms for prices; NaN where missing.
        training: so many steps belong to the training part.
        season: in steps; 1 for none.
        changes: whether the series is modelled by its changes, as prices are.
        floor: no forecast is below it; None for no limit.
    """

    y: np.ndarray
    training: int
    season: int
    changes: bool
    floor: float | None = None


Forecast = tuple[np.ndarray, np.ndarray]
"""Means (O, H) and standard deviations (O, H)."""


def forecasts(history: History, origins: np.ndarray, horizon: int) -> Iterator[tuple[str, np.ndarray]]:
    """Each baseline's name, and its draws (O, H, 99).

    Arguments:
        origins: (O,) the first step of each forecast; it sees the steps before.
    """
    y = filled(history.y)
    in_gaps = np.flatnonzero(np.isnan(history.y[origins - 1]))
    for name, method in _methods(history):
        mean, spread = map(np.array, method(history, y, origins, horizon))
        for k in in_gaps:  # lines across gaps would lead to values that come later
            before = filled_before(history.y, origins[k])
            (mean[k],), (spread[k],) = method(history, before, origins[k : k + 1], horizon)
        draws = mean[..., None] + spread[..., None] * _NORMAL
        yield name, draws if history.floor is None else np.maximum(draws, history.floor)


def _methods(history: History) -> Iterator[tuple[str, Callable[..., Forecast]]]:
    yield ("random walk" if history.changes else "naive"), naive
    yield "drift", drift
    if history.season > 1:
        yield "seasonal naive", seasonal_naive
    if history.changes:
        yield "mean change", mean_change
        yield "AR(1) of changes", partial(autoregression, order=1)
    else:
        yield "training mean", training_mean
    yield ("AR(p) of changes" if history.changes else "AR(p)"), autoregression


def naive(history: History, y: np.ndarray, origins: np.ndarray, horizon: int) -> Forecast:
    """The last value; sd of h steps: sqrt(h) that of one."""
    steps = np.sqrt(np.arange(1, horizon + 1))
    spread = np.diff(y[: history.training]).std() * steps
    return _wide(y[origins - 1], horizon), np.broadcast_to(spread, (len(origins), horizon))


def drift(history: History, y: np.ndarray, origins: np.ndarray, horizon: int) -> Forecast:
    """The last value, and on along the line from the first; sd sqrt(h (1 + h / T)) that of one step."""
    h = np.arange(1, horizon + 1)
    slope = (y[origins - 1] - y[0]) / np.maximum(origins - 1, 1)
    spread = np.diff(y[: history.training]).std()
    return y[origins - 1][:, None] + slope[:, None] * h, spread * np.sqrt(h * (1 + h / origins[:, None]))


def seasonal_naive(history: History, y: np.ndarray, origins: np.ndarray, horizon: int) -> Forecast:
    """The value a season ago; sd of k seasons ahead: sqrt(k) that of one."""
    S = history.season
    h = np.arange(horizon)
    behind = origins[:, None] - S + h % S
    mean = np.where(behind >= 0, y[np.maximum(behind, 0)], y[origins - 1][:, None])
    past = y[: history.training]
    spread = (past[S:] - past[:-S]).std() if len(past) > S + 1 else past.std()
    return mean, np.broadcast_to(spread * np.sqrt(h // S + 1), mean.shape)


def training_mean(history: History, y: np.ndarray, origins: np.ndarray, horizon: int) -> Forecast:
    """The mean and the standard deviation of the training part."""
    past = y[: history.training]
    shape = (len(origins), horizon)
    return np.full(shape, past.mean()), np.full(shape, past.std())


def mean_change(history: History, y: np.ndarray, origins: np.ndarray, horizon: int) -> Forecast:
    """The last value and the mean change of the training part, h times."""
    h = np.arange(1, horizon + 1)
    change = np.diff(y[: history.training])
    mean = y[origins - 1][:, None] + change.mean() * h
    return mean, np.broadcast_to(change.std() * np.sqrt(h), mean.shape)


def autoregression(
    history: History, y: np.ndarray, origins: np.ndarray, horizon: int, order: int | None = None
) -> Forecast:
    """AR(p), fitted by least squares; of changes, it is summed up.

    Equation::

        x_t = c + a_1 x_{t-1} + ... + a_p x_{t-p} + e_t        sd of h steps: s sqrt(psi_0^2 + ... + psi_{h-1}^2)

    with psi the response to one e, and p the order with the smallest AIC, T log s^2 + 2 p, of those that
    `levinson` fits: up to a tenth of the training part, and to a season and a half or 30.
    """
    x = np.diff(y, prepend=y[0]) if history.changes else y
    past = x[int(history.changes) : history.training][-_FITTED:]
    p = chosen_order(past, history.season) if order is None else min(order, max(len(past) // 3, 1))
    a, c, s = fitted(past, p)
    shift = origins[:, None] - 1 - np.arange(max(p, 1))
    before = np.where(shift >= 0, x[np.maximum(shift, 0)], past.mean())  # newest first
    mean = np.empty((len(origins), horizon))
    psi = np.zeros(horizon)
    for h in range(horizon):
        mean[:, h] = c + before[:, :p] @ a
        before = np.concatenate([mean[:, h : h + 1], before[:, :-1]], 1)
        psi[h] = 1.0 if h == 0 else a[:h] @ psi[:h][::-1][: len(a[:h])]
    if history.changes:
        mean, psi = y[origins - 1][:, None] + mean.cumsum(1), psi.cumsum()
    return mean, np.broadcast_to(s * np.sqrt(np.cumsum(psi**2)), mean.shape)


def chosen_order(x: np.ndarray, season: int) -> int:
    """The order with the smallest AIC; 0 for a short series."""
    most = min(len(x) // 10, max(30, season + season // 2), _LONGEST)
    variances = levinson(x, most)
    if not variances.all():
        return 0
    return int(np.argmin(len(x) * np.log(variances) + 2 * np.arange(most + 1)))


def levinson(x: np.ndarray, most: int) -> np.ndarray:
    """The variance of the rest of the autoregressions of orders 0 to ``most``, from the autocovariances of x (T,).

    Source:
        N. Levinson (1946), J. Durbin (1960).
    """
    z = x - x.mean()
    g = np.array([z[k:] @ z[: len(z) - k] for k in range(most + 1)]) / max(len(z), 1)
    variances, a = [g[0]], np.zeros(0)
    for k in range(1, most + 1):
        if variances[-1] <= 0:
            variances.append(0.0)
            continue
        r = (g[k] - a @ g[k - 1 : 0 : -1]) / variances[-1]
        a = np.append(a - r * a[::-1], r)
        variances.append(max(variances[-1] * (1 - r * r), 0.0))
    return np.array(variances)


def fitted(x: np.ndarray, p: int) -> tuple[np.ndarray, float, float]:
    """Coefficients (p,), constant and the standard deviation of the rest, by least squares."""
    target = x[p:]
    X = np.stack([np.ones(len(target)), *(x[p - k : len(x) - k] for k in range(1, p + 1))], 1)
    solution, *_ = np.linalg.lstsq(X, target, rcond=None)
    rest = target - X @ solution
    return solution[1:], float(solution[0]), float(np.sqrt(rest @ rest / max(len(target) - p - 1, 1)))


def _wide(column: np.ndarray, horizon: int) -> np.ndarray:
    return np.broadcast_to(column[:, None], (len(column), horizon))
