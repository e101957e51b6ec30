"""Pictures with captions, and models of them."""

import csv

import numpy as np
import pytest
from PIL import Image

import unrolled
from grids import PICTURES

COLOURS = {"red": (220, 30, 30), "green": (30, 170, 60), "blue": (40, 70, 220), "yellow": (240, 210, 20)}
SMALL = {"size": 16, "hidden": 24, "batch": 8, "dropout": 0.0, "threads": 1, "quiet": True, "augment": False}


def write_colours(folder, count=32, seed=0):
    """Pictures of one colour, with two captions each that name it, in one table."""
    pytest.importorskip("sacrebleu")
    pytest.importorskip("pycocoevalcap")
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    names = list(COLOURS)
    with open(folder / "captions.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "caption"])
        for k in range(count):
            name = names[k % len(names)]
            noise = random.normal(0, 12, (20, 24, 3))
            Image.fromarray(np.clip(COLOURS[name] + noise, 0, 255).astype(np.uint8)).save(folder / f"{k:02d}.png")
            rows.writerow([f"{k:02d}.png", f"All of it is {name}."])
            rows.writerow([f"{k:02d}.png", f"a {name} picture"])
    return folder


@pytest.fixture(scope="session")
def colours(tmp_path_factory):
    return write_colours(tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="session")
def trained(colours, tmp_path_factory):
    """A model with attention that has learnt them."""
    run = tmp_path_factory.mktemp("runs") / "colours"
    return unrolled.fit(colours, run, lr=0.003, epochs=30, **SMALL)


@pytest.fixture
def paths(tmp_path):
    """Files of the pictures."""
    made = [tmp_path / "pictures" / f"{k}.png" for k in range(len(PICTURES))]
    made[0].parent.mkdir()
    for path, picture in zip(made, PICTURES, strict=True):
        Image.fromarray(picture).save(path)
    return made
