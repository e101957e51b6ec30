"""Times that are kept in few bytes are the times that were read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unrolled.series.clock import Clock, read_clock
from unrolled.series.moments import Even, Gapped, Stamps

START = 1_600_000_000


def stamps(series, sizes, dated=True):
    """The times of many series, added a few rows at a time: of each in turn so many as ``sizes`` says."""
    made = Stamps(np.array([len(times) for times in series]), dated)
    done = [0] * len(series)
    turn = 0
    while any(done[k] < len(times) for k, times in enumerate(series)):
        k, size = turn % len(series), sizes[turn % len(sizes)]
        some = series[k][done[k] : done[k] + size]
        if len(some):
            rank = done[k] + np.arange(len(some))
            before = series[k][rank - 1]
            made.add(np.full(len(some), k), rank, some, some - before)
            done[k] += len(some)
        turn += 1
    return [made.of(k) for k in range(len(series))]


@given(
    st.lists(st.lists(st.integers(1, 2000), max_size=60), min_size=1, max_size=4),
    st.lists(st.integers(1, 30), min_size=1, max_size=3),
)
def test_times_with_gaps(gaps, sizes):
    series = [START + np.cumsum([0, *own]) for own in gaps]
    for made, times in zip(stamps(series, sizes), series, strict=True):
        dates = times.astype("datetime64[s]")
        assert len(made) == len(dates) and np.array_equal(made[:], dates) and made[-1] == dates[-1]
        some = np.arange(len(dates))[::2]
        assert np.array_equal(made[some], dates[some]) and np.array_equal(made[1:-1], dates[1:-1])


@pytest.mark.parametrize("most", [3, 300, 70_000])
def test_long_series_need_a_byte_a_step_or_as_many_as_their_gaps(most):
    random = np.random.default_rng(1)
    times = START + np.cumsum(random.integers(1, most + 1, size=100_000))
    (made,) = stamps([times], [9_999])
    assert np.array_equal(made[:].astype(np.int64), times)
    assert np.array_equal(made[12_288:20_000].astype(np.int64), times[12_288:20_000])
    assert made._gaps.itemsize == {3: 1, 300: 2, 70_000: 4}[most]


@pytest.mark.parametrize("count", [1, 4_095, 4_096, 4_097, 8_192])
def test_slices_behind_the_end_are_empty(count):
    times = START + np.arange(count)
    (made,) = stamps([times], [9_999])
    for begin in (count - 1, count, count + 9_000):
        assert np.array_equal(made[begin:].astype(np.int64), times[begin:])
        assert np.array_equal(made[begin:count].astype(np.int64), times[begin:count])


def test_numbers_that_are_not_whole_are_kept_as_they_are():
    whole, tenths = np.arange(5.0), np.arange(50) * 0.1
    for sizes in ([50], [3]):
        first, second = stamps([whole, tenths], sizes, dated=False)
        assert np.array_equal(first[:], whole) and np.array_equal(second[:], tenths)
    assert isinstance(stamps([whole], [2], dated=False)[0], Gapped)


@pytest.mark.parametrize("step", [("months", 1), ("seconds", 600), ("business days", 1)])
def test_a_clock_is_read_the_same_in_pieces(monkeypatch, step):
    clock = Clock(*step, dated=True)
    times = clock.after(np.datetime64("2019-12-31T00:00:00"), 400)
    for some in (times, np.delete(times, [7, 200])):
        whole = read_clock(some)
        monkeypatch.setattr("unrolled.series.clock._PIECE", 33)
        assert read_clock(some) == whole == clock
        monkeypatch.undo()


def test_an_even_one_goes_as_its_clock_does():
    clock = Clock("months", 3, True)
    first = np.datetime64("2020-01-31T06:00:00")
    made = Even(clock, first, 9)
    expected = np.concatenate([[first], clock.after(first, 8)])
    assert np.array_equal(made[:], expected) and np.array_equal(made[np.array([[3], [8]])], expected[[[3], [8]]])
    assert made[-1] == expected[-1] and len(made) == 9
