"""Series trained, scored, forecast and resumed; and that nothing behind an origin is read before it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import unrolled
from unrolled.errors import DataError, UsageError
from unrolled.insight.watcher import GradientWatcher
from unrolled.models.options import ModelOptions
from unrolled.runs.folder import RunFolder
from unrolled.series import scores
from unrolled.series.clock import Clock
from unrolled.series.scaling import fit_scaling
from unrolled.tasks.series import words
from unrolled.tasks.series.forecasting import forecast
from unrolled.tasks.series.options import SeriesOptions
from unrolled.tasks.series.prepared import Layout, prepared, window
from unrolled.tasks.series.reading import Series
from unrolled.tasks.series.task import SeriesTask
from unrolled.tasks.series.windows import Windows, rolling_origins

pytest.importorskip("polars")

SIZES = {"hidden": 8, "batch": 8, "threads": 1, "quiet": True, "epochs": 3, "seed": 1}


def wave(count, period=12, seed=1):
    draw = np.random.default_rng(seed)
    return 10 + 3 * np.sin(2 * np.pi * np.arange(count) / period) + draw.normal(size=count)


def write(path, values, id=None):
    head = "month,value\n" if id is None else "id,month,value\n"
    months = [f"{1950 + k // 12}-{k % 12 + 1:02d}-01" for k in range(len(values))]
    lines = [f"{'' if id is None else id + ','}{m},{v:.4f}" for m, v in zip(months, values, strict=True)]
    path.write_text(head + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A series with a level, and a price; each with a small network."""
    folder = tmp_path_factory.mktemp("series")
    write(folder / "wave.csv", wave(300))
    draw = np.random.default_rng(5)
    write(folder / "price.csv", np.exp(draw.standard_t(4, size=400).cumsum() * 0.02 + 4))
    for name in ("wave", "price"):
        unrolled.fit(folder / f"{name}.csv", folder / name, horizon=6, **SIZES)
    return folder


def made(y, layout, training=60):
    months = Clock("months", 1, True)
    times = months.after(np.datetime64("1949-12-01T00:00:00"), len(y))
    scaling = fit_scaling(y[:training], "level")
    series = Series("", times, y[:, None], np.zeros((len(y), 0)))
    return prepared(series, [scaling], months, layout, (training, training + 12), None)


FREE, FORCED = Layout(6, 12, 24, 3, True, False), Layout(6, 4, 24, 1, False, False)


@pytest.mark.parametrize("layout", [FREE, FORCED])
@pytest.mark.parametrize("change", ["shuffled", "missing", "cut"])
def test_nothing_behind_the_origin_changes_what_a_forecast_reads(layout, change):
    y = wave(100)
    other = y.copy()
    if change == "shuffled":
        other[70:] = np.random.default_rng(2).permutation(other[70:]) * 5
    else:
        other[70:] = np.nan
    if change == "cut":
        other = other[:70]
    first, second = made(y, layout), made(other, layout)
    end = 70 + layout.ahead
    a, b = (window(one, 70, layout, 70 - layout.context, end) for one in (first, second))
    assert np.array_equal(a, b)
    task = SeriesTask(options_of(layout))
    task.targets, task._calendar = ("v",), first.calendar(np.arange(1)).shape[1]
    torch.manual_seed(0)
    options = ModelOptions(hidden=5, layers=1, dropout=0.0)
    model = task.build(unrolled.LSTMCell, options)
    a, b = (forecast(model, [one], [(0, 70)], layout, 10, 1) for one in (first, second))
    assert a.shape == (1, 6, 1, 10) and np.isfinite(a).all() and np.array_equal(a, b)
    changed = y.copy()
    changed[69] += 1  # what came before does change it
    assert not np.array_equal(a, forecast(model, [made(changed, layout)], [(0, 70)], layout, 10, 1))


def options_of(layout):
    return SeriesOptions(
        horizon=layout.horizon,
        season=layout.season,
        context=layout.context,
        patch=layout.patch,
        forcing="free-running" if layout.free else "teacher-forced",
        transform="level",
        head="student-t",
    )


