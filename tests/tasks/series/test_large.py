"""Large tables: read in blocks into few bytes a value, of which windows are made as of whole arrays."""

import tracemalloc
from datetime import datetime, timedelta

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.tasks.series import blocks
from unrolled.tasks.series.options import SeriesOptions
from unrolled.tasks.series.prepared import window
from unrolled.tasks.series.reading import read_series
from unrolled.tasks.series.task import SeriesTask

pl = pytest.importorskip("polars")


def rows(series, steps, seed=1):
    """Lines of an id, a day, a value and a price; some days are missing."""
    random = np.random.default_rng(seed)
    days = np.datetime64("2020-01-01") + np.arange(steps)
    values = random.normal(size=(series, steps)).cumsum(1).round(3)
    return [
        f"s{k},{days[t]},{values[k, t]},{(k + t) % 5}"
        for k in range(series)
        for t in range(steps)
        if not k or t % 40 != k
    ]


def write(path, lines, head="id,day,value,price"):
    path.write_text("\n".join([head, *lines]) + "\n")
    return str(path)


def by_whole_arrays(one, origin, layout, begin, end):
    """`window` from all values, all times and all covariates, (T, ...)."""
    P, S = layout.patch, layout.season
    z = np.stack([scaling.forward(one.series.y[:, k]) for k, scaling in enumerate(one.scalings)], 1)
    times = np.concatenate([one.series.moments[:], one.clock.after(one.series.moments[-1], layout.ahead)])
    calendar = one.clock.calendar(times)
    known = (one.series.known - [mean for mean, _ in one.covariates]) / [spread for _, spread in one.covariates]
    made = []
    for t in range(begin, end, P):

        def seen(steps):
            values = np.array([z[s] if 0 <= s < min(origin, len(z)) else np.full(z.shape[1], np.nan) for s in steps])
            return [np.nan_to_num(values).ravel(), (~np.isnan(values)).mean(0)]

        steps = np.arange(t, t + P)
        row = seen(steps - P)
        if S > 1:
            row += seen(steps - np.maximum(1, -(-(steps - origin + 1) // S)) * S)
        row.append(calendar[min(max(t, 0), len(one) + layout.ahead - 1)])
        row += [known[min(s, len(known) - 1)] if s >= 0 else np.zeros(known.shape[1]) for s in steps]
        row += [one.static] + [np.array([max(0, t - origin + P) / layout.horizon])] * layout.free
        made.append(np.concatenate(row))
    return np.array(made, dtype=np.float32)


@pytest.mark.parametrize("order", ["by series", "by day"])
@pytest.mark.parametrize(
    "options",
    [
        {"forcing": "free-running", "transform": "level", "season": 7, "patch": 3},
        {"forcing": "teacher-forced", "transform": "differences", "season": 1},
    ],
)
def test_a_window_is_that_of_whole_arrays(tmp_path, monkeypatch, order, options):
    monkeypatch.setattr(blocks, "_BLOCK", 700)
    lines = rows(4, 150)
    lines = lines if order == "by series" else sorted(lines, key=lambda line: line.split(",")[1])
    task = SeriesTask(SeriesOptions(target="value", covariates="price", horizon=6, **options))
    task.read(write(tmp_path / "t.csv", lines))
    layout = task.layout
    for one in task.series:
        for origin in (5, 60, len(one) - 3, len(one)):
            span = origin - layout.context, origin + layout.ahead
            assert np.array_equal(window(one, origin, layout, *span), by_whole_arrays(one, origin, layout, *span))


def test_the_order_of_the_rows_and_the_kind_of_file_change_nothing(tmp_path, monkeypatch):
    lines = rows(5, 120)
    paths = [write(tmp_path / "one.csv", lines)]
    monkeypatch.setattr(blocks, "_BLOCK", 300)
    monkeypatch.setattr(blocks, "_ROWS", 37)
    paths.append(write(tmp_path / "two.csv", sorted(lines, key=lambda line: line.split(",")[1])))
    pl.read_csv(paths[1], try_parse_dates=True).write_parquet(tmp_path / "t.parquet", row_group_size=50)
    paths.append(str(tmp_path / "t.parquet"))
    options = SeriesOptions(target="value", covariates="price")
    first, *others = (read_series(path, options) for path in paths)
    named = {one.name: one for one in first.series}
    for source in others:
        assert source.clock == first.clock and source.missing == first.missing == 12
        for one in source.series:
            same = named[one.name]
            assert np.array_equal(one.y, same.y, equal_nan=True) and np.array_equal(one.known, same.known)
            assert np.array_equal(one.times, same.times) and len(one.y) == 120


@pytest.mark.parametrize("order", ["by series", "by day"])
def test_reading_keeps_few_bytes_a_value(tmp_path, monkeypatch, order):
    """8 for a number and 1 for its time; the blocks, the names and 200 series are what else there is."""
    monkeypatch.setattr(blocks, "_BLOCK", 1 << 16)
    days = (np.datetime64("2000-01-01") + np.arange(1_500)).astype(str)
    pairs = [(k, day) for k in range(200) for day in days]
    pairs = pairs if order == "by series" else sorted(pairs, key=lambda pair: pair[1])
    path = write(tmp_path / "t.csv", [f"s{k},{day},{k % 7}.5" for k, day in pairs], "id,day,value")
    read_series(write(tmp_path / "few.csv", ["a,2020-01-01,1", "a,2020-01-02,2"], "id,day,value"), SeriesOptions())
    tracemalloc.start()
    source = read_series(path, SeriesOptions())
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    count = len(pairs)
    assert sum(len(one.y) for one in source.series) == count
    assert kept < 10 * count and peak < 12 * count


def read(path, text, **options):
    path.write_text(text)
    return read_series(str(path), SeriesOptions(**options))


@pytest.mark.parametrize("block", [4, 11, 1 << 20])
def test_cells_in_quotes_and_empty_lines(tmp_path, monkeypatch, block):
    monkeypatch.setattr(blocks, "_BLOCK", block)
    lines = [
        '"the\nday","v, in m","note"',
        "",
        '2020-01-01,"1,5","a ""b"""',
        '2020-01-02,2,"x\r\n\r\ny"',
        "",
        "2020-01-03,4,z",
    ]
    text = "\r\n".join(lines)
    source = read(tmp_path / "t.csv", text)
    assert source.columns.time == "the\nday" and source.series[0].y[:, 0].tolist() == [1.5, 2, 4]


@pytest.mark.parametrize("block", [16, 1 << 20])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2020-01-04\n", "row 4 has 1 cell, expected 2"),
        ("2020-01-04,4,4\n", "row 4 has 3 cells, expected 2"),
        ('"2020-01-04,4\n', "row 4 has a quote that is not closed"),
        ('2020-01-04,4\n2020-01-05,"5\n2020-01-06,6\n', "row 5 has a quote that is not closed"),
    ],
)
def test_rows_that_are_not_whole_are_named(tmp_path, monkeypatch, block, line, message):
    monkeypatch.setattr(blocks, "_BLOCK", block)
    good = "day,v\n2020-01-01,1\n2020-01-02,2\n\n2020-01-03,3\n"
    with pytest.raises(DataError, match=message):
        read(tmp_path / "t.csv", good + line + "2020-01-07,7\n" * 20)


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y"])
@pytest.mark.parametrize("clock", ["daily", "monthly"])
def test_rows_far_down_say_whether_the_day_comes_first(tmp_path, monkeypatch, form, clock):
    """The first rows have one date alone."""
    monkeypatch.setattr(blocks, "_BLOCK", 1 << 12)
    days = [datetime(2020, 1, 1) + timedelta(k) for k in range(20)]
    if clock == "monthly":
        days = [datetime(year, month, 1) for year in (2020, 2021) for month in range(1, 13)]
    lines = [f"s{k},{day:{form}},{k}" for day in days for k in range(600)]
    source = read_series(write(tmp_path / "panel.csv", lines, "id,day,value"), SeriesOptions(id="id"))
    assert source.clock.name == clock and source.missing == 0
    assert source.series[5].times.tolist() == days


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    good = "".join(f"2020-01-{k:02d},{k}\n" for k in range(1, 30))
    from unrolled.tasks.series.table import SeriesTable

    for other in (good[:200], good + "2020-02-01,3\n"):
        path.write_text("day,v\n" + good)
        table = SeriesTable(str(path), None, None, None)
        path.write_text("day,v\n" + other)
        with pytest.raises(DataError, match="has changed while it was read"):
            table._read_times("day")
