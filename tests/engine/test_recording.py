"""The recorded gradients of states, against those that autograd finds step by step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import unrolled
from engine.own_cells import Antisymmetric, LayerNormLSTM
from helpers import PeepholeLSTM, TwoWidths
from unrolled.engine import native
from unrolled.engine.recording import active, recording
from unrolled.layers import Recurrent

CELLS = [
    unrolled.ElmanCell,
    unrolled.LSTMCell,
    unrolled.GRUCell,
    PeepholeLSTM,
    TwoWidths,
    LayerNormLSTM,
    Antisymmetric,
]
T, N, D, H = 7, 3, 4, 5


def upstream(cell: unrolled.Cell) -> tuple[Tensor, list[Tensor]]:
    return torch.randn(T, N, cell.output_size).double(), [
        torch.randn(N, *s).double() for s in cell.state_shapes().values()
    ]


def recorded(cell: unrolled.Cell, backend: str, given: dict, x: Tensor, dy: Tensor, ds: list[Tensor]) -> dict:
    with recording() as made:
        y, last = Recurrent(cell, backend=backend, reverse=given.get("reverse", False))(
            x, lengths=given.get("lengths"), resets=given.get("resets")
        )
        ((y * dy).sum() + sum((s * d).sum() for s, d in zip(last, ds, strict=True))).backward()
    return made.of(cell)


def by_hand(cell: unrolled.Cell, x: Tensor, dy: Tensor, ds: list[Tensor]) -> dict[str, Tensor]:
    """Each state perturbed by zeros that have a gradient, with nothing of the library's unrolling."""
    states = cell.initial_state(N, x)
    added, outputs = [], []
    for x_t in x:
        new = cell.step(x_t, *states)
        new = (new,) if isinstance(new, Tensor) else new
        zeros = [torch.zeros_like(s, requires_grad=True) for s in new]
        states = tuple(s + z for s, z in zip(new, zeros, strict=True))
        added.append(zeros)
        outputs.append(states[0])
    ((torch.stack(outputs) * dy).sum() + sum((s * d).sum() for s, d in zip(states, ds, strict=True))).backward()
    return {name: torch.stack([z[k].grad.norm() for z in added]) for k, name in enumerate(cell.state)}


@pytest.mark.parametrize("backend", ["engine", "eager"])
@pytest.mark.parametrize("kind", CELLS)
def test_recorded_norms_are_those_of_autograd(kind: type[unrolled.Cell], backend: str) -> None:
    if backend == "engine" and not native.available():
        pytest.skip("the engine was not built")
    cell = kind(D, H).double()
    x, (dy, ds) = torch.randn(T, N, D).double(), upstream(cell)
    expected = by_hand(cell, x, dy, ds)
    made = recorded(cell, backend, {}, x, dy, ds)
    assert list(made) == list(cell.state)
    for name, norms in expected.items():
        torch.testing.assert_close(made[name], norms, rtol=1e-10, atol=1e-12)


@pytest.mark.skipif(not native.available(), reason="the engine was not built")
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("marks", ["none", "lengths", "resets", "both"])
def test_engine_and_equation_record_the_same(marks: str, reverse: bool) -> None:
    cell = unrolled.LSTMCell(D, H).double()
    given: dict = {"reverse": reverse}
    if marks in ("lengths", "both"):
        given["lengths"] = torch.tensor([7, 2, 5])
    if marks in ("resets", "both"):
        given["resets"] = torch.rand(T, N) < 0.3
    x, (dy, ds) = torch.randn(T, N, D).double(), upstream(cell)
    ours, theirs = (recorded(cell, backend, given, x, dy, ds) for backend in ("engine", "eager"))
    for name in cell.state:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-10, atol=1e-12)


def test_recording_changes_no_gradient() -> None:
    layer = unrolled.LSTM(D, H, num_layers=2)
    x = torch.randn(T, N, D, requires_grad=True)
    layer(x)[0].square().sum().backward()
    plain = [p.grad.clone() for p in (*layer.parameters(), x)]
    for p in (*layer.parameters(), x):
        p.grad = None
    with recording() as made:
        layer(x)[0].square().sum().backward()
    assert [set(r.norms) for r in made.records] == [{"h", "c"}] * 2
    assert all(torch.equal(p.grad, q) for p, q in zip((*layer.parameters(), x), plain, strict=True))


def test_nothing_is_recorded_outside_and_under_checkpoints() -> None:
    layer, kept = unrolled.GRU(D, H), unrolled.GRU(D, H, checkpoint=2)
    with recording() as made:
        pass
    layer(torch.randn(T, N, D))[0].sum().backward()
    with recording() as also:
        kept(torch.randn(T, N, D, requires_grad=True))[0].sum().backward()
        with torch.no_grad():
            layer(torch.randn(T, N, D))
    assert active() is None and not made.records
    assert not any(r.norms for r in also.records)


def test_scans_of_one_cell_stand_one_behind_the_other() -> None:
    layer, x = Recurrent(unrolled.ElmanCell(D, H).double()), torch.randn(7, N, D, dtype=torch.float64)
    with recording() as made:
        _, state = layer(x[:4])
        after, _ = layer(x[4:], state)
        after.sum().backward()
    with recording() as whole:
        layer(x)[0][4:].sum().backward()
    torch.testing.assert_close(made.of(layer.cell)["h"], whole.of(layer.cell)["h"], rtol=1e-12, atol=0)
