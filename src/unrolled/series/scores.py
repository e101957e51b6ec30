"""Scores of forecasts that are given as draws: CRPS, MASE, sMAPE, coverage, PIT, and a test of two of them.

Shapes, in all of them: actual (O, H) for O origins and H steps ahead, NaN where nothing was observed; draws
(O, H, M).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


def crps(actual: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The continuous ranked probability score of each forecast (O, H), in the unit of the values; less is better.

    Equation::

        CRPS = mean_i |x_i - y| - (1 / 2) mean_{i,j} |x_i - x_j|

    which is that of the empirical distribution of the M draws. For one draw it is the absolute error.

    Source:
        T. Gneiting & A. Raftery, "Strictly proper scoring rules, prediction, and estimation" (2007), equation 21.

    >>> crps(np.array([[0.0]]), np.array([[[-1.0, 1.0]]])).tolist()
    [[0.5]]
    """
    x = np.sort(draws, axis=-1)
    M = x.shape[-1]
    weight = 2 * np.arange(1, M + 1) - M - 1
    return np.abs(x - actual[..., None]).mean(-1) - (x * weight).sum(-1) / M**2


def naive_error(y: np.ndarray, season: int) -> float:
    """The mean absolute error of the seasonal naive forecast of each step of a training part (T,).

    >>> naive_error(np.array([1.0, 2.0, 4.0]), 1)
    1.5
    """
    errors = np.abs(y[season:] - y[:-season])
    return float(np.nanmean(errors)) if np.isfinite(errors).any() else math.nan


def mase(actual: np.ndarray, median: np.ndarray, scale: float) -> float:
    """The mean absolute scaled error, with the `naive_error` of the training part as its scale.

    Source:
        R. Hyndman & A. Koehler, "Another look at measures of forecast accuracy" (2006).
    """
    return float(np.nanmean(np.abs(actual - median)) / scale)


def smape(actual: np.ndarray, median: np.ndarray) -> float:
    """The symmetric mean absolute percentage error, from 0 to 2 as a share: 2 |y - f| / (|y| + |f|); 0 for 0 and 0.

    >>> smape(np.array([[1.0, 0.0]]), np.array([[3.0, 0.0]]))
    0.5
    """
    total = np.abs(actual) + np.abs(median)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = np.where(total > 0, 2 * np.abs(actual - median) / total, np.where(np.isnan(total), np.nan, 0.0))
    return float(np.nanmean(each))


def coverage(actual: np.ndarray, draws: np.ndarray, share: float = 0.8) -> float:
    """How often the central interval of that share holds the value."""
    low, high = np.quantile(draws, ((1 - share) / 2, (1 + share) / 2), axis=-1)
    inside = (actual >= low) & (actual <= high)
    return float(inside[~np.isnan(actual)].mean())


def pit(actual: np.ndarray, draws: np.ndarray, bins: int = 10) -> list[float]:
    """The histogram of the probability integral transform: the share of values in each tenth of their forecasts.

    Of calibrated forecasts all are 1 / bins. Values among equal draws, as counts are, are spread over their place.
    """
    below = (draws < actual[..., None]).mean(-1)[~np.isnan(actual)]
    upto = (draws <= actual[..., None]).mean(-1)[~np.isnan(actual)]
    edges = np.linspace(0, 1, bins + 1)
    width = upto - below
    total = np.zeros(bins)
    narrow = width < 1e-12
    places = np.minimum((below[narrow] * bins).astype(int), bins - 1)
    np.add.at(total, places, 1)
    a, b = below[~narrow], upto[~narrow]
    for k in range(bins):
        total[k] += (np.clip(np.minimum(b, edges[k + 1]) - np.maximum(a, edges[k]), 0, None) / (b - a)).sum()
    return (total / max(total.sum(), 1)).tolist()


@dataclass(frozen=True)
class Comparison:
    """A Diebold-Mariano test.

    Fields:
        statistic: below 0 where the first one has the smaller losses; NaN where it cannot be computed.
        p: two-sided.
        origins: how many losses were compared.
    """

    statistic: float
    p: float
    origins: int


def diebold_mariano(first: np.ndarray, second: np.ndarray, overlap: int) -> Comparison:
    """Whether the losses (O,) of two forecasts of the same origins, in their order, differ by more than chance.

    Equation::

        d_o = first_o - second_o        v = (g_0 + 2 sum_{k=1}^{q} (1 - k / (q + 1)) g_k) / O
        DM = mean(d) / sqrt(v) sqrt((O + 1 - 2 n + n (n - 1) / O) / O)        n = q + 1

    with g_k the autocovariances of d and q = ``overlap``, the origins whose forecasts share steps with one, less one
    where that is more than a third of them. p is of Student's t with O - 1 degrees of freedom.

    Source:
        F. Diebold & R. Mariano, "Comparing predictive accuracy" (1995), with Bartlett's weights (W. Newey & K. West
        1987), so that v is positive; the factor: D. Harvey, S. Leybourne & P. Newbold (1997), equation 9.
    """
    d = first - second
    count = len(d)
    q = max(0, min(overlap, (count - 1) // 3))
    if count < 3 or not np.isfinite(d).all():
        return Comparison(math.nan, math.nan, count)
    e = d - d.mean()
    g = [e[k:] @ e[: count - k] / count for k in range(q + 1)]
    v = (g[0] + 2 * sum((1 - k / (q + 1)) * g[k] for k in range(1, q + 1))) / count
    if not v > 0:
        return Comparison(math.nan, math.nan, count)
    n = q + 1
    small = (count + 1 - 2 * n + n * (n - 1) / count) / count
    statistic = float(d.mean() / math.sqrt(v) * math.sqrt(max(0.0, small)))
    return Comparison(statistic, two_sided(statistic, count - 1), count)


def two_sided(t: float, df: int) -> float:
    """The probability that Student's t is further from 0 than ``t``.

    Equation::

        1 - 2 C integral_0^a cos(s)^(df - 1) ds        a = arctan(|t| / sqrt(df)), C = Gamma((df + 1) / 2) /
                                                                               (sqrt(pi) Gamma(df / 2))

    >>> round(two_sided(2.228138852, 10), 6)
    0.05
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    end = math.atan(abs(t) / math.sqrt(df))
    s = end * (nodes + 1) / 2
    area = float(weights @ np.cos(s) ** (df - 1)) * end / 2
    C = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(math.pi)
    return float(min(1.0, max(0.0, 1 - 2 * C * area)))
