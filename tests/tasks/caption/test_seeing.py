"""Captions from features of another network, and which way to see is chosen."""

import shutil

import numpy as np
import pytest
from PIL import Image

import unrolled
from onnx_files import patches
from tasks.caption.conftest import COLOURS, SMALL, write_colours
from unrolled.errors import DataError, UsageError
from unrolled.tasks.caption import choices
from unrolled.tasks.caption.convnet import Summary
from unrolled.tasks.caption.options import CaptionOptions
from unrolled.tasks.caption.seeing import Features, Pixels

LONG = SMALL | {"epochs": 30.0, "lr": 0.003}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def ready(folder, file, places=1):
    """Features that are the mean colour of each picture."""
    paths = sorted(folder.glob("*.png"))
    means = np.stack([np.asarray(Image.open(path)).mean((0, 1)) / 64 for path in paths]).astype(np.float32)
    np.save(file, means if places == 1 else np.repeat(means[:, None], places, axis=1))
    file.with_suffix(".txt").write_text("\n".join(path.name for path in paths))
    return file


@pytest.mark.parametrize("places", [1, 9, 5])
def test_ready_features(colours, tmp_path, places):
    file = ready(colours, tmp_path / "features.npy", places)
    model = unrolled.fit(colours, tmp_path / "run", features=str(file), **LONG)
    figures = model.evaluate(on="test")
    assert figures["rouge_l"] > 0.8
    page = (tmp_path / "run" / "captions.html").read_text(encoding="utf-8")
    shown = figures["best"] + figures["worst"]
    assert (page.count("<img") > len(shown)) == (places != 5)  # five places are no square grid
    again = unrolled.load(tmp_path / "run")
    (_, said), (_, bad) = again.caption([colours / "00.png", tmp_path / "other.png"])
    assert "red" in said[0] and "has no features in" in str(bad)


def test_a_page_without_pictures_that_cannot_be_opened(tmp_path):
    """Ready features are enough to describe them, and the scores are not lost."""
    folder = write_colours(tmp_path / "colours", count=8)
    features = ready(folder, tmp_path / "features.npy", places=9)
    for path in folder.glob("*.png"):
        path.write_bytes(b"not a picture")
    model = unrolled.fit(folder, tmp_path / "run", features=str(features), split="50/0/50", epochs=1.0, **SMALL)
    figures = model.evaluate(on="test")
    assert figures["scored"] == len(figures["best"] + figures["worst"]) == 2
    assert (tmp_path / "run" / "captions.html").read_text(encoding="utf-8").count("<img") == 2


def test_features_of_a_network_and_not_those_of_another(colours, tmp_path):
    pytest.importorskip("onnxruntime")
    random, network = np.random.default_rng(0), tmp_path / "network.onnx"
    network.write_bytes(patches(random.normal(size=(6, 3, 8, 8)).astype(np.float32)))
    model = unrolled.fit(colours, tmp_path / "run", features=str(network), **LONG)
    assert model.evaluate(on="test")["rouge_l"] > 0.8
    assert model.task.sight.shape == (16, 6)
    network.write_bytes(patches(random.normal(size=(6, 3, 8, 8)).astype(np.float32)))
    with pytest.raises(DataError, match="the features are of another network than the one that the run was trained"):
        unrolled.load(tmp_path / "run").evaluate(on="test")


def test_ready_features_of_another_shape(colours, tmp_path):
    file = ready(colours, tmp_path / "features.npy")
    unrolled.fit(colours, tmp_path / "run", features=str(file), **SMALL | {"epochs": 0.3})
    ready(colours, file, places=4)
    with pytest.raises(DataError, match=r"its features are \(4, 3\), expected \(1, 3\)"):
        unrolled.load(tmp_path / "run").evaluate(on="test")


def test_ready_features_of_another_network(colours, tmp_path):
    file, moved = ready(colours, tmp_path / "features.npy"), shutil.copytree(colours, tmp_path / "moved")
    unrolled.fit(colours, tmp_path / "run", features=str(file), **SMALL | {"epochs": 0.3})
    values = np.load(file)
    run = unrolled.load(tmp_path / "run")
    np.save(file, values.astype(np.float16))  # kept less exactly
    assert unrolled.load(tmp_path / "run").evaluate(moved)["scored"] == 32
    np.save(file, np.random.default_rng(0).normal(size=values.shape).astype(np.float32))
    for evaluate in (run.evaluate, lambda: unrolled.load(tmp_path / "run").evaluate(moved)):
        with pytest.raises(DataError, match=r"the features of .*\.png in .* are others than when the run was"):
            evaluate()
    with pytest.raises(DataError, match="of another network"):
        list(unrolled.load(tmp_path / "run").caption(sorted(moved.glob("*.png"))))
    other = write_colours(tmp_path / "other", seed=7)  # pictures of the same names, of which nothing is known
    assert unrolled.load(tmp_path / "run").evaluate(other)["scored"] == 32


