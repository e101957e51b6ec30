"""Scores of forecasts, against closed forms, plain loops and published values."""

import math

import numpy as np
import pytest
from scipy import stats

from unrolled.series import scores


def test_crps_of_many_draws_is_that_of_their_distribution():
    """A Gaussian's: s (z (2 F(z) - 1) + 2 f(z) - 1 / sqrt(pi)) for z = (y - m) / s (Gneiting & Raftery 2007)."""
    m, s = 1.5, 2.0
    draws = m + s * stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    for y in (-4.0, 1.5, 2.0, 9.0):
        z = (y - m) / s
        expected = s * (z * math.erf(z / math.sqrt(2)) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi))
        assert scores.crps(np.array([[y]]), draws[None, None])[0, 0] == pytest.approx(expected, abs=1e-3)


def test_crps_of_few_draws_by_its_definition():
    draw = np.random.default_rng(1)
    y, x = draw.normal(size=(3, 2)), draw.normal(size=(3, 2, 7)).round(1)
    found = scores.crps(y, x)
    for o in range(3):
        for h in range(2):
            own = x[o, h]
            spread = np.mean([abs(a - b) for a in own for b in own])
            assert found[o, h] == pytest.approx(np.abs(own - y[o, h]).mean() - spread / 2)


def test_mase_and_smape_by_hand():
    past = np.array([1.0, 3.0, 2.0, 6.0])
    assert scores.naive_error(past, 1) == pytest.approx((2 + 1 + 4) / 3)
    assert scores.naive_error(past, 2) == pytest.approx((1 + 3) / 2)
    actual, median = np.array([[4.0, np.nan, 8.0]]), np.array([[5.0, 1.0, 4.0]])
    assert scores.mase(actual, median, 2.0) == pytest.approx((1 + 4) / 2 / 2)
    assert scores.smape(actual, median) == pytest.approx((2 / 9 + 8 / 12) / 2)


def test_calibrated_forecasts_are_covered_and_level():
    draw = np.random.default_rng(2)
    actual, draws = draw.normal(size=(400, 10)), draw.normal(size=(400, 10, 199))
    assert scores.coverage(actual, draws) == pytest.approx(0.8, abs=0.03)
    assert np.allclose(scores.pit(actual, draws), 0.1, atol=0.02)
    assert scores.coverage(actual, draws / 4) < 0.35
    narrow = scores.pit(actual, draws / 4)
    assert narrow[0] > 0.25 and narrow[-1] > 0.25


def test_ties_are_spread_over_their_place():
    """Counts that are all 0, and forecasts of 0 and 1 in equal parts: the values fill the lower half evenly."""
    found = scores.pit(np.zeros((1, 4)), np.tile([0.0, 1.0], (1, 4, 50)))
    assert np.allclose(found, [0.2] * 5 + [0.0] * 5)


@pytest.mark.parametrize("overlap", [0, 2])
def test_diebold_mariano_by_its_formula(overlap):
    draw = np.random.default_rng(3)
    first, second = draw.exponential(size=30), draw.exponential(size=30) + 0.4
    found = scores.diebold_mariano(first, second, overlap)
    d, O = first - second, 30  # noqa: E741
    mean, q = sum(d) / O, overlap
    g = [sum((d[t] - mean) * (d[t - k] - mean) for t in range(k, O)) / O for k in range(q + 1)]
    v = g[0] + 2 * sum((1 - k / (q + 1)) * g[k] for k in range(1, q + 1))
    n = q + 1
    t = mean / math.sqrt(v / O) * math.sqrt((O + 1 - 2 * n + n * (n - 1) / O) / O)
    assert found.statistic == pytest.approx(t) and found.origins == 30
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), O - 1), abs=1e-10)
    assert math.isnan(scores.diebold_mariano(first, first, 0).p)


@pytest.mark.parametrize("df", [1, 2, 9, 200])
@pytest.mark.parametrize("t", [0.0, -0.3, 2.0, 40.0])
def test_the_tails_of_students_t(t, df):
    assert scores.two_sided(t, df) == pytest.approx(2 * stats.t.sf(abs(t), df), abs=1e-9)
