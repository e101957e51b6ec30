"""Within a step, nothing is read before it is written: in the plans of random cells, and of one that went wrong."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import unrolled
from compiler.plan_order import read_too_early
from random_cells.cells import random_cell
from unrolled.engine.compiled import Compiled
from unrolled.engine.prepared import Prepared, prepared

INPUTS = ("old:", "sequence:", "constant:", "row:")
BACKWARD = (*INPUTS, "s", "p", "dy", "carry:", "new:", "total:", "sum:", "dx:")
CELLS, PARTS = 600, 4


def plans(cell, constants=()):
    """Each plan of the cell, with the arrays that are filled before a step; none where the engine cannot run it."""
    known = prepared(cell, constants)
    if not isinstance(known, Prepared):
        return []
    compiled = Compiled(known.loop)
    forward = [(made.plan, INPUTS) for made in (compiled.saving, compiled.plain, compiled.passing)]
    return [*forward, (compiled.reverse.plan, BACKWARD)]


@pytest.mark.parametrize("part", range(PARTS))
def test_plans_of_random_cells(part, monkeypatch):
    monkeypatch.setenv("UNROLLED_VERIFY", "off")
    checked = 0
    for seed in range(part, CELLS, PARTS):
        source = random_cell(seed)
        for plan, given in plans(source.build(), source.constants):
            assert read_too_early(plan, given) == [], f"seed {seed}\n{plan}"
            checked += 1
        source.forget()
    assert checked > 3 * CELLS / PARTS


class Signs(unrolled.Cell):
    """One column of a value has a gradient and the others none, while a state of that width is passed on."""

    state = ("a", "b", "c")

    def __init__(self):
        super().__init__(1, 1)
        self.u, self.v = nn.Linear(1, 3), nn.Linear(3, 2, bias=False)

    def state_shapes(self):
        return {"a": (3,), "b": (1,), "c": (2,)}

    def step(self, x, a, b, c):
        u = self.u(0.5 - b)
        return a, torch.sigmoid(u[:, 2:]), self.v(u.sign())


def test_columns_without_a_gradient_are_zero():
    cell = Signs().double()
    x, state = (
        torch.randn(3, 2, 1, dtype=torch.float64),
        tuple(torch.randn(2, n, dtype=torch.float64) for n in (3, 1, 2)),
    )
    b = state[1]
    for _ in x:
        b = torch.sigmoid(cell.u(0.5 - b)[:, 2:])
    expected = torch.autograd.grad(b.sum(), cell.u.bias)[0]
    for plan, given in plans(cell):
        assert read_too_early(plan, given) == []
    _, last = unrolled.Recurrent(cell, backend="engine")(x, state)
    sum(s.sum() for s in last).backward()
    assert cell.u.bias.grad[:2].tolist() == [0, 0]
    torch.testing.assert_close(cell.u.bias.grad, expected, rtol=0, atol=1e-12)
