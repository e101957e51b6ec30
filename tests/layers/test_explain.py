"""What `explain` says of a cell."""

import pytest
import torch

import unrolled
from unrolled.engine import native


def test_a_cell_that_the_engine_runs():
    made = unrolled.explain(unrolled.GRUCell(4, 3))
    assert made.path == ("engine" if native.available() else "torch")
    assert made.saved == 4 * 3  # r, z, n, h
    linear = 2 * 3 * 3 * (4 + 3)
    assert linear < made.operations < linear + 20 * 3
    assert made.operations - made.in_loop == 2 * 9 * 4  # the input's matrix leaves the loop
    text = str(made)
    assert "n 3 = tanh" in text
    assert "linear x x.weight" in made.hoisted[0]
    assert any("h.weight[0:6]" in line for line in made.merged)
    assert "h.weight[6:9]^T" in made.backward


def test_a_cell_that_the_compiler_cannot_take():
    class Sums(unrolled.Cell):
        def step(self, x, h):
            return h + torch.cumsum(x, 1)

    made = unrolled.explain(Sums(3, 3))
    assert made.path == "eager"
    assert "cumsum" in str(made) and "torch.cumsum(x, 1)" in str(made)
    with pytest.raises(ValueError, match=r"explain: cell must be an unrolled\.Cell, got int"):
        unrolled.explain(3)


def test_a_cell_with_constants_that_it_draws():
    made = unrolled.explain(unrolled.VariationalDropout(unrolled.ElmanCell(4, 3), 0.2))
    assert "constant m_h 3" in made.program
