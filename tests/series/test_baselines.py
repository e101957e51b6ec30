"""Baselines: their means and spreads by hand, and an autoregression that is known."""

import numpy as np
import pytest

from unrolled.series import baselines
from unrolled.series.baselines import History

Y = np.array([3.0, 5.0, 4.0, 8.0, 6.0, 9.0, 7.0, 11.0])
ORIGINS = np.array([6, 8])


def history(y=Y, training=6, season=2, changes=False, **given):
    return History(y, training, season, changes, **given)


def test_means_by_hand():
    one = history()
    assert baselines.naive(one, Y, ORIGINS, 2)[0].tolist() == [[9, 9], [11, 11]]
    mean, _ = baselines.drift(one, Y, ORIGINS, 2)
    assert np.allclose(mean, [[9 + 6 / 5, 9 + 12 / 5], [11 + 8 / 7, 11 + 16 / 7]])
    assert baselines.seasonal_naive(one, Y, ORIGINS, 3)[0].tolist() == [[6, 9, 6], [7, 11, 7]]
    mean, spread = baselines.training_mean(one, Y, ORIGINS, 1)
    assert np.allclose(mean, Y[:6].mean()) and np.allclose(spread, Y[:6].std())
    mean, _ = baselines.mean_change(one, Y, ORIGINS, 2)
    assert np.allclose(mean, [[9 + 6 / 5, 9 + 12 / 5], [11 + 6 / 5, 11 + 12 / 5]])


def test_an_autoregression_by_a_plain_loop():
    draw = np.random.default_rng(1)
    y = np.zeros(3_000)
    for t in range(2, len(y)):
        y[t] = 1 + 1.2 * y[t - 1] - 0.5 * y[t - 2] + draw.normal()
    one = history(y, 2_000, 1)
    assert baselines.chosen_order(y[:2_000], 1) < 12
    a, c, s = baselines.fitted(y[:2_000], 2)
    assert np.allclose([*a, c, s], [1.2, -0.5, 1, 1], atol=0.1)
    mean, spread = baselines.autoregression(one, y, np.array([2_500]), 4, order=2)
    past, psi = list(y[2_498:2_500]), [1.0, a[0]]
    for _ in range(4):
        past.append(c + a[0] * past[-1] + a[1] * past[-2])
        psi.append(a[0] * psi[-1] + a[1] * psi[-2])
    assert np.allclose(mean[0], past[2:])
    assert np.allclose(spread[0], s * np.sqrt(np.cumsum(np.square(psi[:4]))))


def test_an_autoregression_of_changes_is_summed_up():
    draw = np.random.default_rng(2)
    x = np.zeros(1_000)
    for t in range(1, len(x)):
        x[t] = 0.6 * x[t - 1] + draw.normal()
    y = x.cumsum()
    a, c, s = baselines.fitted(x[1:800], 1)
    mean, spread = baselines.autoregression(history(y, 800, 1, True), y, np.array([900]), 3, order=1)
    changes = [c + a[0] * x[899]]
    changes += [c + a[0] * changes[0]]
    changes += [c + a[0] * changes[1]]
    assert np.allclose(mean[0], y[899] + np.cumsum(changes))
    weights = [1, 1 + a[0], 1 + a[0] + a[0] ** 2]
    assert np.allclose(spread[0], s * np.sqrt(np.cumsum(np.square(weights))))


def test_levinson_is_the_solution_of_yule_and_walker():
    draw = np.random.default_rng(3)
    z = np.convolve(draw.normal(size=500), [1, 0.5, 0.2])
    z = z - z.mean()
    g = np.array([z[k:] @ z[: len(z) - k] for k in range(5)]) / len(z)
    for p in range(1, 5):
        table = g[np.abs(np.subtract.outer(np.arange(p), np.arange(p)))]
        a = np.linalg.solve(table, g[1 : p + 1])
        assert baselines.levinson(z, 4)[p] == pytest.approx(g[0] - a @ g[1 : p + 1])


def test_no_baseline_sees_what_comes():
    """Every value behind the origin is put out of order: no forecast moves."""
    draw = np.random.default_rng(4)
    y = draw.normal(size=300).cumsum() + 50
    other = y.copy()
    other[250:] = draw.permutation(other[250:]) * 3
    for changes in (False, True):
        first = list(baselines.forecasts(history(y, 200, 12, changes), np.array([220, 250]), 10))
        second = list(baselines.forecasts(history(other, 200, 12, changes), np.array([220, 250]), 10))
        for (name, a), (_, b) in zip(first, second, strict=True):
            assert np.array_equal(a, b), name


def test_a_floor_holds():
    found = dict(baselines.forecasts(history(np.array([1.0, 0, 2, 0, 1, 0, 1, 0]), 6, 1, floor=0.0), ORIGINS, 2))
    assert min(draws.min() for draws in found.values()) == 0


def test_auto_ets_sees_the_past_alone():
    pytest.importorskip("statsforecast")
    from unrolled.series.ets import auto_ets

    y = 5 + np.random.default_rng(6).normal(size=60)
    found = auto_ets(history(y, 40, 1), np.array([50]), 3)
    other = y.copy()
    other[50:] = 99
    assert found.shape == (1, 3, 99) and np.array_equal(found, auto_ets(history(other, 40, 1), np.array([50]), 3))
    assert np.allclose(np.median(found, axis=-1), 5, atol=1)


@pytest.mark.parametrize("changes", [False, True])
def test_no_baseline_sees_what_comes_behind_a_gap(changes):
    y = np.random.default_rng(3).normal(size=60).cumsum()
    y[40:45] = np.nan
    later = y.copy()
    later[45:] += 100
    origins = np.array([39, 40, 41, 43, 45])
    for (name, one), (_, other) in zip(
        baselines.forecasts(history(y, 30, 4, changes), origins, 3),
        baselines.forecasts(history(later, 30, 4, changes), origins, 3),
        strict=True,
    ):
        assert np.array_equal(one, other), name
    last = dict(baselines.forecasts(history(y, 30, 4, changes), origins, 3))["random walk" if changes else "naive"]
    assert np.allclose(np.median(last[3], axis=-1), y[39])
