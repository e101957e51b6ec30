"""First weights, as options of the layers and for one's own cells."""

import math

import pytest
import torch

import unrolled
from helpers import PeepholeLSTM
from unrolled.cells.initial import RECURRENT, chrono_, forget_bias_, recurrent_


class Keeping(unrolled.Cell):
    """A person's own cell that names the gate that keeps its state."""

    keeps = "f"

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("f n", input_size, hidden_size)
        self.h = unrolled.Gates("f n", hidden_size, hidden_size, bias=False)

    def step(self, x, h):
        f = torch.sigmoid(self.x.f(x) + self.h.f(h))
        return f * h + (1 - f) * torch.tanh(self.x.n(x) + self.h.n(h))


def matrices(layer):
    for part in layer.modules():
        if isinstance(part, unrolled.Cell):
            yield from part.h.weight.detach().split(part.hidden_size)


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("make", [unrolled.Elman, unrolled.LSTM, unrolled.GRU])
def test_recurrent_matrices_of_every_layer_and_direction(make, kind):
    layer = make(3, 6, num_layers=2, bidirectional=True, recurrent_init=kind)
    found = list(matrices(layer))
    assert len(found) == 4 * {unrolled.Elman: 1, unrolled.LSTM: 4, unrolled.GRU: 3}[make]
    for W in found:
        if kind == "orthogonal":
            torch.testing.assert_close(W @ W.t(), torch.eye(6), atol=1e-5, rtol=0)
        elif kind == "identity":
            assert torch.equal(W, torch.eye(6))
        else:
            assert W.abs().max() <= math.sqrt(6 / 12) and not torch.equal(W, W.t())


def test_irnn_keeps_its_state():
    layer = unrolled.Elman(2, 5, nonlinearity="relu", recurrent_init="identity")
    h = torch.rand(1, 3, 5)
    assert torch.equal(layer(torch.zeros(50, 3, 2), h)[1], h)


@pytest.mark.parametrize(("kind", "scale"), [("orthogonal", 0.5), ("identity", 2.0)])
def test_scale_is_the_spectral_radius(kind, scale):
    cell = recurrent_(unrolled.ElmanCell(3, 8), kind, scale)
    radius = torch.linalg.eigvals(cell.h.weight.detach()).abs()
    torch.testing.assert_close(radius, torch.full((8,), scale))


@pytest.mark.parametrize(("make", "keep"), [(unrolled.LSTM, "f"), (unrolled.GRU, "z")])
def test_chrono_spreads_memories_up_to_the_longest_lag(make, keep):
    torch.manual_seed(1)
    layer = make(3, 400, chrono=100)
    (cell,) = (part for part in layer.modules() if isinstance(part, unrolled.Cell))
    bias = cell.x.bias.detach()
    steps = bias[cell.x.rows(keep)].exp()  # uniform between 1 and 99: mean 50, deviation 98 / sqrt(12)
    assert 1 <= float(steps.min()) < 10 and 90 < float(steps.max()) <= 99.01
    assert abs(float(steps.mean()) - 50) < 5 * 98 / math.sqrt(12 * 400)
    if make is unrolled.LSTM:
        assert torch.equal(bias[cell.x.rows("i")], -bias[cell.x.rows("f")])
    others = [g for g in cell.x.names if g not in (cell.keeps, cell.admits)]
    assert all(bool((bias[cell.x.rows(g)] == 0).all()) for g in others)


def test_chrono_keeps_a_state_about_as_long():
    """With nothing coming in, the LSTM's c falls to 1/e in about T steps."""
    cell = chrono_(unrolled.LSTMCell(1, 200), longest=1000)
    cell.h.weight.data.zero_()
    c = torch.ones(1, 200)
    x, h = torch.zeros(1, 1), torch.zeros(1, 200)
    u = cell.x.bias.detach()[cell.x.rows("f")].exp()
    for _ in range(500):
        h, c = cell.step(x, h, c)
    torch.testing.assert_close(c[0].detach(), (u / (1 + u)) ** 500, rtol=1e-3, atol=1e-6)


def test_own_cells_and_wrapped_ones():
    cell = unrolled.Zoneout(Keeping(3, 4), 0.1)
    assert chrono_(cell, 20) is cell
    assert bool((cell.cell.x.bias[:4] > 0).all()) and not cell.cell.x.bias[4:].any()
    recurrent_(cell, "identity")
    assert torch.equal(cell.cell.h.weight[4:].detach(), torch.eye(4))


@pytest.mark.parametrize(("make", "keep", "usual"), [(unrolled.LSTM, "f", 1.0), (unrolled.GRU, "z", 0.0)])
def test_the_forget_bias_is_that_of_the_gate_that_keeps(make, keep, usual):
    for given, wanted in (({}, usual), ({"forget_bias": 2.5}, 2.5)):
        layer = make(3, 4, num_layers=2, bidirectional=True, **given)
        cells = [part for part in layer.modules() if isinstance(part, unrolled.Cell)]
        assert len(cells) == 4
        for cell in cells:
            for gate in cell.x.names:
                assert bool((cell.x.bias[cell.x.rows(gate)] == (wanted if gate == keep else 0)).all())
    cell = forget_bias_(unrolled.Zoneout(Keeping(3, 4), 0.1), -1.0)
    assert bool((cell.cell.x.bias[:4] == -1).all()) and not cell.cell.x.bias[4:].any()


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="recurrent_init must be one of orthogonal, identity, glorot, got 'eye'"):
        unrolled.GRU(3, 4, recurrent_init="eye")
    with pytest.raises(ValueError, match="chrono must be the longest lag in steps, above 2, got 1"):
        unrolled.LSTM(3, 4, chrono=1)
    with pytest.raises(ValueError, match="bias=False"):
        unrolled.LSTM(3, 4, bias=False, chrono=10)
    with pytest.raises(ValueError, match="in a cell of your own, set keeps"):
        chrono_(PeepholeLSTM(3, 4), 10)
    with pytest.raises(ValueError, match="ElmanCell: forget_bias needs a gate that keeps"):
        forget_bias_(unrolled.ElmanCell(3, 4), 1)
    with pytest.raises(ValueError, match="forget_bias must be a number, got nan"):
        forget_bias_(unrolled.LSTMCell(3, 4), math.nan)
    with pytest.raises(ValueError, match="scale must be greater than 0"):
        recurrent_(unrolled.GRUCell(3, 4), "identity", 0)
