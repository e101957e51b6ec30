"""How wide forecasts are: what is fitted, and what widening leaves as it was."""

import numpy as np
import pytest

from unrolled.series import scores
from unrolled.series.spread import fit_spread, widened


def forecasts(wide, seed=3, origins=3_000):
    """Values of a skew distribution, and draws of it that lie too far from their median, or too near."""
    random = np.random.default_rng(seed)
    actual = random.exponential(size=(origins, 2))
    return actual, widened(random.exponential(size=(origins, 2, 300)), wide)


@pytest.mark.parametrize("wide", [0.6, 1.0, 1.7])
def test_the_factor_undoes_what_is_wrong_with_the_width(wide):
    actual, draws = forecasts(wide)
    factor = fit_spread(actual, draws, independent=1e9)
    assert factor == pytest.approx(1 / wide, rel=0.06)  # 6,000 values: a standard error of about 2%
    assert scores.coverage(actual, widened(draws, factor)) == pytest.approx(0.8, abs=0.005)
    assert fit_spread(actual, draws, independent=5) == pytest.approx(factor**0.5)
    actual[:, 1] = np.nan
    draws[:, 1] = 1e9
    assert fit_spread(actual, draws, independent=1e9) == pytest.approx(1 / wide, rel=0.08)


def test_nothing_observed_asks_for_nothing():
    assert fit_spread(np.full((4, 2), np.nan), np.random.default_rng(0).normal(size=(4, 2, 9)), 4) == 1


def test_widening_moves_neither_the_median_nor_the_order():
    draws = np.random.default_rng(1).normal(size=(3, 2, 101))
    wider = widened(draws, np.array([2.0, 0.5]))
    assert np.array_equal(np.argsort(draws), np.argsort(wider))
    assert np.allclose(np.median(draws, -1), np.median(wider, -1))
    assert np.allclose(np.ptp(wider, -1), np.ptp(draws, -1) * [2.0, 0.5])
    assert np.allclose(widened(draws, 1.0), draws)
