"""What a series is like: its autocorrelation, its season, whether it has a level, whether it was averaged."""

from __future__ import annotations

import numpy as np

CRITICAL = -2.86
"""Of the Dickey-Fuller statistic with a constant: below it, one series in 20 without a level seems to have one."""


def filled(y: np.ndarray) -> np.ndarray:
    """The series (T,) with straight lines across its gaps, and the nearest value at its ends."""
    seen = np.flatnonzero(~np.isnan(y))
    return y.copy() if len(seen) in (0, len(y)) else np.interp(np.arange(len(y)), seen, y[seen])


def filled_before(y: np.ndarray, origin: int) -> np.ndarray:
    """The same, where nothing before an origin comes from behind it: a gap that ends there keeps its last value.

    >>> filled_before(np.array([1.0, np.nan, np.nan, 4.0]), 2).tolist()
    [1.0, 1.0, 3.0, 4.0]
    """
    whole, past = filled(y), filled(y[:origin])
    whole[:origin] = np.where(np.isnan(past), whole[:origin], past)
    return whole


def autocorrelation(y: np.ndarray, lags: int) -> np.ndarray:
    """r_0 ... r_lags of a series (T,), gaps left out.

    Equation::

        r_k = (1/T) sum_t (y_t - m)(y_{t-k} - m) / variance

    >>> autocorrelation(np.array([1.0, -1.0, 1.0, -1.0]), 1).tolist()
    [1.0, -0.75]
    """
    z = np.nan_to_num(y - np.nanmean(y))
    size = 1 << (2 * len(z) - 1).bit_length()
    power = np.abs(np.fft.rfft(z, size)) ** 2
    products = np.fft.irfft(power, size)[: lags + 1]
    return products / products[0] if products[0] > 0 else np.eye(1, lags + 1)[0]


def has_level(y: np.ndarray) -> bool:
    """Whether a series returns to a level: the augmented Dickey-Fuller test rejects a unit root.

    Equation::

        dy_t = a + b y_{t-1} + sum_i c_i dy_{t-i} + e_t        t = b / se(b) < -2.86

    with 4 (T / 100)^(1/4) lags i, at most a fifth of the steps.

    Source:
        D. Dickey & W. Fuller (1979); the lags: G. W. Schwert (1989).
    """
    y = filled(y)
    lags = min(int(4 * (len(y) / 100) ** 0.25), len(y) // 5)
    dy = np.diff(y)
    if len(dy) - lags < lags + 5:
        return True
    rows = np.arange(lags, len(dy))
    X = np.stack([np.ones(len(rows)), y[rows], *(dy[rows - i] for i in range(1, lags + 1))], 1)
    solution, *_ = np.linalg.lstsq(X, dy[rows], rcond=None)
    rest = dy[rows] - X @ solution
    variance = rest @ rest / max(len(rows) - X.shape[1], 1)
    inverse = np.linalg.pinv(X.T @ X)
    error = np.sqrt(variance * inverse[1, 1])
    return bool(error == 0 or solution[1] / error < CRITICAL)


def find_season(y: np.ndarray, usual: int) -> int:
    """The season of a series (T,), in steps; 1 for none.

    That is the usual one if its autocorrelation is high, else the highest peak of the autocorrelation behind its
    first zero, from .3 on, if at least three such seasons are there.

    Arguments:
        y: with its level, or its changes, without a trend.
        usual: what the calendar says, 1 for nothing.
    """
    most = len(y) // 3
    if most < 2:
        return 1
    r = autocorrelation(y, min(most, 2_000) + 1)
    if 1 < usual <= most:
        around = [r[k] for k in (usual // 2, usual + usual // 2) if 0 < k < len(r)]
        if r[usual] > max(0.2, 2 / np.sqrt(len(y))) and r[usual] > max(around, default=-1) + 0.1:
            return usual
    below = np.flatnonzero(r < 0)
    if not len(below):
        return 1
    first = below[0]
    peak = first + int(np.argmax(r[first:-1])) if first < len(r) - 1 else 0
    inner = 1 < peak < len(r) - 1 and r[peak] >= r[peak - 1] and r[peak] >= r[peak + 1]
    return int(peak) if inner and r[peak] > 0.3 else 1


def looks_averaged(change: np.ndarray) -> float | None:
    """The lag-1 autocorrelation of changes (T,) that look like those of averages over periods; None if they do not.

    The averages over the periods of a random walk have changes with an autocorrelation near 1/4 at lag 1, and none
    beyond. It seems to be predictable, but nobody could trade at the averages.

    Source:
        H. Working, "Note on the correlation of first differences of averages in a random chain", Econometrica 28
        (1960).
    """
    change = change[~np.isnan(change)]
    if len(change) < 50:
        return None
    r = autocorrelation(change, 4)
    noise = 2 / np.sqrt(len(change))
    beyond = np.abs(r[2:5]).max()
    return float(r[1]) if max(0.15, noise) < r[1] < 0.4 and beyond < max(0.12, noise) else None
