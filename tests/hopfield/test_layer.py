"""The cell in the engine, and the layer whose fixed point carries gradients."""

import pytest
import torch

import unrolled
from unrolled.errors import UsageError
from unrolled.layers import paths


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(1)


@pytest.mark.parametrize(
    "options",
    [{}, {"phi": "logistic", "gain": 2.0}, {"rate": 0.3, "self_connections": False}, {"symmetric": False}],
)
def test_the_engine_runs_the_cell_with_its_gradients(options):
    cell = unrolled.HopfieldCell(7, dtype=torch.float64, **options)
    assert paths.usual(cell) == "engine"
    x = torch.randn(9, 3, 7, dtype=torch.float64)
    found = {}
    for backend in ("engine", "eager"):
        given = x.clone().requires_grad_()
        output, (v,) = unrolled.Recurrent(cell, backend=backend)(given)
        (output.square().sum() + v.sum()).backward()
        found[backend] = [output.detach(), given.grad, cell.weight.grad.clone(), cell.threshold.grad.clone()]
        cell.zero_grad()
    for a, b in zip(found["engine"], found["eager"], strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_binary_units_in_the_engine_keep_their_state_at_zero():
    cell = unrolled.HopfieldCell(2, phi="sign", dtype=torch.float64)
    with torch.no_grad():
        cell.weight.zero_()
    for backend in ("engine", "eager"):
        layer = unrolled.Recurrent(cell, backend=backend)
        field = torch.tensor([[[1.0, -2.0]], [[0.0, 0.0]], [[-3.0, 0.0]]], dtype=torch.float64)
        output, _ = layer(field)
        assert output[:, 0].tolist() == [[1, -1], [1, -1], [-1, -1]]


def test_the_network_is_the_cell_unrolled():
    net = unrolled.Hopfield(torch.randint(0, 2, (3, 50)) * 2 - 1, units="graded", gain=2.0, threshold=0.1)
    cell = unrolled.HopfieldCell(50, gain=2.0, symmetric=False, dtype=torch.float64)
    with torch.no_grad():
        cell.weight.copy_(net.weights)
        cell.threshold.copy_(net.threshold)
    x = 2 * torch.rand(4, 50, dtype=torch.float64) - 1
    output, _ = unrolled.Recurrent(cell)(torch.zeros(6, 4, 50, dtype=torch.float64), (x,))
    mapped = net.recall(x, update="synchronous", steps=6, keep=True).states
    assert torch.allclose(output, mapped[1:], atol=1e-12)


def test_symmetric_and_without_self_connections():
    cell = unrolled.HopfieldCell(5, self_connections=False)
    assert torch.equal(cell.W, cell.W.T) and bool((cell.W.diagonal() == 0).all())


@pytest.mark.parametrize("phi", ["tanh", "logistic"])
@pytest.mark.parametrize("rate", [1.0, 0.6])
def test_gradients_through_the_fixed_point(phi, rate):
    """Implicit, unrolled, and by finite differences."""
    cell = unrolled.HopfieldCell(6, phi=phi, rate=rate, gain=1.5, dtype=torch.float64)
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    found = {}
    for backward in ("implicit", "unrolled"):
        layer = unrolled.HopfieldLayer(cell, backward, tolerance=1e-13)
        weights = torch.linspace(-1, 1, 18, dtype=torch.float64).view(3, 6)
        (layer(x) * weights).sum().backward()
        found[backward] = [x.grad.clone(), cell.weight.grad.clone(), cell.threshold.grad.clone()]
        x.grad = None
        cell.zero_grad()
    for a, b in zip(found["implicit"], found["unrolled"], strict=True):
        assert torch.allclose(a, b, atol=1e-10)
    layer = unrolled.HopfieldLayer(cell, tolerance=1e-13)
    assert torch.autograd.gradcheck(layer, (x,), check_undefined_grad=False)


def test_second_derivatives_are_exact_or_refused():
    cell = unrolled.HopfieldCell(3, dtype=torch.float64)
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(unrolled.HopfieldLayer(cell, "unrolled", tolerance=1e-13), (x,))
    y = unrolled.HopfieldLayer(cell)(x).sum()
    with pytest.raises(UsageError, match="second derivatives need backward='unrolled'"):
        torch.autograd.grad(y, x, create_graph=True)


def test_a_layer_learns_what_one_step_cannot():
    """XOR of two fields, read off a third unit: the fixed point needs the hidden ones."""
    x = torch.tensor([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
    target = -x[:, 0] * x[:, 1]
    layer = unrolled.HopfieldLayer(unrolled.HopfieldCell(8), tolerance=1e-5)
    into = torch.nn.Linear(2, 8)
    out = torch.nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*layer.parameters(), *into.parameters(), *out.parameters()], lr=0.02)
    for _ in range(200):
        loss = (out(layer(into(x)))[:, 0] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05
    assert layer.cell.weight.grad.abs().max() > 0


def test_mistakes_and_warnings():
    for wrong in (unrolled.ElmanCell(2, 2), unrolled.HopfieldCell(2, phi="sign")):
        with pytest.raises(
            UsageError, match="^HopfieldLayer: cell must be a HopfieldCell with phi='tanh' or 'logistic'$"
        ):
            unrolled.HopfieldLayer(wrong)
    with pytest.raises(UsageError, match="implicit, unrolled"):
        unrolled.HopfieldLayer(unrolled.HopfieldCell(2), "forward")
    with pytest.raises(UsageError, match=r"\(1, 3\).*units = 2"):
        unrolled.HopfieldLayer(unrolled.HopfieldCell(2))(torch.zeros(1, 3))
    for options in ({"phi": "relu"}, {"gain": 0}, {"gain": float("nan")}, {"rate": 0}, {"rate": 1.5}):
        with pytest.raises(ValueError, match=f"HopfieldCell: {next(iter(options))} must"):
            unrolled.HopfieldCell(2, **options)
    cell = unrolled.HopfieldCell(2, gain=3.0)
    with torch.no_grad():
        cell.weight.copy_(torch.tensor([[0.0, -1.0], [-1.0, 0.0]]))
        layer = unrolled.HopfieldLayer(cell, steps=50)
        with pytest.warns(UserWarning, match="still changes"):
            layer(torch.full((1, 2), 0.1))
