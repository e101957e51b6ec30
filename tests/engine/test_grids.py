"""Attention over a grid of constants (N, K, A) in the engine: values and every gradient are the equation's."""

import re

import pytest
import torch
from torch import nn

import unrolled
from engine.comparing import Case, check, results
from unrolled import Bidirectional, Gates, Recurrent, Stack
from unrolled.compiler.trace import UnsupportedError
from unrolled.engine import native
from unrolled.engine.prepared import Prepared, prepared
from unrolled.layers import paths

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine was not built")
T, N, D, H, K, A = 5, 3, 4, 6, 4, 2


class Seeing(unrolled.Cell):
    """tanh of x, h and what the equation ``look`` sees of the grid, A wide."""

    constants = ("grid",)

    def __init__(self, look, count=K):
        super().__init__(D, H)
        self.x = Gates("a", D, H)
        self.h = Gates("a", H, H, bias=False)
        self.query = nn.Linear(H, A)
        self.deep = nn.Linear(A, 3)
        self.score = nn.Linear(3, 1, bias=False)
        self.narrow = nn.Linear(H, 3)
        self.seen = nn.Linear(A, H)
        self.place = nn.Parameter(torch.randn(count, A))
        self.scale = nn.Parameter(torch.randn(A))
        self.look = look

    def step(self, x, h, grid):
        return torch.tanh(self.x(x) + self.h(h) + self.seen(self.look(self, h, grid)))


def dot(c, h, grid):
    """Luong et al. (2015), equation 8: dot."""
    a = torch.softmax((grid * c.query(h)[:, None, :]).sum(-1), dim=1)
    return (a[:, :, None] * grid).sum(1)


def additive(c, h, grid):
    """Bahdanau et al. (2015), appendix A.1.2; the grid's own part leaves the loop."""
    scores = c.score(torch.tanh(c.deep(grid) + c.narrow(h).unsqueeze(1))).squeeze(2)
    return (torch.softmax(scores, 1).unsqueeze(2) * grid).sum(dim=1)


def by_bmm(c, h, grid):
    a = torch.softmax(torch.bmm(grid, c.query(h).unsqueeze(2)).squeeze(2) / A**0.5, dim=-1)
    return torch.bmm(a.unsqueeze(1), grid).squeeze(1)


def by_matmul(c, h, grid):
    a = torch.softmax(grid @ c.query(h)[:, :, None], dim=1)
    return (grid.transpose(1, 2) @ a)[:, :, 0]


def by_einsum(c, h, grid):
    a = torch.einsum("nka,na->nk", grid, c.query(h)).softmax(1)
    return torch.einsum("nk,nka->na", a, grid)


def softmax_of_columns(c, h, grid):
    scores = c.score(torch.relu(c.deep(grid + c.query(h)[:, None])))
    return (torch.softmax(scores, dim=1) * grid).sum(1)


def per_channel(c, h, grid):
    """A softmax over K for each of the A channels, and one over the channels."""
    scores = grid * c.query(h)[:, None]
    return (torch.softmax(scores, 1) * torch.softmax(grid, 2)).mean(1)


def shapes(c, h, grid):
    """Parameters of several shapes, views, pieces and means."""
    placed = grid * c.scale + c.place - 0.5 * c.place[:, :1]
    first, rest = placed[:, 0], placed[:, 1:]
    both = torch.cat([rest, first.unsqueeze(1)], dim=1)
    wide = torch.cat([both, grid.sigmoid()], dim=2)[:, :, 1 : A + 1]
    flat = wide.reshape(-1, K * A)
    again = flat.view(-1, K, A).where(grid > 0, -grid)
    return again.mean(dim=1) + flat[:, :A] + wide[:, :, 0].sum(1, keepdim=True) + again.mean((1, 2)).unsqueeze(1)


def sums(c, h, grid):
    column, row = grid.sum(2, keepdim=True), grid.mean(1, keepdim=True)
    product = column * row  # (N, K, A)
    turned = grid.transpose(1, 2)
    return (
        product.sum(1)
        + (turned * c.query(h)[:, :, None]).sum(2)
        + turned.sum(1, keepdim=True).sum(2)
        + torch.bmm(turned, product)[:, 0]
        + grid.permute(0, 2, 1)[:, 1, :A]
        + column.expand(-1, K, A)[:, 1]
        + row.expand(-1, K, A)[:, 2]
    )


LOOKS = [dot, additive, by_bmm, by_matmul, by_einsum, softmax_of_columns, per_channel, shapes, sums]


class Dot(Seeing):
    """As `dot`, with nothing read from outside of the cell, where torch.compile could not watch it."""

    def __init__(self):
        super().__init__(None)

    def step(self, x, h, grid):
        a = torch.softmax((grid * self.query(h)[:, None]).sum(2), dim=1)
        return torch.tanh(self.x(x) + self.h(h) + self.seen((a[:, :, None] * grid).sum(1)))


