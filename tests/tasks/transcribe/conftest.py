"""A folder of recordings of tones, and models of them."""

import numpy as np
import pytest

import unrolled
from tones import PITCH, tones, write


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """80 recordings of one to four letters, with their texts in a table."""
    pytest.importorskip("soundfile")
    folder = tmp_path_factory.mktemp("recordings")
    random = np.random.default_rng(3)
    rows = ["file,text"]
    for k in range(80):
        text = "".join(random.choice(list(PITCH), random.integers(1, 5)))
        write(folder / f"{k:03d}.wav", tones(text, seed=k))
        rows.append(f"{k:03d}.wav,{text}")
    (folder / "texts.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def trained(recordings, tmp_path_factory):
    """A model of them that reads forward."""
    run = tmp_path_factory.mktemp("runs") / "tones"
    settings = {"hidden": 24, "layers": 1, "batch": 8, "lr": 0.01, "epochs": 20, "dropout": 0.0, "augment": False}
    return unrolled.fit(recordings, run, direction="forward", threads=1, quiet=True, **settings)