def test_a_window_by_hand():
    """Patches of 2: the two values before, the two a season before, the month, the age."""
    layout = Layout(4, 3, 4, 2, True, False)
    one = made(np.arange(100.0) ** 1.5, layout)
    z = one.scaled(np.arange(100))[:, 0]
    x = window(one, 10, layout, 6, 14)
    assert x.shape == (4, 2 + 1 + 2 + 1 + 2 + 1)
    assert np.allclose(x[1, :6], [z[6], z[7], 1, z[5], z[6], 1])  # of steps 8 and 9
    assert np.allclose(x[2, :6], [z[8], z[9], 1, z[7], z[8], 1])  # of steps 10 and 11
    assert np.allclose(x[3, :6], [0, 0, 0, z[9], z[7], 1])  # of 12 and 13: nothing seen; a season before, and two
    assert x[:, -1].tolist() == [0, 0, 0.5, 1]
    angle = 2 * np.pi * 243 / 365.25  # September, the first step of the second patch
    assert np.allclose(x[1, 6:8], [math.sin(angle), math.cos(angle)], atol=0.02)


def test_training_windows_end_in_the_training_part():
    layout = replace(FREE, patch=1)
    one = made(wave(100), layout)
    windows = Windows([one], layout, 4, seed=3)
    for update in range(20):
        batch = windows.batch_at(update)
        assert batch.inputs.isfinite().all() and batch.targets[: layout.context].isnan().all()
        begin = update // windows.updates_per_epoch * windows.updates_per_epoch
        epoch = range(begin, begin + windows.updates_per_epoch)
        origins = [origin for other in epoch for _, origin in windows.pairs_at(other)]
        assert max(origins) + layout.horizon <= one.training and len(set(origins)) == len(origins)
    again = Windows([one], layout, 4, seed=3)
    assert torch.equal(again.batch_at(7).inputs, windows.batch_at(7).inputs)
    assert not torch.equal(again.batch_at(7).inputs, again.batch_at(8 + windows.updates_per_epoch).inputs)


@pytest.mark.parametrize("layout", [replace(FREE, patch=1), FORCED])
def test_the_loss_of_a_part_is_that_of_its_horizons(layout):
    one = made(wave(100), layout)
    origins = [60, 63, 66]
    pairs = [(0, o + layout.horizon * (not layout.free)) for o in origins]
    targets = Windows([one], layout, 3, 1, pairs).batch_at(0).targets[:, :, 0].numpy()
    for n, origin in enumerate(origins):
        seen = ~np.isnan(targets[:, n])
        assert np.allclose(targets[seen, n], one.scaled(np.arange(origin, origin + layout.horizon))[:, 0])


def test_origins_are_purged():
    found = rolling_origins(100, 160, 12, 10)
    assert found[0] == 100 and found[-1] + 12 <= 160 and len(found) <= 10
    assert rolling_origins(100, 111, 12, 10).size == 0


def test_scores_are_those_of_the_forecasts(runs):
    """MASE, sMAPE, CRPS and coverage of the test part, from the draws by hand."""
    model = unrolled.load(runs / "wave")
    figures = model.evaluate(on="test")
    task = model._with_own_data("test", None)
    one = task.series[0]
    origins = rolling_origins(one.validation, 300, 6, 40)
    draws = forecast(model.model, task.series, [(0, int(o)) for o in origins], task.layout, 200, 1)[:, :, 0]
    y = one.series.y[:, 0]
    actual = np.stack([y[o : o + 6] for o in origins])
    season = task.layout.season
    assert season == 12 and figures["origins"] == len(origins) and figures["scored"] == actual.size
    scale = np.abs(y[season : one.training] - y[: one.training - season]).mean()
    median = np.median(draws, axis=-1)
    assert figures["mase"] == pytest.approx(np.abs(actual - median).mean() / scale)
    assert figures["smape"] == pytest.approx((2 * np.abs(actual - median) / (actual + np.abs(median))).mean())
    assert figures["crps"] == pytest.approx(scores.crps(actual, draws).mean() / scale)
    assert sum(figures["pit"]) == pytest.approx(1)
    naive = np.stack([np.full(6, y[o - 1]) for o in origins])
    assert figures["baselines"]["naive"]["mase"] == pytest.approx(np.abs(actual - naive).mean() / scale)
    assert json.loads(json.dumps(figures)) and figures["notes"]


