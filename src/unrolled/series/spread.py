"""How wide forecasts are: a factor for their spread, fitted where they were not trained."""

from __future__ import annotations

import numpy as np

_SHARE = 0.8
"""The central interval that is to hold its share of the values."""
_PRIOR = 5.0
"""So many independent forecasts weigh as much as the belief that the spread is right as it is."""


def widened(draws: np.ndarray, factor: np.ndarray | float) -> np.ndarray:
    """Draws (..., M) moved away from their median, or towards it.

    Equation::

        x'_i = m + s (x_i - m)        m the median of the draws

    >>> widened(np.array([0.0, 1.0, 3.0]), 2.0).tolist()
    [-1.0, 1.0, 5.0]
    """
    median = np.median(draws, axis=-1, keepdims=True)
    return median + np.asarray(factor)[..., None] * (draws - median)


def fit_spread(actual: np.ndarray, draws: np.ndarray, independent: float) -> float:
    """The factor by which forecasts are to be widened so that their 80% intervals hold 80% of the values.

    Equation::

        r = max((y - m) / (b - m), (m - y) / (m - a))        a, m, b the quantiles at 10, 50 and 90% of the draws
        log s = n / (n + 5) log(quantile of r at 80%)

    y lies in the interval where r <= 1, and in the widened one where r <= s. Few forecasts say little of their
    spread: n of them that are independent move its logarithm only a part of the way.

    Shapes:
        actual (O, H), NaN where nothing was observed; draws (O, H, M).

    Arguments:
        independent: n; forecasts that share steps count once.

    Returns:
        s; 1 where nothing was observed.

    Source:
        r: Y. Romano, E. Patterson & E. Candes, "Conformalized quantile regression" (2019), as a factor of the width.

    >>> draws = np.linspace(-2, 2, 401)[None, None].repeat(50, 0)
    >>> round(fit_spread(np.linspace(-1, 1, 50)[:, None], draws, 1e9), 2)
    0.5
    """
    return spread_of(distances(actual, draws), independent)


def distances(actual: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """r of `fit_spread`, of all values that were observed."""
    low, median, high = np.quantile(draws, ((1 - _SHARE) / 2, 0.5, (1 + _SHARE) / 2), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.maximum((actual - median) / (high - median), (median - actual) / (median - low))
    found: np.ndarray = ratio[np.isfinite(ratio)]
    return found


def spread_of(ratio: np.ndarray, independent: float) -> float:
    """s of `fit_spread` from all r."""
    if not len(ratio):
        return 1.0
    asked = float(np.quantile(ratio, _SHARE))
    return float(np.clip(asked, 0.1, 10) ** (independent / (independent + _PRIOR)))
