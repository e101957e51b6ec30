"""Random cells on every instruction set: the engine's values and gradients are those of a plain loop."""

from __future__ import annotations

import collections

import pytest
import torch

from random_cells.compare import _Nudged, run
from unrolled.engine import native

CELLS, PARTS = 600, 6
"""Of each instruction set. `make fuzz` runs others, for as long as asked."""


@pytest.fixture(params=native.paths())
def path(request):
    """Each instruction set in turn, on one thread unless the call says otherwise."""
    before, threads = native.path(), torch.get_num_threads()
    torch.set_num_threads(1)
    assert native.choose(request.param) == request.param
    yield request.param
    native.choose(before)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("part", range(PARTS))
def test_random_cells_equal_a_plain_loop(path, part):
    first = native.paths().index(path) * CELLS
    outcomes = [run(seed) for seed in range(first + part, first + CELLS, PARTS)]
    failed = [o for o in outcomes if o.failed]
    assert not failed, f"{len(failed)} of {len(outcomes)} cells failed\n\n" + "\n\n".join(
        o.report() for o in failed[:3]
    )
    kinds = collections.Counter(o.kind for o in outcomes)
    assert kinds["equal"] >= 0.8 * len(outcomes), kinds
    assert kinds["undecided"] <= 0.02 * len(outcomes), kinds


@pytest.mark.parametrize("seed", [2003306, 2006025, 3003226])
def test_cells_that_went_wrong(path, seed):
    """A column sum before its columns were written; a slice of a projection whose place is taken by a saved value."""
    outcome = run(seed)
    assert outcome.kind == "equal", outcome.report()


@pytest.mark.parametrize("value", [0.5, 1.0, -0.25, 3.0, 0.7310585786300049])
def test_what_a_rounding_decides_is_tried_both_ways(value):
    """Also for numbers that end in zeros: sigmoid(0) >= 0.5 + 2e-9 holds in float32, and not in the loop."""
    moved = []
    for salt in range(8):
        with _Nudged(2.0**-20, salt):
            moved.append(float(torch.tensor([value], dtype=torch.float64).add(0.0)) / value - 1)
    assert min(moved) < 0 < max(moved) and max(map(abs, moved)) <= 2.0**-20
