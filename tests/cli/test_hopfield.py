"""The verb ``hopfield``, as a person and as a program use it."""

import json
import re
from functools import partial

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def cli(cli, monkeypatch, tmp_path):
    """The verb, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return partial(cli, "hopfield")


@pytest.fixture
def shapes(tmp_path):
    """A disc, a cross and bars, in three formats, sizes and kinds of colour."""
    y, x = np.mgrid[-1:1:40j, -1:1:40j]
    made = {
        "disc.png": x**2 + y**2 < 0.5,
        "cross.jpg": (np.abs(x) < 0.25) | (np.abs(y) < 0.25),
        "bars.gif": np.sin(9 * x) > 0,
    }
    for name, picture in made.items():
        gray = Image.fromarray(np.where(picture, 20, 235).astype(np.uint8))
        mode = {"disc.png": "RGBA", "cross.jpg": "RGB", "bars.gif": "L"}[name]
        gray.convert(mode).resize((40, 40) if name != "bars.gif" else (80, 80)).save(tmp_path / name)
    return list(made)


def test_store_and_recall(cli, shapes, tmp_path):
    status, out, err = cli("store", *shapes, "-o", "memory")
    assert (status, err) == (0, "")
    assert "3 patterns of 40 x 40 = 1,600 units, rule projection, binary" in out and "3 of 3 patterns" in out
    status, out, err = cli("recall", "memory", "cross.jpg", "--damage", 0.3)
    assert (status, err) == (0, "")
    assert out.startswith("recalled after 1 step: a stored pattern\n  overlap  1.000  cross.jpg")
    before, after = map(float, re.search(r"energy (\S+) -> (\S+)", out).groups())
    assert after < before
    assert max(map(len, out.splitlines())) <= 80
    with Image.open("recalled.png") as picture:
        assert picture.size == (240, 240)
        values = np.asarray(picture)[3::6, 3::6] > 127
    y, x = np.mgrid[-1:1:40j, -1:1:40j]
    assert np.array_equal(values, ~((np.abs(x) < 0.25) | (np.abs(y) < 0.25)))
    for name in ("recalled-steps.png", "recalled-energy.png"):
        with Image.open(name) as picture:
            picture.verify()


@pytest.mark.parametrize("update", ["asynchronous", "synchronous", "damped", "continuous"])
def test_recall_for_programs(cli, shapes, update):
    assert cli("store", *shapes, "--units", "graded", "--size", "20x16", "--json")[0] == 0
    status, out, _ = cli("recall", "memory", "disc.png", "--damage", 0.2, "--update", update, "--json", "-o", "out")
    facts = json.loads(out)
    assert status == 0 and facts["outcome"] in ("recalled", "near") and facts["pattern"] == "disc.png"
    assert len(facts["times"]) == len(facts["energy"])
    assert all(b <= a + 1e-6 * abs(a) for a, b in zip(facts["energy"], facts["energy"][1:], strict=False))


def test_gray_pictures_by_the_softmax_memory(cli, tmp_path):
    y, x = np.mgrid[:30, :40]
    for k, picture in enumerate((x * 6, 120 + 100 * np.sin(x / 4) * np.cos(y / 3))):
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / f"{k}.png")
    options = ("--units", "graded", "--rule", "softmax", "--gain", 0.1)
    assert "2 of 2 patterns are stable" in cli("store", "0.png", "1.png", *options)[1]
    out = cli("recall", "memory", "1.png", "--cover", 0.5, "--damage", 0.1)[1]
    assert out.startswith("recalled after")
    with Image.open("recalled.png") as found, Image.open("1.png") as stored:
        small = np.asarray(found).astype(float)[3::6, 3::6]
        assert np.abs(small - np.asarray(stored)).max() <= 1.0


def test_capacity(cli, tmp_path):
    options = ("--units", 40, "--loads", "2,20", "--trials", 20)
    status, out, err = cli("capacity", *options, "--rule", "hebb", "-o", "c.png")
    assert (status, err) == (0, "") and "0.138 N = 5.52" in out and (tmp_path / "c.png").exists()
    lines = [json.loads(line) for line in cli("capacity", *options, "--json")[1].splitlines()]
    assert [m["rule"] for m in lines] == ["hebb", "storkey", "projection", "perceptron"]
    for made in lines:
        assert all(p["low"] <= p["rate"] <= p["high"] for p in made["points"])
    critical = json.loads(cli("capacity", "--critical", "--units", 60, "--networks", 3, "--json")[1])
    assert critical["low"] <= critical["load"] <= critical["high"]


def test_tsp_and_maxcut(cli, tmp_path):
    status, out, _ = cli("tsp", "--cities", 6, "--starts", 10, "-o", "tour.png")
    assert (
        status == 0 and re.search(r"\d+ of 10 starts ended in a valid tour", out) and (tmp_path / "tour.png").exists()
    )
    facts = json.loads(cli("tsp", "--cities", 6, "--starts", 10, "--json")[1])
    assert facts["shortest"] <= facts["nearest"] <= facts["random"]
    status, out, _ = cli("maxcut", "--vertices", 20, "--starts", 20)
    assert status == 0 and "largest cut" in out
    (tmp_path / "ring.txt").write_text("\n".join(f"{k} {(k + 1) % 8}" for k in range(8)))
    facts = json.loads(cli("maxcut", "ring.txt", "--starts", 5, "--json")[1])
    assert facts["cut"] == facts["exact"] == 8.0 and facts["side"] in ([1, -1] * 4, [-1, 1] * 4)


def test_mistakes(cli, shapes, tmp_path):
    (tmp_path / "not.png").write_bytes(b"\x89PNG\r\n\x1a\n nonsense")
    (tmp_path / "cut.png").write_bytes((tmp_path / "disc.png").read_bytes()[:90])
    cases = [
        (("store", "none.png"), 2, "no such file"),
        (("store", "not.png"), 1, "cannot be read as a picture"),
        (("store", "cut.png"), 1, "cannot be read as a picture"),
        (("store", "disc.png", "--size", "big"), 2, "32x32"),
        (("store", "disc.png", "--size", "400x400"), 2, "too many"),
        (("store",), 2, "PICTURES"),
        (("recall", "none", "disc.png"), 1, "there is no file none"),
        (("recall", "not.png", "disc.png"), 1, "not.png is not a Hopfield memory"),
        (("capacity", "--loads", "a,b"), 2, "whole numbers"),
        (("maxcut", "none.txt"), 2, "there is no file none.txt"),
        (("maxcut", "none.txt", "--degree", 4), 2, "--degree: applies only to a random graph"),
        (("store", "disc.png", "--gain", 2), 2, "--gain: applies only to --units graded and to --rule softmax"),
        (("capacity", "--networks", 3), 2, "--networks: applies only to --critical"),
        (("capacity", "--critical", "--rule", "hebb"), 2, "--rule: applies only to a measurement without --critical"),
        (("capacity", "--critical", "-o", "c.png"), 2, "--output: applies only to a measurement without --critical"),
        (("maxcut", "."), 2, "is a folder, expected a file"),
        (("maxcut", "--vertices", 5, "--degree", 3), 2, "no graph"),
        (("store", "disc.png", "-o", "missing/memory"), 2, "there is no folder missing"),
        (("capacity", "-o", "missing/c.png"), 2, "there is no folder missing"),
        (("tsp", "-o", "missing/t.png"), 2, "there is no folder missing"),
    ]
    for arguments, status, message in cases:
        came, out, err = cli(*arguments)
        assert came == status and message in err and "Traceback" not in err, arguments
        assert out == ""  # said before the work, not after it
    assert cli("store", "disc.png")[0] == 0
    assert cli("recall", "memory", "disc.png", "-o", "missing/here")[0] == 2
    came, _, err = cli("recall", "memory", "disc.png", "--update", "continuous")
    assert came == 2 and "graded" in err
    came, _, err = cli("recall", "memory", "disc.png", "--update", "synchronous", "--order", "fixed")
    assert came == 2 and "--order: applies only to asynchronous updates; leave out --order" in err


def test_pictures_of_one_name_are_told_apart(cli, shapes, tmp_path):
    for folder, name in zip("ab", ("disc.png", "cross.jpg"), strict=True):
        (tmp_path / folder).mkdir()
        with Image.open(name) as picture:
            picture.save(tmp_path / folder / "1.png")
    assert cli("store", "a/1.png", "b/1.png", "bars.gif")[0] == 0
    facts = json.loads(cli("recall", "memory", "b/1.png", "--json")[1])
    assert facts["pattern"] == "b/1.png" and set(facts["overlaps"]) == {"a/1.png", "b/1.png", "bars.gif"}
    assert facts["overlaps"]["b/1.png"] == pytest.approx(1)


def test_warnings_are_plain_sentences(cli, shapes):
    status, _, err = cli("store", *shapes, "--rule", "hebb", "--size", "4x4")
    assert status == 0 and err.startswith("warning: Hopfield: 3 patterns in 16 units") and err.count("\n") == 1


def test_deep_and_transparent_pictures(tmp_path):
    from unrolled.hopfield.pictures import read

    bars = np.tile(np.array([0, 40000], dtype=np.uint16), (6, 5))
    Image.fromarray(bars).save(tmp_path / "deep.png")
    assert np.array_equal(read(tmp_path / "deep.png"), np.where(bars > 0, 1.0, -1.0))
    clear = np.zeros((6, 10, 4), dtype=np.uint8)
    clear[:, ::2, 3] = 255
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert np.array_equal(read(tmp_path / "clear.png"), np.where(clear[..., 3] > 0, -1.0, 1.0))
    Image.fromarray(np.full((3, 3), 200, dtype=np.uint8)).save(tmp_path / "plain.png")
    assert set(read(tmp_path / "plain.png").ravel()) == {1.0}


def test_nothing_that_is_read_is_written_over(cli, shapes, tmp_path):
    before = (tmp_path / "disc.png").read_bytes()
    status, _, err = cli("store", *shapes, "-o", "disc.png")
    assert status == 2 and "overwritten" in err
    assert cli("store", *shapes)[0] == 0
    status, _, err = cli("recall", "memory", "disc.png", "-o", "disc")
    assert status == 2 and "overwritten" in err
    assert (tmp_path / "disc.png").read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("recall", "memory", "disc.png", "--damage", "nan"),
        ("tsp", "--distance", "nan"),
        ("tsp", "-o", "tours.xyz"),
        ("capacity", "--units", "20", "--trials", "2", "-o", "capacity.xyz"),
    ],
)
def test_what_is_refused_before_the_work(cli, shapes, arguments):
    assert cli("store", *shapes)[0] == 0
    status, _, err = cli(*arguments)
    assert status == 2 and "Traceback" not in err and ("not a number" in err or "ending" in err)


def test_a_telephone_picture_stands_upright(cli, shapes, tmp_path):
    with Image.open("disc.png") as picture:
        wide = picture.convert("L").resize((40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    wide.save("turned.jpg", exif=exif)
    status, out, _ = cli("store", "turned.jpg")
    assert status == 0 and "20 x 40" in out
