"""Data that are not the run's own: which series they are, how they are scaled, and what of them is scored."""

import math

import numpy as np
import pytest

import unrolled
from unrolled.errors import DataError, UsageError
from unrolled.tasks.series.windows import Windows, rolling_origins

pytest.importorskip("polars")

SIZES = {"hidden": 8, "batch": 8, "threads": 1, "quiet": True, "epochs": 3, "seed": 1, "horizon": 6}


def wave(count, seed=1, level=10.0):
    draw = np.random.default_rng(seed)
    return level + 3 * np.sin(2 * np.pi * np.arange(count) / 12) + draw.normal(size=count)


def prices(count, seed=5, spread=0.02):
    return np.exp(np.random.default_rng(seed).standard_t(4, size=count).cumsum() * spread + 4)


def rows(values, first=0, id=None):
    """Months from that many behind January 1950 on."""
    months = [f"{1950 + k // 12}-{k % 12 + 1:02d}-01" for k in range(first, first + len(values))]
    named = "" if id is None else f"{id},"
    return [f"{named}{month},{value:.6g}" for month, value in zip(months, values, strict=True)]


def write(path, lines, head="month,value"):
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def others(model, path):
    """The task of a run with other data."""
    task = type(model.task)(model.task.options)
    task.restore(model.run)
    task.read_all(str(path))
    return task


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("others")
    data = {"wave": rows(wave(300)), "price": rows(prices(300)), "bare": [f"{v:.4f}" for v in wave(300)]}
    for name, lines in data.items():
        path = write(folder / f"{name}.csv", lines, "value" if name == "bare" else "month,value")
        unrolled.fit(path, folder / name, **SIZES)
    return {name: unrolled.load(folder / name) for name in data}


NEWER = np.concatenate([wave(300), wave(24, seed=2)])


@pytest.mark.parametrize(
    ("values", "first"),
    [
        (wave(300), 0),
        (NEWER, 0),
        (NEWER[200:], 200),
        (NEWER[200:] + 0.3, 200),
        (np.concatenate([NEWER[250:300], NEWER[300:] + 30]), 250),
        (wave(24, seed=2), 300),
        (wave(24, seed=2) + 3, 400),
        (wave(80, seed=9)[:12], 500),
    ],
    ids=["the same", "longer", "its end", "revised", "rising", "what followed", "much later", "short"],
)
def test_newer_rows_of_the_series_keep_the_scaling_of_the_run(runs, tmp_path, values, first):
    task = others(runs["wave"], write(tmp_path / "t.csv", rows(values, first)))
    assert task.series[0].scalings == runs["wave"].task.scalings[""] and not task.unknown


@pytest.mark.parametrize(
    ("values", "first"),
    [
        (wave(80, seed=9, level=1_000), 0),
        (7 + wave(80, seed=9) / 100, 100),
        (10 - (wave(80) - 10), 40),
        (wave(80, seed=9, level=1_000), 300),
    ],
    ids=["higher", "calmer", "the other way round", "later and higher"],
)
def test_another_series_has_its_own_scaling(runs, tmp_path, values, first):
    task = others(runs["wave"], write(tmp_path / "t.csv", rows(values, first)))
    z = task.series[0].scaled(np.arange(80))
    assert len(task.unknown) == 1 and np.abs(z).max() < 6 and 0.5 < z.std() < 2


def test_without_times_the_values_say_it(runs, tmp_path):
    def lines(values):
        return write(tmp_path / "t.csv", [f"{v:.4f}" for v in values], "value")

    assert not others(runs["bare"], lines(NEWER[150:])).unknown
    assert others(runs["bare"], lines(wave(80, level=1_000))).unknown


def test_changes_of_another_size_are_those_of_another_series(runs, tmp_path):
    for spread, is_known in ((0.02, True), (0.3, False)):
        path = write(tmp_path / "t.csv", rows(prices(100, seed=8, spread=spread), 600))
        assert bool(others(runs["price"], path).unknown) is not is_known


