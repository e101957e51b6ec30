"""Each cell against its equation, written a second time in numpy, gate by gate."""

import math

import numpy as np
import pytest
import torch

import unrolled
from helpers import cells

D, H, N = 5, 4, 3


def sigma(a):
    return 1 / (1 + np.exp(-a))


def gate(cell, name, part):
    """W and b of one gate, counted by hand from torch's order."""
    order = {"LSTMCell": "ifgo", "GRUCell": "rzn", "ElmanCell": "h"}[type(cell).__name__]
    k = order.index(name)
    gates = getattr(cell, part)
    W = gates.weight.detach().numpy()[k * H : (k + 1) * H]
    b = 0 if gates.bias is None else gates.bias.detach().numpy()[k * H : (k + 1) * H]
    return W, b


def affine(cell, name, x, h):
    (W, b), (U, _) = gate(cell, name, "x"), gate(cell, name, "h")
    return x @ W.T + b + h @ U.T


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, D)), rng.normal(size=(N, H)), rng.normal(size=(N, H))


@pytest.mark.parametrize("name", ["lstm", "lstm-no-bias"])
def test_lstm(name, data):
    x, h, c = data
    cell = cells(D, H)[name]
    i, f, o = (sigma(affine(cell, k, x, h)) for k in "ifo")
    g = np.tanh(affine(cell, "g", x, h))
    c1 = f * c + i * g
    h1 = o * np.tanh(c1)
    got = cell(*map(torch.from_numpy, (x, h, c)))
    np.testing.assert_allclose(got[0].detach(), h1, rtol=1e-12)
    np.testing.assert_allclose(got[1].detach(), c1, rtol=1e-12)
    named = cell.gates(*map(torch.from_numpy, (x, h, c)))
    for name_, value in {"i": i, "f": f, "g": g, "o": o, "c": c1, "h": h1}.items():
        np.testing.assert_allclose(named[name_].detach(), value, rtol=1e-12)


@pytest.mark.parametrize("name", ["gru", "gru-after", "gru-after-no-bias"])
def test_gru(name, data):
    x, h, _ = data
    cell = cells(D, H)[name]
    r, z = (sigma(affine(cell, k, x, h)) for k in "rz")
    (W, b), (U, _) = gate(cell, "n", "x"), gate(cell, "n", "h")
    if name == "gru":
        n = np.tanh(x @ W.T + b + (r * h) @ U.T)
    else:
        d = 0 if cell.d_n is None else cell.d_n.detach().numpy()
        n = np.tanh(x @ W.T + b + r * (h @ U.T + d))
    h1 = z * h + (1 - z) * n
    (got,) = cell(torch.from_numpy(x), torch.from_numpy(h))
    np.testing.assert_allclose(got.detach(), h1, rtol=1e-12)
    named = cell.gates(torch.from_numpy(x), torch.from_numpy(h))
    assert {"r", "z", "n", "h"} <= set(named)
    np.testing.assert_allclose(named["n"].detach(), n, rtol=1e-12)
    np.testing.assert_allclose(named["z"].detach(), z, rtol=1e-12)


@pytest.mark.parametrize(("name", "phi"), [("elman", np.tanh), ("elman-relu", lambda a: np.maximum(a, 0))])
def test_elman(name, phi, data):
    x, h, _ = data
    cell = cells(D, H)[name]
    (got,) = cell(torch.from_numpy(x), torch.from_numpy(h))
    np.testing.assert_allclose(got.detach(), phi(affine(cell, "h", x, h)), rtol=1e-12)


def test_forget_bias_is_one_and_the_others_zero():
    bias = unrolled.LSTMCell(D, H).x.bias.view(4, H)
    assert bias[1].tolist() == [1.0] * H
    assert not bias[[0, 2, 3]].any()
    assert unrolled.LSTMCell(D, H, forget_bias=-2).x.bias.view(4, H)[1].tolist() == [-2.0] * H


def test_recurrent_weights_start_orthogonal_and_input_weights_glorot():
    torch.manual_seed(0)
    cell = unrolled.GRUCell(64, 32)
    for block in cell.h.weight.detach().split(32):
        torch.testing.assert_close(block @ block.T, torch.eye(32), atol=1e-5, rtol=0)
    bound = math.sqrt(6 / (64 + 32))
    assert cell.x.weight.abs().max() <= bound
    assert cell.x.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_a_gate_uses_its_rows_of_one_parameter():
    gates = unrolled.Gates("r z n", D, H)
    x = torch.randn(N, D)
    torch.testing.assert_close(gates.z(x), gates(x)[:, H : 2 * H])
    with pytest.raises(AttributeError, match="'Gates' object has no attribute 'q'"):
        gates.q(x)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("", "names is empty"),
        ("r r", "the name 'r' occurs twice in 'r r'"),
        ("1", "'1' cannot name a gate: it is not a Python identifier"),
        *(
            (name, f"'{name}' cannot name a gate: torch.nn.Module already uses that name")
            for name in ("weight", "train", "T_destination")
        ),
    ],
)
def test_gates_refuse_names(names, reason):
    with pytest.raises(ValueError, match=f"^Gates: {reason}"):
        unrolled.Gates(names, D, H)


def test_a_cell_without_step_says_so():
    class Empty(unrolled.Cell):
        state = ("h", "c")

    with pytest.raises(TypeError, match=r"Empty has no step\(self, x, h, c\)"):
        Empty(D, H)(torch.zeros(N, D), torch.zeros(N, H), torch.zeros(N, H))


def test_a_cell_must_name_its_states():
    with pytest.raises(TypeError, match="state must name the states"):
        type("Bad", (unrolled.Cell,), {"state": ()})


def test_wrong_new_states_are_named():
    class One(unrolled.Cell):
        state = "h c"

        def step(self, x, h, c):
            return h

    class Wide(unrolled.Cell):
        def step(self, x, h):
            return torch.cat([h, h], dim=1)

    class Numpy(unrolled.Cell):
        def step(self, x, h):
            return h.numpy()

    with pytest.raises(ValueError, match="step returned ndarray, expected a tensor"):
        Numpy(D, H)(torch.zeros(N, D))
    assert One.state == ("h", "c")
    one, wide = One(D, H), Wide(D, H)
    with pytest.raises(ValueError, match="returned 1 states, expected 2"):
        one(torch.zeros(N, D), torch.zeros(N, H), torch.zeros(N, H))
    with pytest.raises(ValueError, match=r"h with shape \(3, 8\), expected \(3, 4\)"):
        wide(torch.zeros(N, D), torch.zeros(N, H))


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (2.5, 3), (3, -1)])
def test_sizes_must_be_whole_numbers(sizes):
    with pytest.raises(ValueError, match="must be a whole number from 1"):
        unrolled.LSTMCell(*sizes)


def test_unknown_options_of_cells():
    with pytest.raises(ValueError, match="reset must be"):
        unrolled.GRUCell(D, H, reset="sideways")
    with pytest.raises(ValueError, match="nonlinearity must be"):
        unrolled.ElmanCell(D, H, nonlinearity="sigmoid")