def test_prices_are_scored_as_returns_and_called_what_they_are(runs):
    model = unrolled.load(runs / "price")
    o = model.task.options
    assert (o.transform, o.forcing) == ("returns", "teacher-forced")
    figures = model.evaluate(on="test")
    assert {"random walk", "AR(1) of changes"} <= figures["baselines"].keys()
    assert any("does not beat" in note or "chance" in note for note in figures["notes"])
    assert 0.5 < figures["coverage_80"] < 1


@pytest.mark.parametrize("name", ["wave", "price"])
def test_a_forecast_goes_on_behind_the_end(cli, runs, tmp_path, name):
    status, out, err = cli("forecast", runs / name, "--horizon", 4)
    lines = out.splitlines()
    assert (status, err) == (0, "") and lines[0] == "time,low_95,low_80,median,high_80,high_95" and len(lines) == 5
    assert lines[1].startswith("1975-01-01" if name == "wave" else "1983-05-01")
    for line in lines[1:]:
        levels = [float(cell) for cell in line.split(",")[1:]]
        assert levels == sorted(levels)
    status, out, _ = cli("forecast", runs / name, "--out", tmp_path / "next.csv")
    assert status == 0 and (tmp_path / "next.png").read_bytes()[:4] == b"\x89PNG"
    assert len((tmp_path / "next.csv").read_text().splitlines()) == 7
    assert cli("forecast", runs / name)[1] == (tmp_path / "next.csv").read_text()


def test_a_longer_horizon_needs_draws_to_feed_back(cli, runs):
    status, _, err = cli("forecast", runs / "wave", "--horizon", 7)
    assert status == 2 and "was trained to look at most 6 steps ahead, got 7" in err
    assert len(cli("forecast", runs / "price", "--horizon", 9)[1].splitlines()) == 10


def test_a_task_that_does_not_forecast(cli, text, tmp_path):
    unrolled.fit(text, tmp_path / "run", epochs=0.05, hidden=8, threads=1, quiet=True)
    status, _, err = cli("forecast", tmp_path / "run")
    assert status == 2 and f"the task text does not forecast: see unrolled sample {tmp_path / 'run'}" in err


def test_a_forecast_is_not_called_a_sample(cli, runs):
    status, _, err = cli("sample", runs / "wave")
    assert status == 2 and f"has nothing to sample: see unrolled forecast {runs / 'wave'}" in err


def test_the_commands_print_what_was_found(cli, runs, tmp_path):
    status, out, _ = cli("evaluate", runs / "wave", "--on", "test")
    assert status == 0 and "seasonal naive" in out and "this model" in out and max(map(len, out.splitlines())) <= 80
    assert not any(line.endswith(" ") for line in out.splitlines())
    status, out, _ = cli("evaluate", runs / "price", "--json")
    assert status == 0 and {"mase", "smape", "crps", "coverage_80", "baselines"} <= json.loads(out).keys()
    status, out, err = cli("inspect", runs / "wave")
    assert status == 0 and "text" not in out, err
    status, out, _ = cli("evaluate", runs / "wave", "--pictures", tmp_path / "seen")
    assert status == 0 and (tmp_path / "seen" / "forecasts.png").read_bytes()[:4] == b"\x89PNG"


def test_many_series_have_one_model(tmp_path):
    waves = [write(tmp_path / "x.csv", wave(90, seed=k) * 10**k, f"s{k}").read_text() for k in range(3)]
    text = waves[0] + "".join(one.split("\n", 1)[1] for one in waves[1:])
    flat = [line.replace("s0", "flat").rsplit(",", 1)[0] + ",5\n" for line in waves[0].splitlines()[1:]]
    (tmp_path / "many.csv").write_text(text + "".join(flat) + "new,1950-01-01,3\n")
    model = unrolled.fit(tmp_path / "many.csv", tmp_path / "run", horizon=4, **SIZES)
    assert set(model.task.scalings) == {"s0", "s1", "s2"}
    task = model._with_own_data("validation", None)
    assert task.left_out == {"short": ["new"], "constant": ["flat"]}
    figures = model.evaluate()
    assert figures["diebold_mariano"]["compared"] == 3
    table, picture = model.forecast()
    rows = [line.split(",") for line in table.text.splitlines()]
    assert rows[0][:2] == ["series", "time"]
    assert [row[0] for row in rows[1:]] == [name for name in ("s0", "s1", "s2") for _ in range(4)]
    assert picture.kind == "picture"


