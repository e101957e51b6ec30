"""The intervals' width: fitted on the validation part alone, kept with the weights, used by all that forecasts."""

import json

import numpy as np
import pytest
import torch

import unrolled
from unrolled.runs.folder import RunFolder
from unrolled.series import scores
from unrolled.tasks.series.forecasting import scaled

pytest.importorskip("polars")

SIZES = {"hidden": 8, "batch": 8, "threads": 1, "quiet": True, "epochs": 3, "seed": 1, "horizon": 6}
STEPS, TRAINING, VALIDATION = 300, 210, 240


def calmer(seed=1):
    """Cycles with noise that is smaller behind the training part, so that intervals come out too wide."""
    random = np.random.default_rng(seed)
    noise = np.where(np.arange(STEPS) < TRAINING, 2.0, 0.7)
    return 100 + 3 * np.sin(2 * np.pi * np.arange(STEPS) / 12) + noise * random.normal(size=STEPS)


def write(path, values):
    months = [f"{1950 + k // 12}-{k % 12 + 1:02d}-01" for k in range(len(values))]
    path.write_text("month,value\n" + "".join(f"{m},{v:.4f}\n" for m, v in zip(months, values, strict=True)))
    return path


def prices(seed=2):
    random = np.random.default_rng(seed)
    noise = np.where(np.arange(STEPS) < TRAINING, 0.04, 0.02)
    return np.exp(4 + np.cumsum(noise * random.normal(size=STEPS)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spread")
    for name, values in (("level", calmer()), ("price", prices())):
        unrolled.fit(write(folder / f"{name}.csv", values), folder / name, **SIZES)
    return folder


def kept(run):
    return RunFolder(run).read_model()[0]["spread"]


@pytest.mark.parametrize("name", ["level", "price"])
def test_intervals_of_calmer_years_are_narrowed(runs, name):
    model = unrolled.load(runs / name)
    task = model._with_own_data("validation", None)
    pairs = task._pairs("validation", 400)
    actual, draws = map(
        np.concatenate, zip(*scaled(model.model, task.series, pairs, task.layout, 200, 1), strict=True)
    )
    (factor,) = kept(runs / name)
    before = scores.coverage(actual[..., 0], draws[:, :, 0])
    after = model.evaluate()["coverage_80"]
    assert 0.3 < factor < 0.97 and before > 0.8 and 0.8 <= after < before


def test_the_test_part_does_not_enter(runs, tmp_path):
    values = calmer()
    values[VALIDATION:] = 100 + 40 * np.random.default_rng(4).normal(size=STEPS - VALIDATION)
    unrolled.fit(write(tmp_path / "t.csv", values), tmp_path / "run", **SIZES)
    one, other = (RunFolder(run).read_model()[0] for run in (runs / "level", tmp_path / "run"))
    assert all(np.array_equal(one[key], other[key]) for key in one)
    values = calmer()
    values[TRAINING:VALIDATION] += 4 * np.random.default_rng(4).normal(size=VALIDATION - TRAINING)
    unrolled.fit(write(tmp_path / "v.csv", values), tmp_path / "wild", **SIZES)
    assert kept(tmp_path / "wild") > 1 > kept(runs / "level")


@pytest.mark.parametrize("name", ["level", "price"])
def test_scores_and_forecasts_are_widened_alike(runs, name):
    """Three times as wide, where errors are measured: in logarithms for prices."""
    model = unrolled.load(runs / name)
    straight = np.log if name == "price" else np.asarray

    def levels():
        rows = [line.split(",")[1:] for line in model.forecast()[0].text.splitlines()[1:]]
        return straight(np.array(rows, float))

    before, figures = levels(), model.evaluate(on="test")
    with torch.no_grad():
        model.model.spread *= 3
    after = levels()
    assert np.allclose(after[:, 2], before[:, 2], rtol=1e-5)
    assert np.allclose(after - after[:, 2:3], 3 * (before - before[:, 2:3]), atol=2e-4 * np.ptp(after))
    wider = model.evaluate(on="test")
    assert wider["coverage_80"] > figures["coverage_80"] and wider["mase"] == pytest.approx(figures["mase"])
    assert wider["spread"] == pytest.approx([3 * figures["spread"][0]])


def test_it_is_said(cli, runs):
    factor = f"{kept(runs / 'level')[0]:.2f}"
    status, out, _ = cli("evaluate", runs / "level", "--on", "test")
    assert status == 0 and f"narrowed to {factor} of their width" in out and "was fitted on this part" not in out
    status, out, _ = cli("evaluate", runs / "level")
    assert "was fitted on this part" in " ".join(out.split()) and max(map(len, out.splitlines())) <= 80
    ends = [json.loads(line) for line in (runs / "level" / "history.jsonl").read_text().splitlines()]
    assert f"narrowed to {factor} of their width" in ends[-1]["note"]


def test_training_further_begins_with_the_network_alone_and_fits_again(runs, tmp_path):
    path = write(tmp_path / "t.csv", calmer())
    unrolled.fit(path, tmp_path / "run", **SIZES)
    assert np.array_equal(kept(tmp_path / "run"), kept(runs / "level"))
    assert RunFolder(tmp_path / "run").read_checkpoint()[0]["model.spread"] == 1
    unrolled.fit(None, tmp_path / "run", resume=True, epochs=6, quiet=True)
    ends = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert kept(tmp_path / "run") != 1 and [e["event"] for e in ends].count("finished") == 2
    started = unrolled.fit(path, tmp_path / "next", from_run=tmp_path / "run", epochs=0.1, quiet=True, threads=1)
    assert RunFolder(started.run.path).read_checkpoint()[0]["model.spread"] == 1


def test_counts_stay_counts(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("v\n" + "".join(f"{n}\n" for n in np.random.default_rng(1).poisson(3, 150)))
    model = unrolled.fit(path, tmp_path / "run", **{**SIZES, "horizon": 3})
    assert model.task.layout.counts and kept(tmp_path / "run") == 1
