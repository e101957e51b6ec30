"""Recordings of tones and reads of a simulated pore, and models of them."""

import numpy as np
import pytest

import unrolled
from pores import table
from tones import PITCH, tones, write
from unrolled.tasks.simulating import simulated_reads
from unrolled.tasks.transcribe.reads.levels import read_levels


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


@pytest.fixture(scope="session")
def levels(tmp_path_factory):
    return read_levels(str(table(tmp_path_factory.mktemp("levels") / "levels.tsv")))


@pytest.fixture(scope="session")
def genome(tmp_path_factory):
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    steps = np.random.default_rng(1).integers(1, 4, 5000)  # no base twice in a row: its length could not be heard
    bases = "".join("ACGT"[base] for base in np.cumsum(steps) % 4)
    path.write_text(f">chromosome\n{bases}\n")
    return path, bases


@pytest.fixture(scope="session")
def pore(genome, tmp_path_factory):
    """A run that has learnt to read, and its data."""
    place = tmp_path_factory.mktemp("pore")
    levels = str(table(place / "levels.tsv"))
    simulated_reads(str(genome[0]), levels, 300, place / "reads", length=40, seed=1, shape=20)
    settings = {"hidden": 24, "layers": 1, "batch": 5, "epochs": 7, "dropout": 0.0, "lr": 0.01, "threads": 1}
    unrolled.fit(place / "reads", place / "run", quiet=True, **settings)
    return place / "run", place / "reads"