@pytest.mark.parametrize("head", ["gaussian", "quantiles"])
def test_heads_and_gaps(tmp_path, head):
    y = wave(150)
    y[40:44] = np.nan
    path = write(tmp_path / "t.csv", y)
    path.write_text(path.read_text().replace("nan", ""))
    model = unrolled.fit(path, tmp_path / "run", head=head, horizon=3, cell="gru", forcing="teacher-forced", **SIZES)
    assert math.isfinite(model.evaluate()["crps"])
    assert model._with_own_data("test", None).source.missing == 4


def test_counts(tmp_path):
    draw = np.random.default_rng(1)
    path = write(tmp_path / "t.csv", draw.poisson(3, 150).astype(float))
    path.write_text(path.read_text().replace(".0000", ""))
    model = unrolled.fit(path, tmp_path / "run", horizon=3, **SIZES)
    assert model.task.options.head == "negative-binomial"
    draws = forecast(
        model.model, [t := model._with_own_data("test", None).series[0]], [(0, 140)], model.task.layout, 50, 1
    )
    assert (draws == np.floor(draws)).all() and draws.min() >= 0 and t.scaled(np.arange(150)).shape == (150, 1)
    forced = unrolled.fit(path, tmp_path / "forced", horizon=3, forcing="teacher-forced", **SIZES)
    assert 0.5 < forced.evaluate()["coverage_80"] <= 1


def test_two_targets_have_a_width_each(tmp_path):
    y, days = wave(200) + 1_000, (np.datetime64("2020-01-01") + np.arange(200)).astype(str)
    path = tmp_path / "t.csv"
    path.write_text("day,a,b\n" + "".join(f"{d},{v:.4f},{10 * v:.3f}\n" for d, v in zip(days, y, strict=True)))
    model = unrolled.fit(path, tmp_path / "run", target="a,b", horizon=3, **SIZES)
    assert math.isfinite(model.evaluate()["crps"])
    task = model._with_own_data("test", None)
    model.model.get_buffer("spread").copy_(torch.tensor([1.0, 2.0]))
    wide = forecast(model.model, task.series, [(0, 190)], task.layout, 50, 1)
    model.model.get_buffer("spread").fill_(1)
    own = forecast(model.model, task.series, [(0, 190)], task.layout, 50, 1)
    width, before = (np.ptp(draws, axis=-1)[0] for draws in (wide, own))  # (H, K)
    assert np.allclose(width[:, 0], before[:, 0]) and np.allclose(width[:, 1], 2 * before[:, 1])


@pytest.mark.parametrize("year", [1, 9_900, 9_990])
def test_years_that_matplotlib_does_not_know_are_drawn(tmp_path, year):
    head = "@relation x\n@attribute n string\n@attribute start date\n@frequency yearly\n@data\n"
    values = ",".join(f"{v:.3f}" for v in wave(95))
    (tmp_path / "t.tsf").write_text(f"{head}T:{year:04d}-01-01 00-00-00:{values}\n")
    model = unrolled.fit(tmp_path / "t.tsf", tmp_path / "run", horizon=6, **SIZES)
    table, picture = model.forecast()
    assert table.text.splitlines()[1].startswith(f"T,{year + 95:04d}-01-01,") and len(picture.content) > 1_000


def test_steps_read_at_once(tmp_path):
    path = write(tmp_path / "t.csv", wave(200))
    model = unrolled.fit(path, tmp_path / "run", horizon=7, patch=3, forcing="free-running", **SIZES)
    assert model.task.layout.ahead == 9 and model.evaluate()["horizon"] == 7


def test_advice_of_bptt_is_for_streams_alone(text, tmp_path, monkeypatch):
    windows, begin = [], GradientWatcher.begin

    def watched(self, task, model, advice, fresh):
        windows.append(advice.windows)
        begin(self, task, model, advice, fresh)

    monkeypatch.setattr(GradientWatcher, "begin", watched)
    for data in (write(tmp_path / "t.csv", wave(100)), text):
        unrolled.fit(data, tmp_path / data.stem, hidden=4, threads=1, quiet=True, epochs=0.01)
    assert windows == [False, True]


