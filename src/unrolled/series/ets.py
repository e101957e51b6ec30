"""AutoETS of statsforecast, beside the other baselines where it is installed."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from unrolled.series.baselines import DRAWS, History
from unrolled.series.season import filled

_LONGEST_SEASON, _MOST_STEPS = 24, 1_000
"""What exponential smoothing is made for, and how much of a long past one fit reads."""


def is_installed() -> bool:
    """Whether statsforecast can be imported."""
    return find_spec("statsforecast") is not None


def auto_ets(history: History, origins: np.ndarray, horizon: int) -> np.ndarray:
    """Draws (O, H, 99) of exponential smoothing, its form chosen and fitted anew at each origin on the steps before.

    So it may learn from steps behind the training part. A season of more than 24 steps is left out.

    Source:
        R. Hyndman, A. Koehler, J. Ord & R. Snyder, "Forecasting with exponential smoothing" (2008).
    """
    from statistics import NormalDist

    from statsforecast.models import AutoETS

    season = history.season if history.season <= _LONGEST_SEASON else 1
    z = NormalDist().inv_cdf(0.9)
    steps = np.array([NormalDist().inv_cdf((i + 0.5) / DRAWS) for i in range(DRAWS)])
    made = []
    for origin in origins:
        past = filled(history.y[:origin])[-_MOST_STEPS:]
        found = AutoETS(season_length=season).forecast(y=past, h=horizon, level=[80])
        mean, high = np.asarray(found["mean"]), np.asarray(found["hi-80"])
        made.append(mean[:, None] + ((high - mean) / z)[:, None] * steps)
    draws = np.stack(made)
    return draws if history.floor is None else np.maximum(draws, history.floor)
