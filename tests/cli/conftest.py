"""Data and runs of tasks in a person's own file."""

import math
import random

import pytest

import unrolled
from own_tasks import LINES, ROWS, SIZES


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Lines whose label is whether they begin with an a, and a table of two waves."""
    folder = tmp_path_factory.mktemp("own")
    draw = random.Random(1)
    lines = ["".join(draw.choice("abc") for _ in range(draw.randint(2, 9))) for _ in range(300)]
    (folder / "lines.tsv").write_text("".join(f"{'a' if s[0] == 'a' else 'other'}\t{s}\n" for s in lines))
    (folder / "table.csv").write_text("".join(f"{math.sin(t / 7):.5f},{math.cos(t / 7):.5f}\n" for t in range(400)))
    return folder


@pytest.fixture(scope="module")
def runs(files):
    """One run of each."""
    unrolled.fit(files / "lines.tsv", files / "lines", task=LINES, epochs=12, batch=8, **SIZES)
    unrolled.fit(files / "table.csv", files / "rows", task=ROWS, epochs=12, batch=4, bptt=20, **SIZES)
    return {LINES: files / "lines", ROWS: files / "rows"}
