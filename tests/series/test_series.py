"""Clocks, scalings and seasons."""

import numpy as np
import pytest

from unrolled.series import season
from unrolled.series.clock import Clock, has_gaps, read_clock, steps_after
from unrolled.series.scaling import TRANSFORMS, fit_scaling


def dates(*texts):
    return np.array(texts, dtype="datetime64[s]")


@pytest.mark.parametrize(
    ("times", "name", "following"),
    [
        (dates("2020-01-31", "2020-02-29", "2020-03-31"), "monthly", "2020-04-30"),
        (dates("2020-01-30", "2020-02-29", "2020-03-30"), "monthly", "2020-04-30"),
        (dates("2021-01-28", "2021-02-28", "2021-03-28"), "monthly", "2021-04-28"),
        (dates("2019-11-15", "2020-02-15", "2020-05-15"), "quarterly", "2020-08-15"),
        (dates("2019-01-01", "2020-01-01", "2021-01-01"), "yearly", "2022-01-01"),
        (dates("2020-01-01", "2020-01-08", "2020-01-15"), "weekly", "2020-01-22"),
        (dates("2020-01-02", "2020-01-03", "2020-01-06"), "business days", "2020-01-07"),
        (dates("2020-01-01T22:00", "2020-01-01T23:00"), "hourly", "2020-01-02"),
        (dates("2020-01-01T00:00", "2020-01-01T00:15"), "every 15 minutes", "2020-01-01T00:30"),
        (np.array([1700.0, 1701, 1702]), "1 apart", 1703.0),
    ],
)
def test_clocks(times, name, following):
    clock = read_clock(times)
    assert clock.name == name
    assert clock.after(times[-1], 1)[0] == (following if times.dtype.kind == "f" else np.datetime64(following))
    assert not has_gaps(clock, times)


def test_gaps_have_their_place_and_irregular_times_none():
    monthly = dates("2020-01-01", "2020-02-01", "2020-04-01", "2020-05-01")
    assert has_gaps(read_clock(monthly), monthly)
    assert steps_after(read_clock(monthly), monthly[0], monthly).tolist() == [0, 1, 3, 4]
    uneven = dates("2020-01-01T00:00", "2020-01-01T01:00", "2020-01-01T02:07")
    assert read_clock(uneven).kind == "irregular" and not has_gaps(read_clock(uneven), uneven)


def test_the_calendar_repeats():
    hourly = Clock("seconds", 3600, True)
    times = hourly.after(np.datetime64("2024-12-31T23:00:00"), 24 * 14)
    found = hourly.calendar(times)
    assert found.shape == (24 * 14, 6) and np.allclose(found[:168, [1, 2, 4, 5]], found[168:, [1, 2, 4, 5]])
    assert Clock("months", 12, True).calendar(times).shape == (24 * 14, 0)


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_a_scaling_goes_there_and_back_and_knows_the_training_part_alone(kind):
    y = np.exp(np.random.default_rng(1).normal(size=50).cumsum() / 10)
    scaling = fit_scaling(y[:30], kind)
    z = scaling.forward(y)
    assert np.nanmean(z[:30]) == pytest.approx(0, abs=1e-9) and np.nanstd(z[:30]) == pytest.approx(1)
    back = scaling.back(z[None, 30:, None], y[29:30])[0, :, 0]
    assert np.allclose(back, y[30:])


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_a_long_series_is_scaled_in_pieces(monkeypatch, kind):
    y = np.exp(np.random.default_rng(1).normal(size=500).cumsum() / 10)
    y[100:140] = y[::50] = np.nan
    whole = fit_scaling(y, kind)
    monkeypatch.setattr("unrolled.series.scaling.PIECE", 30)
    made = fit_scaling(y, kind)
    assert (made.mean, made.spread) == pytest.approx((whole.mean, whole.spread), rel=1e-12)
    assert made.floor == whole.floor and fit_scaling(np.full(90, 3.0), "level") is None
    assert np.array_equal(whole.at(y, np.arange(500).reshape(50, 10)).ravel(), whole.forward(y), equal_nan=True)


def test_what_never_changes_or_does_not_fit_has_no_scaling():
    assert fit_scaling(np.full(9, 3.0), "level") is None
    assert fit_scaling(np.array([1.0, 0.0, 2.0, 1.0]), "returns") is None
    assert fit_scaling(np.array([1.0, -1.0, 2.0, 1.0]), "sqrt") is None
    missing = fit_scaling(np.array([1.0, np.nan, 3.0, 4.0, 7.0]), "differences")
    assert np.isnan(missing.forward(np.array([1.0, np.nan, 3.0, 4.0]))).tolist() == [True, True, True, False]


def test_autocorrelation_is_that_of_a_plain_loop():
    y = np.random.default_rng(2).normal(size=40)
    z = y - y.mean()
    expected = [sum(z[t] * z[t - k] for t in range(k, 40)) / (z @ z) for k in range(6)]
    assert np.allclose(season.autocorrelation(y, 5), expected)


def test_seasons_are_found_and_not_made_up():
    draw = np.random.default_rng(3)
    t = np.arange(800)
    wave = np.sin(2 * np.pi * t / 131) + draw.normal(size=800) / 2
    assert abs(season.find_season(wave, 12) - 131) <= 6
    yearly = np.tile(draw.normal(size=12), 67)[:800] + draw.normal(size=800) / 2
    assert season.find_season(yearly, 12) == 12
    assert season.find_season(draw.normal(size=800), 12) == 1


def test_levels_and_averages():
    draw = np.random.default_rng(4)
    steps = draw.normal(size=30 * 600)
    walk = steps.cumsum()
    averages = walk.reshape(-1, 30).mean(1)
    assert not season.has_level(walk[::30]) and season.has_level(draw.normal(size=600))
    assert season.looks_averaged(np.diff(averages)) == pytest.approx(0.25, abs=0.1)
    assert season.looks_averaged(np.diff(walk[::30])) is None
