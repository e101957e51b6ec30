"""Columns that are known in advance: read beyond the origin, while the target is not."""

import numpy as np
import pytest

import unrolled
from unrolled.errors import DataError, UsageError
from unrolled.tasks.series.forecasting import forecast
from unrolled.tasks.series.prepared import window

pl = pytest.importorskip("polars")

SIZES = {"hidden": 8, "batch": 8, "threads": 1, "quiet": True, "epochs": 4, "seed": 1, "horizon": 6}
FREE = {"forcing": "free-running", "patch": 4, "transform": "level"}
FORCED = {"forcing": "teacher-forced", "transform": "differences"}
STEPS, LATER = 150, 6


def rows(steps=STEPS, later=LATER, seed=1, id=None):
    """Sales that follow the price of the day, and promotions; the last rows have no sales yet."""
    random = np.random.default_rng(seed)
    price, promotion = random.normal(10, 2, steps + later), random.integers(0, 2, steps + later)
    sales = 100 - 5 * price + 10 * promotion + random.normal(size=steps + later)
    lines = []
    for k in range(steps + later):
        day = np.datetime64("2020-01-01") + k
        sold = f"{sales[k]:.3f}" if k < steps else ""
        lines.append(f"{'' if id is None else id + ','}{day},{sold},{price[k]:.3f},{promotion[k]}")
    return lines


def write(path, lines, id=False):
    path.write_text("\n".join([("item," if id else "") + "day,sales,price,promotion", *lines]) + "\n")
    return path


def fit(path, run, **options):
    return unrolled.fit(path, run, **{"covariates": "price,promotion", **SIZES, **options})


@pytest.fixture(scope="module", params=[FREE, FORCED], ids=["free", "forced"])
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("covariates")
    return fit(write(folder / "t.csv", rows()), folder / "run", **request.param)


def test_only_what_is_known_is_read_beyond_the_origin(model, tmp_path):
    """Another target behind the origin changes nothing; another covariate there does, but not before it."""

    def task_of(lines):
        made = type(model.task)(model.task.options)
        made.restore(model.run)
        made.read_all(str(write(tmp_path / "t.csv", lines)))
        return made

    origin, lines = 120, rows()
    cells = [line.split(",") for line in lines]
    other = [c if k < origin else [c[0], f"{k % 7}.5", *c[2:]] for k, c in enumerate(cells[:STEPS])]
    known = [c if k < origin + 3 else [*c[:2], "3.5", c[3]] for k, c in enumerate(cells)]

    def at(task):
        one = task.series[0]
        layout = task.layout
        x = window(one, origin, layout, origin - layout.context, origin + layout.ahead)
        return x, forecast(model.model, [one], [(0, origin)], layout, 20, 1)

    (x, made), (same_x, same), (_, changed) = (
        at(task_of([",".join(c) for c in some])) for some in (cells, [*other, *cells[STEPS:]], known)
    )
    assert np.array_equal(x, same_x) and np.array_equal(made, same)
    assert not np.allclose(changed[:, 5], made[:, 5])
    if not task_of(lines).layout.patch > 1:  # a patch is one step of the network
        assert np.allclose(changed[:, :3], made[:, :3])
    scales = model.task.covariates
    price = np.array([float(c[2]) for c in cells])
    training = price[: model._with_own_data("test", None).series[0].training]
    assert scales[0] == pytest.approx((training.mean(), training.std()))


def test_a_window_has_the_covariates_of_its_own_steps(model):
    task = model._with_own_data("test", None)
    one, P = task.series[0], task.layout.patch
    x = window(one, 100, task.layout, 100 - 4 * P, 100 + P)
    known = one.known(np.arange(100 - 4 * P, 100 + P)).reshape(5, -1)
    places = [k for k in range(x.shape[1] - known.shape[1] + 1) if np.allclose(x[:, k : k + known.shape[1]], known)]
    assert len(places) == 1