def test_a_person_is_told_how_others_are_scaled_and_scored(cli, runs, tmp_path):
    run = runs["wave"].run.path
    path = write(tmp_path / "high.csv", rows(wave(80, seed=9, level=1_000)))
    status, out, err = cli("forecast", run, path)
    medians = [float(line.split(",")[3]) for line in out.splitlines()[1:]]
    assert status == 0 and all(990 < median < 1_010 for median in medians)
    assert "The run has not learnt from this series: it is scaled by its own first half." in err
    status, out, _ = cli("evaluate", run, path)
    said = " ".join(out.split())
    assert status == 0 and "Scored are the steps from 1953-05-01 on, the second half" in said
    assert "not learnt from this series" in said
    assert "second half" not in " ".join(runs["wave"].evaluate(on="test")["notes"])
    assert cli("forecast", run)[2] == ""


def test_of_many_series_some_are_known(cli, tmp_path):
    some = [line for k in range(2) for line in rows(wave(100, seed=k), id=f"s{k}")]
    unrolled.fit(write(tmp_path / "t.csv", some, "id,month,value"), tmp_path / "run", **SIZES)
    model = unrolled.load(tmp_path / "run")
    more = [*some, *rows(wave(80, level=500), id="far"), *rows(np.full(80, 3.0), id="still")]
    path = write(tmp_path / "more.csv", more, "id,month,value")
    task = others(model, path)
    assert [one.series.name for one in task.series] == ["s0", "s1", "far"]
    assert [one.name for one in task.unknown] == ["far"] and task.left_out == {"still": ["still"]}
    _, out, err = cli("forecast", tmp_path / "run", path)
    assert out.count("\n") == 1 + 3 * 6 and "not learnt from 1 of the 3 series" in err
    assert "Left out: 1 with too few values that vary: still." in " ".join(err.split())
    notes = " ".join(model.evaluate(path)["notes"])
    assert "Scored is the second half of each series" in notes and "still" in notes


@pytest.mark.parametrize("first", [0, 600])
def test_values_that_the_transform_cannot_have_are_refused(runs, tmp_path, first):
    path = write(tmp_path / "t.csv", rows(prices(100) - 60, first))
    for act in (runs["price"].evaluate, runs["price"].forecast):
        with pytest.raises(DataError, match=r"the series has -[\d.]+, expected values above 0 for returns"):
            act(path)


@pytest.fixture
def counts():
    return np.random.default_rng(1).poisson(3, 150).astype(float)


@pytest.mark.parametrize("at", [110, 140], ids=["validation", "test"])
def test_what_is_no_count_anywhere_is_not_modelled_as_counts(tmp_path, counts, at):
    counts[at] = 3.5
    path = write(tmp_path / "t.csv", rows(counts))
    model = unrolled.fit(path, tmp_path / "run", **SIZES)
    assert model.task.options.head == "student-t" and math.isfinite(model.evaluate(on="test")["loss"])
    with pytest.raises(
        UsageError, match="--head negative-binomial: the values must be whole numbers from 0, got 3.5"
    ):
        unrolled.fit(path, tmp_path / "other", head="negative-binomial", **SIZES)


def test_all_targets_and_all_series_are_asked_for_counts(tmp_path, counts):
    lines = [f"{row},{value + 0.5}" for row, value in zip(rows(counts), counts, strict=True)]
    two = unrolled.fit(
        write(tmp_path / "two.csv", lines, "month,a,b"), tmp_path / "two", target="a,b", **SIZES, transform="level"
    )
    assert two.task.options.head == "student-t"
    lines = [line for k in range(31) for line in rows(counts, id=f"s{k}")] + rows(counts[:140] + 0.5, id="short")
    many = unrolled.fit(write(tmp_path / "many.csv", lines, "id,month,value"), tmp_path / "many", **SIZES)
    assert many.task.options.head == "student-t"


def test_other_data_of_counts_are_counts(tmp_path, counts):
    model = unrolled.fit(write(tmp_path / "t.csv", rows(counts)), tmp_path / "run", **SIZES)
    assert model.task.options.head == "negative-binomial"
    counts[120] = 3.5
    with pytest.raises(DataError, match="has 3.5, expected whole numbers from 0 for negative-binomial"):
        model.evaluate(write(tmp_path / "other.csv", rows(counts)))