def numbers(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def call(look, flags="", count=K, rows=N, **more):
    torch.manual_seed(0)
    cell = Seeing(look, count).double()
    lengths = torch.tensor([T, 2, 0])[:rows] if "lengths" in flags else None
    resets = torch.rand(T, rows) < 0.3 if "resets" in flags else None
    upstream = [numbers(T, rows, H), numbers(rows, H)]
    return Case(
        cell, numbers(T, rows, D), None, (numbers(rows, count, A),), lengths, resets, upstream=upstream, **more
    )


@pytest.mark.parametrize("flags", ["", "lengths", "lengths resets"])
@pytest.mark.parametrize("look", LOOKS)
def test_the_engine_computes_the_equation(look, flags):
    check(call(look, flags))


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("look", [dot, additive])
def test_directions_and_single_sequences(look, reverse, rows):
    check(call(look, reverse=reverse, rows=rows))
    check(call(look, count=1, rows=rows))


def test_the_grids_own_part_leaves_the_loop():
    """The linear map of the grid is computed once, and the loop is given K values instead of the grid."""
    ready = prepared(Seeing(additive), ((K, A),))
    assert isinstance(ready, Prepared)
    inside = [op for op in ready.loop.ops if op.view is not None and op.view.parameter == "deep.weight"]
    assert not inside and sum(i.role == "constant" for i in ready.loop.inputs) >= K


def test_explain_shows_the_program():
    explanation = unrolled.explain(Dot(), constants=((K, A),))
    assert explanation.path == "engine" and f"constant grid {K * A}" in explanation.program
    for wrong in ((), ((K, A), 2)):
        with pytest.raises(ValueError, match="explain: constants must have 1 entries"):
            unrolled.explain(Dot(), constants=wrong)


def test_each_shape_of_a_grid_has_its_own_program():
    cell = Seeing(dot).double()
    for count in (2, 5, 2):
        x, grid = numbers(T, N, D), numbers(N, count, A)
        y, _ = Recurrent(cell, backend="engine")(x, constants=(grid,))
        torch.testing.assert_close(y, Recurrent(cell, backend="eager")(x, constants=(grid,))[0])
    flat = numbers(N, 2 * A)  # as wide as the grid of two, but the equation does not take it
    with pytest.raises((ValueError, RuntimeError, IndexError)):
        Recurrent(cell)(numbers(T, N, D), constants=(flat,))


def test_padding_rows_and_layouts_of_the_grid():
    """A grid that is not contiguous, and one that is infinite for a sequence without steps."""
    c = call(dot, "lengths")
    plain = results(c)
    turned = c.constants[0].transpose(1, 2).contiguous().transpose(1, 2)
    infinite = torch.where(c.lengths[:, None, None] > 0, turned, torch.inf)
    for grid in (turned, infinite):
        for name, value in results(c.but(constants=(grid,))).items():
            torch.testing.assert_close(value, plain[name], msg=lambda m, name=name: f"{name}: {m}")


def test_second_derivatives_and_finite_differences():
    c = call(dot)
    layer = Recurrent(c.cell, backend="engine")
    x, grid = c.x[:2, :2].clone().requires_grad_(), c.constants[0][:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, g: layer(x, constants=(g,))[0], (x, grid))
    assert torch.autograd.gradgradcheck(lambda x, g: layer(x, constants=(g,))[0], (x, grid))


def test_stacks_directions_and_torch_compile():
    torch.manual_seed(0)
    lower, upper = Bidirectional(Dot(), Dot()), Dot()
    stack = Stack([lower, unrolled.layers.Convolution(2 * H, D, 1), upper]).double()
    x, grid = numbers(T, N, D), numbers(N, K, A).requires_grad_()
    assert all(paths.usual(cell, ((K, A),)) == "engine" for cell in (upper, lower.forward_layer.cell))
    truth, _ = stack(x, lengths=[5, 3, 1], constants={"grid": grid})
    compiled = torch.compile(stack, fullgraph=True, backend="aot_eager")
    ours, _ = compiled(x, lengths=torch.tensor([5, 3, 1]), constants={"grid": grid})
    torch.testing.assert_close(ours, truth)
    wanted, upstream = [grid, *stack.parameters()], torch.randn_like(truth)
    given = [torch.autograd.grad(y, wanted, upstream, allow_unused=True) for y in (ours, truth)]
    for a, b in zip(*given, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b)


def test_steps():
    c = call(additive)
    layer, state = c.layer("engine"), None
    truth, _ = layer(c.x, constants=c.constants)
    for x_t, y_t in zip(c.x, truth, strict=True):
        y, state = layer.step(x_t, state, c.constants)
        torch.testing.assert_close(y, y_t)


@pytest.mark.parametrize(
    ("look", "message"),
    [
        (lambda c, h, grid: grid.amax(1), "does not support amax of a tensor"),
        (lambda c, h, grid: (grid * grid.sum(0)).sum(1), "sums across the sequences of the batch"),
        (lambda c, h, grid: grid.softmax(0).sum(1), "across the sequences of the batch"),
        (lambda c, h, grid: grid.transpose(0, 1)[0], "exchanges the sequences of the batch"),
        (lambda c, h, grid: grid.cumsum(1)[:, 0], "does not support cumsum of a tensor"),
        (lambda c, h, grid: grid.unsqueeze(0)[0, :, 0], "step makes a tensor of shape"),
        (lambda c, h, grid: grid.reshape(-1, A)[: len(grid)], "does not support|across the sequences"),
        (lambda c, h, grid: grid.detach().sum(1), "stops the gradient"),
        (lambda c, h, grid: (grid @ grid.transpose(1, 2))[:, 0, :A] @ h[:A, :A], "both depend on the sequence"),
    ],
)
def test_what_grids_do_not_have_is_named(look, message):
    result = prepared(Seeing(look), ((K, A),))
    assert isinstance(result, UnsupportedError)
    assert re.search(message, str(result)), str(result)


def test_a_grid_that_is_too_large_for_a_program_runs_step_by_step():
    def outer(c, h, grid):
        wide = torch.cat([h] * 100, 1)
        return (wide[:, :, None] * h[:, None]).sum((1, 2)).unsqueeze(1).expand(-1, A)

    for result in (prepared(Seeing(dot, 600), ((600, A),)), prepared(Seeing(outer), ((K, A),))):
        assert isinstance(result, UnsupportedError) and "K = 600, more than 512" in str(result)
