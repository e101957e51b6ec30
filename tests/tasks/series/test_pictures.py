"""Pictures of forecasts: names as people write them, and what stays when none can be drawn."""

import matplotlib.figure
import numpy as np
import pytest

import unrolled

pytest.importorskip("polars")

SIZES = {"hidden": 8, "batch": 8, "threads": 1, "quiet": True, "epochs": 3, "seed": 1, "horizon": 6}
NAMES = ("usd_$_eur_$", r"$\frac{$", "価格")


def write(path, names=("value",), id=None):
    draw = np.random.default_rng(1)
    lines = []
    for k in range(120):
        cells = [f"{v:.3f}" for v in 10 + np.sin(k / 2) + draw.normal(size=len(names))]
        lines.append(",".join([*([id] if id else []), f"{1950 + k // 12}-{k % 12 + 1:02d}-01", *cells]))
    path.write_text(",".join([*(["id"] if id else []), "month", *names]) + "\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    path = write(folder / "t.csv")
    return unrolled.fit(path, folder / "run", **SIZES).run.path


@pytest.mark.parametrize("name", NAMES)
def test_names_are_drawn_as_they_are_written(tmp_path, name):
    model = unrolled.fit(write(tmp_path / "t.csv", [name], id=name), tmp_path / "run", **SIZES)
    table, picture = model.forecast()
    assert table.note == "" and picture.content[:4] == b"\x89PNG"
    assert list((tmp_path / "run" / "samples").glob("*.png"))


@pytest.fixture
def no_picture(monkeypatch):
    def refuse(self, *args, **settings):
        raise ValueError("ParseException: expected a number\nat 3")

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", refuse)


@pytest.mark.usefixtures("no_picture")
def test_a_forecast_without_a_picture_is_a_table(cli, run, tmp_path):
    status, out, err = cli("forecast", run, "--out", tmp_path / "next.csv")
    assert status == 0 and out == f"wrote {tmp_path / 'next.csv'}\n"
    assert "There is no picture: a picture cannot be drawn: ParseException: expected a number." in " ".join(
        err.split()
    )
    assert [file.name for file in tmp_path.iterdir()] == ["next.csv"]


@pytest.mark.usefixtures("no_picture")
def test_training_goes_on_without_pictures(tmp_path):
    events = []
    unrolled.fit(write(tmp_path / "t.csv"), tmp_path / "run", listen=events.append, **SIZES)
    assert {e["reason"].partition(":")[0] for e in events if e["event"] == "no sample"} == {
        "a picture cannot be drawn"
    }
    assert events[-1]["event"] == "finished"


@pytest.mark.parametrize("name", ["next.png", "next.PNG"])
def test_the_picture_is_not_written_over_the_table(cli, run, tmp_path, name):
    status, out, _ = cli("forecast", run, "--out", tmp_path / name)
    assert status == 0 and out.split() == ["wrote", str(tmp_path / "next.csv"), "wrote", str(tmp_path / "next.png")]
    assert (tmp_path / "next.csv").read_text().startswith("time,")
    assert (tmp_path / "next.png").read_bytes()[:4] == b"\x89PNG"