def test_a_transform_suits_values_of_all_parts(tmp_path):
    values = prices(200)
    values[190] = 0
    path = write(tmp_path / "t.csv", rows(values))
    assert unrolled.fit(path, tmp_path / "run", **SIZES).task.options.transform == "differences"
    with pytest.raises(DataError, match="--transform returns: .* has values below 0, or 0: choose"):
        unrolled.fit(path, tmp_path / "other", transform="returns", **SIZES)
    lines = [line for k in range(3) for line in rows(prices(200, seed=k), id=f"s{k}")] + rows(values, id="nought")
    model = unrolled.fit(write(tmp_path / "many.csv", lines, "id,month,value"), tmp_path / "many", **SIZES)
    task = model._with_own_data("test", None)
    assert model.task.options.transform == "returns" and task.left_out == {"misfit": ["nought"]}
    assert ("left out", "1 with values that returns with student-t cannot have: nought") in task.about()


def test_a_run_that_starts_from_another_has_its_own_split(tmp_path):
    path = write(tmp_path / "t.csv", rows(wave(200)))
    unrolled.fit(path, tmp_path / "one", split="50/20/30", season=12, **SIZES)
    model = unrolled.fit(path, tmp_path / "two", from_run=tmp_path / "one", epochs=1, threads=1, quiet=True)
    assert (model.task.options.split, model.task.options.season) == ("70/10/20", 12)
    given = unrolled.fit(path, tmp_path / "three", from_run=tmp_path / "one", split="60/20/20", epochs=1, quiet=True)
    assert given.task.options.split == "60/20/20"


def test_the_loss_is_that_of_all_origins_that_are_scored(tmp_path):
    lines = [line for k in range(4) for line in rows(wave(400, seed=k), id=f"s{k}")]
    model = unrolled.fit(write(tmp_path / "t.csv", lines, "id,month,value"), tmp_path / "run", **SIZES)
    task = model._with_own_data("test", None)
    pairs = [(k, int(o)) for k, one in enumerate(task.series) for o in rolling_origins(one.validation, 400, 6, 40)]
    batch = Windows(task.series, task.layout, len(pairs), 1, pairs).batch_at(0)
    model.model.eval()
    found = task.loss(model.model, batch, None)
    figures = model.evaluate(on="test")
    assert figures["origins"] == len(pairs) == 4 * 38
    assert figures["loss"] == pytest.approx(float(found.total.detach()) / found.count, rel=1e-4)


def test_while_training_few_origins_of_many_series_are_scored(tmp_path, monkeypatch):
    lines = [line for k in range(9) for line in rows(wave(100, seed=k), id=f"s{k}")]
    model = unrolled.fit(write(tmp_path / "t.csv", lines, "id,month,value"), tmp_path / "run", **SIZES)
    task = model._with_own_data("validation", None)
    monkeypatch.setattr("unrolled.tasks.series.task._FEW_ORIGINS", 5)
    assert [k for k, _ in task._pairs("validation", 5)] == [0, 2, 4, 6, 8]
    few, whole = (task.validate(model.model, whole) for whole in (False, True))
    assert few["scored"] == 5 * 6 and whole["scored"] > 9 * 6
    assert rolling_origins(100, 120, 5, 1).tolist() == [100]


def test_a_report_is_made_without_the_data(cli, runs, tmp_path, monkeypatch):
    monkeypatch.setattr("unrolled.insight.sections.as_png", lambda figure: b"")
    monkeypatch.setattr("unrolled.insight.sections.as_svg", lambda figure, label: "<svg></svg>")
    path = write(tmp_path / "t.csv", rows(wave(100)))
    unrolled.fit(path, tmp_path / "whole", split="80/0/20", **SIZES)
    status, out, _ = cli("inspect", tmp_path / "whole")
    assert status == 0 and "the validation part has no origin with a whole horizon behind it" in " ".join(out.split())
    path.unlink()
    status, out, _ = cli("inspect", tmp_path / "whole")
    assert status == 0 and "is no longer at" in " ".join(out.split()) and "Report:" in out
    path.write_text("month,value\n")
    status, _, err = cli("inspect", tmp_path / "whole", "--data", path)
    assert status == 1 and "has no" in err
