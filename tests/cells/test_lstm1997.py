"""The cell of 1997 against its equation in numpy, by finite differences, and in the compiled engine."""

import numpy as np
import pytest
import torch

import unrolled
from engine.comparing import case, check
from unrolled.engine.native import available

T, N, D, H = 6, 2, 3, 4


def made(**given):
    torch.manual_seed(0)
    cell = unrolled.LSTM1997Cell(D, H, **given).double()
    torch.nn.init.normal_(cell.x.bias)
    return cell


def sigma(a):
    return 1 / (1 + np.exp(-a))


def test_the_equation():
    cell = made()
    x, h, c = (torch.randn(N, k, dtype=torch.float64) for k in (D, H, H))
    W, U, b = (p.detach().numpy() for p in (cell.x.weight, cell.h.weight, cell.x.bias))
    a_i, a_g, a_o = np.split(x.numpy() @ W.T + b + h.numpy() @ U.T, 3, axis=1)
    c1 = c.numpy() + sigma(a_i) * np.tanh(a_g)
    h1 = sigma(a_o) * np.tanh(c1)
    got = cell(x, h, c)
    np.testing.assert_allclose(got[0].detach(), h1, rtol=1e-12)
    np.testing.assert_allclose(got[1].detach(), c1, rtol=1e-12)
    assert {"i", "g", "o", "c", "h"} == set(cell.gates(x, h, c))


@pytest.mark.parametrize("backend", ["eager", "engine"])
def test_gradients_by_finite_differences(backend):
    if backend == "engine" and not available():
        pytest.skip("no compiled engine")
    cell = made()
    layer = unrolled.Recurrent(cell, backend=backend)
    x = torch.randn(T, N, D, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(N, H, dtype=torch.float64, requires_grad=True) for _ in "hc")

    def run(x, h, c, *weights):
        y, last = layer(x, (h, c))
        return y, *last

    assert torch.autograd.gradcheck(run, (x, *state, *cell.parameters()))


@pytest.mark.parametrize("flags", ["", "state", "lengths resets state"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_engine_runs_the_equation(flags, seed):
    check(case("lstm1997", T=9, N=3, D=3, H=7, seed=seed, flags=flags))


def test_the_gradient_of_the_state_is_multiplied_by_one():
    """With recurrent weights of zero only the carousel is left: dc_T/dc_0 = 1, however long it is."""
    cell = made()
    torch.nn.init.zeros_(cell.h.weight)
    c0 = torch.randn(1, H, dtype=torch.float64, requires_grad=True)
    _, (_, c) = unrolled.Recurrent(cell)(torch.randn(300, 1, D, dtype=torch.float64), (torch.zeros_like(c0), c0))
    c.sum().backward()
    torch.testing.assert_close(c0.grad, torch.ones_like(c0), rtol=0, atol=1e-12)


def test_biases_at_the_start():
    cell = unrolled.LSTM1997Cell(D, H, input_bias=-1, output_bias=-2)
    assert cell.x.bias.view(3, H).tolist() == [[-1.0] * H, [0.0] * H, [-2.0] * H]
    assert unrolled.LSTM1997Cell(D, H, bias=False).x.bias is None
