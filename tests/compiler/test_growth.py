"""What stays finite for all moderate numbers: the bounds of operations and of whole programs."""

import pytest
import torch

import unrolled
from unrolled.compiler.growth import BOUNDS, MODERATE, stays_finite
from unrolled.compiler.program import ELEMENTWISE, Op
from unrolled.compiler.trace import trace

D, H = 4, 3


@pytest.mark.parametrize("size", [1e-3, 1.0, MODERATE])
@pytest.mark.parametrize("kind", sorted(BOUNDS.keys() & ELEMENTWISE.keys()))
def test_no_value_exceeds_its_bound_and_no_derivative_is_infinite(kind, size):
    """At the numbers where operations have their poles and kinks, and at the largest."""
    arity, compute = ELEMENTWISE[kind].arity, ELEMENTWISE[kind].torch
    numbers = size * torch.tensor([-1.0, -0.1, -1e-12, 0.0, 1e-12, 0.1, 1.0], dtype=torch.float64)
    args = [a.requires_grad_() for a in torch.cartesian_prod(*[numbers] * arity).view(-1, arity).unbind(1)]
    value = compute(*args)
    bound = BOUNDS[kind](Op("a", 1, kind, tuple("abc"[:arity])), 1, *[size] * arity)
    assert value.abs().max() <= bound * (1 + 1e-12)
    if value.requires_grad:
        found = torch.autograd.grad(value.sum(), args, allow_unused=True)
        assert all(d is None or d.isfinite().all() for d in found)


def test_sums_and_maps_are_bounded_by_their_width():
    assert BOUNDS["rowsum"](Op("a", 1, "rowsum", ("b",)), 5, 2.0) == 10
    assert BOUNDS["linear"](Op("a", 2, "linear", ("b",)), 5, 2.0) == 10 * MODERATE
    assert BOUNDS["row"](Op("a", 2, "row"), 1) == MODERATE


def program(step):
    cell = type("Own", (unrolled.Cell,), {"step": step})(D, H)
    cell.a, cell.b = torch.nn.Linear(D, H), torch.nn.Linear(H, H)
    return trace(cell).program


def test_which_programs_stay_finite():
    for make in (unrolled.LSTMCell, unrolled.GRUCell, unrolled.ElmanCell, unrolled.LSTM1997Cell):
        assert stays_finite(trace(make(D, H)).program)
    for step in (
        lambda c, x, h: torch.relu(c.a(x)) * torch.tanh(c.b(h)),
        lambda c, x, h: torch.where(c.a(x) > h, h, 1.0) * c.b(h),
    ):
        assert stays_finite(program(step))
    for step in (
        lambda c, x, h: h / c.a(x),
        lambda c, x, h: h + c.a(x).log(),
        lambda c, x, h: torch.where(c.a(x) > 0, h, torch.inf),
        lambda c, x, h: torch.tanh(h) * ((u := c.a(x)) * u * u),
        lambda c, x, h: c.b(c.b(c.b(c.b(c.b(torch.relu(c.a(x))))))),
        lambda c, x, h: torch.tanh(c.a(x) * 1e30),
    ):
        assert not stays_finite(program(step))
