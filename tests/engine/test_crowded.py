"""Rows that lie a power of two apart: the engine copies them, so that they do not drive each other out of a cache."""

import pytest
import torch

from engine import own_cells
from engine.comparing import assert_same, case, check, results
from helpers import engine_on
from unrolled.engine import native

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine was not built")
CROWDED = 128
"""Numbers of float64 in a row of 1,024 bytes, from which on rows crowd."""


@pytest.mark.parametrize("flags", ["", "lengths+resets+state"])
@pytest.mark.parametrize("name", own_cells.ALL)
def test_wide_rows(name, flags):
    """Of inputs, states, and what comes back to both; more of them than one tile has."""
    c = case(name, T=3, N=19, D=CROWDED, H=CROWDED, flags=flags)
    check(c)


@pytest.mark.parametrize("name", ["lstm", "gru", "layer-norm", "concatenated"])
@pytest.mark.parametrize(("N", "threads"), [(4, 2), (5, 2), (7, 3), (65, 2)])
@pytest.mark.parametrize("by_rows", [True, False])
def test_wide_rows_on_threads(name, N, threads, by_rows):
    c = case(name, T=3, N=N, D=CROWDED, H=2 * CROWDED)
    with engine_on(1):
        truth = results(c)
    with engine_on(threads, by_rows):
        assert_same(results(c), truth)


def test_in_single_precision_too():
    c = case("lstm", T=4, N=20, D=256, H=256)
    single = c.but(cell=c.cell.float(), x=c.x.float(), upstream=[d.float() for d in c.upstream])
    found = results(single)
    single.cell.double()
    truth = results(c)
    rounding = 8 * 2**-24 * (4 * (256 + 256)) ** 0.5  # adds up like a random walk; 8 of them for the chain of gates
    for name, t in truth.items():
        torch.testing.assert_close(found[name].double(), t, rtol=0, atol=rounding * float(t.abs().max()))