def test_a_resumed_run_is_bit_exact(tmp_path):
    path = write(tmp_path / "t.csv", wave(200))
    options = {"horizon": 6, "save_every": 0.0, **SIZES, "epochs": 6}

    def stop(event):
        if event["event"] == "update" and event["update"] == 9:
            raise KeyboardInterrupt

    unrolled.fit(path, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        unrolled.fit(path, tmp_path / "run", **{**options, "listen": stop})
    unrolled.fit(None, tmp_path / "run", resume=True, quiet=True)
    one, other = (RunFolder(tmp_path / n).read_model()[0] for n in ("run", "whole"))
    assert all(np.array_equal(one[key], other[key]) for key in other)


@pytest.mark.parametrize(
    ("values", "options", "error", "message"),
    [
        (np.full(100, 3.0), {}, DataError, "never changes in its training part"),
        (wave(20), {"horizon": 12}, DataError, "the series has 20 steps, and this needs at least 51"),
        (wave(100) - 20, {"transform": "returns"}, DataError, "--transform returns: .* values below 0"),
        (wave(100), {"head": "negative-binomial"}, UsageError, "must be whole numbers from 0"),
        (wave(100), {"bptt": 7}, UsageError, "--bptt: the windows of a series"),
        (wave(100), {"forcing": "teacher-forced", "direction": "both"}, UsageError, "--direction"),
        (wave(100), {"forcing": "teacher-forced", "patch": 3}, UsageError, "--patch"),
        (wave(100), {"context": 10**9}, UsageError, "--context: the longest series has 100 steps, got 1,000,000,000"),
        (wave(100), {"horizon": 0}, UsageError, "--horizon: must be a whole number from 1"),
        (wave(100), {"split": "50/50"}, UsageError, "--split"),
    ],
)
def test_what_cannot_be_trained_leaves_nothing_behind(tmp_path, values, options, error, message):
    path = write(tmp_path / "t.csv", values)
    with pytest.raises(error, match=message):
        unrolled.fit(path, tmp_path / "run", **SIZES, **options)
    assert not (tmp_path / "run").exists()


def test_other_data_of_a_run(runs, tmp_path):
    model = unrolled.load(runs / "wave")
    figures = model.evaluate(write(tmp_path / "other.csv", wave(80, seed=9)))
    assert figures["on"].endswith("other.csv") and math.isfinite(figures["mase"])
    (tmp_path / "days.csv").write_text("day,value\n" + "".join(f"2020-01-{k:02d},{k % 5}\n" for k in range(1, 30)))
    with pytest.raises(DataError, match=r"\(daily\) differ from those of the training data \(monthly\)"):
        model.evaluate(tmp_path / "days.csv")


def test_other_data_are_read_by_the_names_of_the_targets(tmp_path):
    draw = np.random.default_rng(4)
    days = [f"2020-{1 + k // 28:02d}-{1 + k % 28:02d}" for k in range(100)]
    rows = [(day, 10 + v, 1_000 + w) for day, (v, w) in zip(days, draw.normal(size=(100, 2)), strict=True)]
    (tmp_path / "one.csv").write_text("day,temp,rain\n" + "".join(f"{d},{v},{w}\n" for d, v, w in rows))
    (tmp_path / "two.csv").write_text("day,rain,temp\n" + "".join(f"{d},{w},{v}\n" for d, v, w in rows))
    (tmp_path / "none.csv").write_text("day,rain\n" + "".join(f"{d},{w}\n" for d, _, w in rows))
    model = unrolled.fit(tmp_path / "one.csv", tmp_path / "run", horizon=4, **SIZES)
    first, second = (model.evaluate(tmp_path / f"{name}.csv") for name in ("one", "two"))
    assert first | {"on": ""} == second | {"on": ""}
    with pytest.raises(DataError, match="has no column 'temp', which the run forecasts; it has day, rain"):
        model.evaluate(tmp_path / "none.csv")


def test_a_table_tells_levels_far_from_zero_apart():
    one = made(wave(100), FREE)
    draws = 1e7 + np.random.default_rng(5).normal(size=(1, 6, 1, 200))
    rows = [row.split(",")[1:] for row in words.table([one], Clock("months", 1, True), ("v",), draws).split()[1:]]
    found = np.array(rows, dtype=float)
    assert np.allclose(
        found, np.quantile(draws[0, :, 0], [0.025, 0.1, 0.5, 0.9, 0.975], axis=-1).T, rtol=0, atol=1e-3
    )