def test_covariates_are_learnt_from(tmp_path):
    """Nearly all of these sales follows from the price and the promotion of the day."""
    path = write(tmp_path / "t.csv", rows(400))
    options = {"epochs": 60, "forcing": "free-running", "patch": 1, "dropout": 0.0, "transform": "level"}
    with_them = fit(path, tmp_path / "with", **options).evaluate(on="test")
    without = unrolled.fit(path, tmp_path / "without", target="sales", **{**SIZES, **options}).evaluate(on="test")
    assert with_them["mase"] < 0.6 * without["mase"]


def test_the_rows_without_a_target_are_the_future(cli, model, tmp_path):
    status, out, err = cli("forecast", model.run.path)
    lines = out.splitlines()
    assert (status, err) == (0, "") and len(lines) == 7 and lines[1].startswith("2020-05-30")
    own = model._with_own_data("test", None)
    assert own.source.missing == 0 and len(own.series[0]) == STEPS
    assert dict(own.about())["known"] == "price, promotion, in advance, and 6 steps behind its end"
    dearer = [line if k < STEPS else line.rsplit(",", 2)[0] + ",25,0" for k, line in enumerate(rows())]
    table = model.forecast(write(tmp_path / "dear.csv", dearer))[0].text
    assert table != out and len(table.splitlines()) == 7


@pytest.mark.parametrize(("later", "said"), [(0, "have none of them"), (4, "have only 4 of them")])
def test_a_forecast_needs_them(cli, model, tmp_path, later, said):
    path = write(tmp_path / "t.csv", rows(later=later))
    status, _, err = cli("forecast", model.run.path, path)
    assert status == 1 and "a forecast of 6 steps needs price,promotion of these steps" in " ".join(err.split())
    assert said in " ".join(err.split()) and ("--horizon 4" in err) == (later == 4)
    if later:
        assert len(cli("forecast", model.run.path, path, "--horizon", 4)[1].splitlines()) == 5


def test_parquet_and_many_series(tmp_path):
    lines = [line for k, name in enumerate("ab") for line in rows(100, 6 + k, seed=k, id=name)]
    path = write(tmp_path / "t.csv", lines, id=True)
    table = pl.read_csv(path, try_parse_dates=True).with_columns(pl.col("promotion").cast(pl.Boolean))
    table.write_parquet(tmp_path / "t.parquet")
    models = [fit(tmp_path / f"t.{kind}", tmp_path / kind, id="item") for kind in ("csv", "parquet")]
    tables = [model.forecast()[0].text for model in models]
    assert tables[0] == tables[1] and len(tables[0].splitlines()) == 13
    assert [one.series.later for one in models[0]._with_own_data("test", None).series] == [6, 7]


def test_rows_that_are_missing_keep_the_covariate(tmp_path):
    lines = rows()
    path = write(tmp_path / "t.csv", [*lines[:50], *lines[52:]])
    one = fit(path, tmp_path / "run")._with_own_data("test", None).series[0]
    assert (
        np.isnan(one.scaled(np.arange(50, 52))).all()
        and (one.known(np.arange(49, 52)) == one.known(np.array([49]))).all()
    )
    assert np.allclose(one.series.known[52], [float(cell) for cell in lines[52].split(",")[2:]])


def broken(row, cell):
    lines = rows()
    lines[row] = lines[row].rsplit(",", 2)[0] + f",{cell},1"
    return lines


@pytest.mark.parametrize(
    ("lines", "options", "error", "message"),
    [
        (broken(41, ""), {}, DataError, "row 42, column 'price' is empty: a covariate has a value in each row"),
        (broken(41, "cheap"), {}, DataError, "row 42, column 'price' is 'cheap', expected a number"),
        (rows(), {"covariates": "cost"}, UsageError, "--covariates: .* has no column 'cost'; it has day, sales"),
        (rows(), {"covariates": "price,sales", "target": "sales"}, UsageError, "'sales' has another part already"),
        (
            [line.rsplit(",", 1)[0] + ",0" for line in rows()],
            {},
            UsageError,
            "promotion never changes in the training part of",
        ),
    ],
)
def test_what_cannot_be_used(tmp_path, lines, options, error, message):
    with pytest.raises(error, match=message):
        fit(write(tmp_path / "t.csv", lines), tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
