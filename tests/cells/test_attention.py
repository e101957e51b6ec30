"""Attention as a wrapper: the equation by hand, the engine, other wrappers, and what is refused."""

import pytest
import torch

import unrolled
from engine.comparing import Case, check
from unrolled.cells.attention import Attention
from unrolled.engine import native
from unrolled.engine.prepared import Prepared, prepared

T, N, D, H, K, A = 4, 3, 2, 5, 6, 3


def attention(cell=unrolled.LSTMCell, **more):
    torch.manual_seed(0)
    return Attention(cell(D + A, H), A, **more).double()


def numbers(*shape):
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("cell", [unrolled.LSTMCell, unrolled.GRUCell, unrolled.ElmanCell])
def test_the_equation_by_hand(cell):
    wrapped = attention(cell, width=4)
    x, grid, h = numbers(N, D), numbers(N, K, A), numbers(N, H)
    state = (h, *(numbers(N, H) for _ in wrapped.state[1:]))
    for n in range(N):
        e = []
        for k in range(K):
            hidden = wrapped.seen.weight @ grid[n, k] + wrapped.query.weight @ h[n] + wrapped.query.bias
            e.append((wrapped.score.weight[0] * torch.tanh(hidden)).sum())
        alpha = torch.stack(e).exp() / torch.stack(e).exp().sum()
        beta = 1 / (1 + torch.exp(-(wrapped.gate.weight[0] @ h[n] + wrapped.gate.bias)))
        z = beta * sum(a * g for a, g in zip(alpha, grid[n], strict=True))
        own = tuple(s[n : n + 1] for s in state)
        expected = wrapped.cell(torch.cat([x[n], z])[None], *own)
        made = wrapped(x[n : n + 1], *own, constants=(grid[n : n + 1],))
        for one, other in zip(made, expected, strict=True):
            torch.testing.assert_close(one, other)
        named = wrapped.gates(x[n : n + 1], *own, constants=(grid[n : n + 1],))
        torch.testing.assert_close(named["alpha"][0], alpha)
        torch.testing.assert_close(named["z"][0], z)
        torch.testing.assert_close(named["beta"][0], beta)


@pytest.mark.skipif(not native.available(), reason="the engine was not built")
@pytest.mark.parametrize("cell", [unrolled.LSTMCell, unrolled.GRUCell])
def test_the_engine_computes_it(cell):
    wrapped = attention(cell)
    assert isinstance(prepared(wrapped, ((K, A),)), Prepared)
    upstream = [numbers(T, N, H), *(numbers(N, H) for _ in wrapped.state)]
    check(Case(wrapped, numbers(T, N, D), None, (numbers(N, K, A),), torch.tensor([T, 2, 1]), upstream=upstream))


@pytest.mark.parametrize("wrap", [unrolled.Zoneout, unrolled.VariationalDropout, unrolled.WeightDrop])
def test_other_wrappers_stand_around_it(wrap):
    layer = unrolled.Recurrent(wrap(attention(), 0.3))
    y, _ = layer(numbers(T, N, D), constants={"grid": numbers(N, K, A)})
    assert y.shape == (T, N, H)
    layer.eval()
    x, grid = numbers(T, N, D), numbers(N, K, A)
    alpha = layer.gates(x, constants=(grid,))["alpha"]
    assert alpha.shape == (T, N, K)
    torch.testing.assert_close(alpha.sum(2), torch.ones(T, N, dtype=torch.float64))
    with pytest.raises(ValueError, match=f"Attention: cell must not be a {wrap.__name__}: wrap the attention"):
        Attention(wrap(unrolled.LSTMCell(D + A, H), 0.3), A)


def test_a_cell_that_is_too_narrow():
    with pytest.raises(ValueError, match="takes inputs of width 3, expected more than the grid's 3"):
        Attention(unrolled.LSTMCell(3, H), 3)
