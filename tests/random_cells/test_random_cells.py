"""Random cells on every instruction set: the engine's values and gradients are those of a plain loop."""

from __future__ import annotations

import collections

import pytest
import torch

from random_cells.compare import run
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