def test_each_picture_has_its_own_reason(colours, tmp_path):
    file = ready(colours, tmp_path / "features.npy")
    model = unrolled.fit(colours, tmp_path / "run", features=str(file), **SMALL | {"epochs": 0.3})
    names = [tmp_path / name / "00.png" for name in ("a", "b")] + [tmp_path / "c.png"]
    for path in names:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(str(path).encode())
    said = [str(made) for _, made in model.caption([*names, colours / "01.png"])]
    assert [f"{path}: " in why for path, why in zip(names, said, strict=False)] == [True] * 3
    assert "fits" in said[0] and "it has no features in" in said[2]
    assert all(f"{path}: it has" in str(made) for path, made in model.caption([names[2], names[2]]))
    paths = [names[0], *[colours / "01.png"] * 70, names[1]]  # whatever number is looked at together
    assert [isinstance(made, DataError) for _, made in model.caption(paths)] == [True, *[False] * 70, True]


def test_features_that_are_not_there(colours, tmp_path):
    with pytest.raises(UsageError, match="there is no file or folder"):
        unrolled.fit(colours, tmp_path / "run", features=str(tmp_path / "none.npy"), **SMALL)


@pytest.mark.parametrize(("side", "installed", "many", "kind"), [
    (200, True, 1, Features), (200, False, 1, Pixels), (64, True, 1, Pixels), (200, True, 60_000, Pixels),
])  # fmt: skip
def test_what_is_chosen(tmp_path, monkeypatch, side, installed, many, kind):
    monkeypatch.setattr(choices, "_has_efficientnet", lambda: installed)
    Image.new("RGB", (side, side)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"nothing")
    paths = [tmp_path / "b.png", tmp_path / "a.png"] * many
    assert isinstance(choices.sight(CaptionOptions(), paths), kind)
    assert isinstance(choices.sight(CaptionOptions(features="pixels"), paths), Pixels)
    assert choices.sight(CaptionOptions(size=32), paths) == Pixels(32)


def test_pixels_are_in_the_units_of_training(colours):
    paths = sorted(colours.glob("*.png"))
    seen, bad = Pixels(16).seen(paths)
    made = Pixels(16).fitted(seen, paths)
    pixels = np.stack([seen[k] for k in range(len(seen))]).reshape(-1, 3)
    np.testing.assert_allclose(made.mean, pixels.mean(0))
    np.testing.assert_allclose(made.scale, pixels.std(0))
    assert not bad and choices.restored(CaptionOptions(size=16), made.kept()) == made


@pytest.mark.parametrize("kept", [
    {}, {"kind": "pixels"}, {"kind": "pixels", "mean": [1], "scale": [1]}, {"kind": "other", "shape": [1, 1]},
    {"kind": "features", "named": "a", "key": "b", "shape": [1, 1], "samples": {"1": {"picture": ""}}},
    {"kind": "features", "named": "a", "key": "b", "shape": [10**6, 10**6]}, {"kind": "features", "shape": [1]},
    {"kind": "pixels", "mean": [0, 0, 0], "scale": [1, 1, 0]},
])  # fmt: skip
def test_damaged_ways_to_see(kept):
    with pytest.raises((KeyError, TypeError, ValueError)):
        choices.restored(CaptionOptions(), kept)


@pytest.mark.parametrize("places", [1, 4, 5, 49])
def test_a_summary_of_any_number_of_places(places):
    import torch

    grid = torch.randn(2, places, 3)
    made = Summary(places, 3, 8)
    assert made(grid).shape == (2, 8)
    if places == 5:  # without a grid, their order says nothing
        torch.testing.assert_close(made(grid), made(grid.flip(1)))


def test_other_pictures_of_the_same_colours(trained, tmp_path):
    """Another size and form of a picture does not matter."""
    write_colours(tmp_path, count=4, seed=3)
    for path in tmp_path.glob("*.png"):
        Image.open(path).resize((90, 60)).save(path.with_suffix(".jpg"))
    said = [one[0] for _, one in trained.caption(sorted(tmp_path.glob("*.jpg")))]
    assert sum(name in one for name, one in zip(COLOURS, said, strict=True)) >= 3
