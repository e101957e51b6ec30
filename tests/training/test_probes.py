"""Probes: what they measure, against finite differences and plain loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import unrolled
from helpers import PeepholeLSTM
from unrolled.training.advice import Advice
from unrolled.training.batches import Batch, at_the_end
from unrolled.training.bptt import batch_loss
from unrolled.training.losses import Loss
from unrolled.training.options import TrainingOptions
from unrolled.training.probes import GradientProbe
from unrolled.training.watch import Watch

T, N, V, H = 12, 3, 5, 4
CELLS = [unrolled.ElmanCell, unrolled.LSTMCell, PeepholeLSTM]


class EveryStep:
    """As much of a task as a probe asks for: a loss a step."""

    def loss(self, model, window, state):
        return batch_loss(model, window, state)


class AtTheEnd:
    """One loss a sequence."""

    def loss(self, model, window, state):
        scores, state = model(window.inputs, state)
        return Loss(*model.head.loss(scores, window.targets[-1]), state)


TASKS = {"many-to-many": EveryStep(), "many-to-one": AtTheEnd()}


def window(steps: int = T) -> Batch:
    inputs, targets = torch.randint(V, (2, steps, N))
    return Batch(inputs, targets, counted=steps, advance=steps)


def model_of(graph: str, *layers) -> unrolled.Model:
    stack = unrolled.Stack(layers)
    return unrolled.Model(unrolled.OneHot(V), stack, unrolled.Softmax(stack.output_size, V), graph).double()


def unroll(cell: unrolled.Cell, x: list[Tensor], moved: dict[tuple[str, int], Tensor]) -> list[Tensor]:
    """The outputs in the order of ``x``; state ``name`` is moved by ``moved[name, k]`` after step k of that order."""
    states = cell.initial_state(N, x[0])
    outputs = []
    for k, x_t in enumerate(x):
        new = cell.step(x_t, *states)
        new = (new,) if isinstance(new, Tensor) else new
        states = tuple(s + moved.get((name, k), 0) for name, s in zip(cell.state, new, strict=True))
        outputs.append(states[0])
    return outputs


def loss_by_hand(model: unrolled.Model, seen: Batch, moved: dict[str, dict[tuple[str, int], Tensor]]) -> Tensor:
    """The mean loss at the end, of one bidirectional layer; each direction in its own order of steps."""
    layer = model.stack.layers[0]
    x = list(F.one_hot(seen.inputs, V).double())
    ahead = unroll(layer.forward_layer.cell, x, moved.get("forward", {}))
    back = unroll(layer.backward_layer.cell, x[::-1], moved.get("backward", {}))
    read_last = back[-1] if model.graph == "many-to-one" else back[0]  # which reads the last symbol first
    scores = torch.cat([ahead[-1], read_last], dim=1) @ model.head.map.weight.T + model.head.map.bias
    return F.cross_entropy(scores, seen.targets[-1])


def norms_by_hand(model: unrolled.Model, seen: Batch, way: str, cell: unrolled.Cell, name: str) -> list[float]:
    """||dL/ds||, lag by lag, by finite differences: each number of the state is moved a little either way."""
    width, step = cell.state_shapes()[name][0], 1e-5
    norms = []
    for k in reversed(range(T)):
        slopes = []
        for n in range(N):
            for j in range(width):
                little = torch.zeros(N, width, dtype=torch.float64)
                little[n, j] = step
                up, down = (loss_by_hand(model, seen, {way: {(name, k): sign * little}}) for sign in (1, -1))
                slopes.append(float(up - down) / (2 * step))
        norms.append(torch.tensor(slopes).norm().item())
    return norms


def assert_three_digits(curve: list[float], wanted: list[float]) -> None:
    """Curves are kept with three digits, and slopes of a loss near 1 have an error below 1e-9."""
    assert len(curve) == len(wanted)
    for a, b in zip(curve, wanted, strict=True):
        assert a == pytest.approx(b, rel=6e-3, abs=1e-9)


@pytest.mark.parametrize("kind", CELLS)
def test_lags_of_both_directions_from_the_ends_that_the_loss_reads(kind):
    model, seen = model_of("many-to-one", unrolled.Bidirectional(kind(V, H), kind(V, H))), window()
    curves = GradientProbe(model).by_lag(TASKS["many-to-one"], seen, None)
    names = [f"1 {way}.{s}" for way in ("forward", "backward") for s in kind.state]
    assert list(curves) == names
    layer = model.stack.layers[0]
    with torch.no_grad():
        for name in names:
            way, state = name.removeprefix("1 ").split(".")
            cell = getattr(layer, f"{way}_layer").cell
            assert_three_digits(curves[name], norms_by_hand(model, seen, way, cell, state))


@pytest.mark.parametrize("kind", CELLS)
def test_nothing_lies_back_from_the_step_that_is_read_first(kind):
    """Of the loss at the last step the backward direction has read one step: no lags, and no curve."""
    model, seen = model_of("many-to-many", unrolled.Bidirectional(kind(V, H), kind(V, H))), window()
    curves = GradientProbe(model).by_lag(TASKS["many-to-many"], seen, None)
    assert list(curves) == [f"1 forward.{s}" for s in kind.state]
    layer = model.stack.layers[0]
    with torch.no_grad():
        for state in kind.state:
            wanted = norms_by_hand(model, seen, "forward", layer.forward_layer.cell, state)
            assert_three_digits(curves[f"1 forward.{state}"], wanted)
            later = norms_by_hand(model, seen, "backward", layer.backward_layer.cell, state)
            assert max(later[:-1]) == 0  # states that it has after the step of the loss


def test_one_loss_at_both_ends_has_no_lags_in_the_layers_below():
    def both(width):
        return unrolled.Bidirectional(unrolled.GRUCell(width, H), unrolled.GRUCell(width, H))

    for graph, names in {
        "many-to-one": ["2 forward.h", "2 backward.h"],
        "many-to-many": ["1 forward.h", "2 forward.h"],
    }.items():
        model = model_of(graph, both(V), both(2 * H))
        assert sorted(GradientProbe(model).by_lag(TASKS[graph], window(), None)) == sorted(names)


def test_a_stack_that_runs_in_reverse_is_followed_from_its_end():
    layers = [unrolled.Recurrent(unrolled.ElmanCell(D, H), reverse=True) for D in (V, H)]
    model, seen = model_of("many-to-one", *layers), window()
    moved = [[torch.zeros(N, H, dtype=torch.float64, requires_grad=True) for _ in range(T)] for _ in layers]
    x = list(F.one_hot(seen.inputs, V).double())[::-1]
    for layer, zeros in zip(layers, moved, strict=True):
        x = unroll(layer.cell, x, {("h", k): zero for k, zero in enumerate(zeros)})
    F.cross_entropy(model.head(x[-1]), seen.targets[-1]).backward()
    curves = GradientProbe(model).by_lag(TASKS["many-to-one"], seen, None)
    assert list(curves) == ["1.h", "2.h"]
    for k, zeros in enumerate(moved, start=1):
        assert_three_digits(curves[f"{k}.h"], [zero.grad.norm().item() for zero in zeros[::-1]])


@pytest.mark.parametrize("graph", TASKS)
def test_a_bidirectional_model_that_forgets_is_not_taken_for_one_that_remembers(graph):
    """Its gradient vanishes within a few steps; in the wrong order it would be largest at the far end."""
    cells = [unrolled.ElmanCell(V, H) for _ in range(2)]
    for cell in cells:
        cell.h.weight.data.mul_(0.01)
    model = model_of(graph, unrolled.Bidirectional(*cells))
    probe, watch = GradientProbe(model), Watch()
    advice = Advice(TrainingOptions(epochs=2, lr=0.01, bptt=40), {})
    warned = []
    for _ in range(3):
        warned += watch.lags(probe.by_lag(TASKS[graph], window(40), None), 0.5, advice)
    assert [w["cause"] for w in warned] == ["gradient vanishes"]


@pytest.mark.parametrize("graph", ["many-to-many", "many-to-one"])
def test_lags_of_padded_sequences_are_those_of_the_longest_alone(graph):
    """A curve over sequences of several lengths would mix lags; what is measured is a batch without padding."""
    torch.manual_seed(0)
    model = model_of(graph, unrolled.Recurrent(unrolled.GRUCell(V, H)))
    lengths = torch.tensor([T - 3, T, T - 1, T, T])
    inputs, targets = torch.randint(V, (2, T, 5))
    mask = torch.arange(T)[:, None] < lengths
    to_one = graph == "many-to-one"
    padded = Batch(inputs, targets[0] if to_one else targets, lengths, None if to_one else mask)
    rows = [1, 3, 4]
    alone = Batch(inputs[:, rows], targets[0, rows] if to_one else targets[:, rows], torch.full((3,), T))
    few, chosen = at_the_end(padded, 16)
    assert chosen.tolist() == rows and at_the_end(padded, 2)[1].tolist() == rows[:2]
    found = GradientProbe(model).by_lag(EveryStep(), padded, None)["1.h"]
    x = model.encoder(alone.inputs)
    states = [h.detach().requires_grad_() for h in model.unroll(x)[0]]
    wanted = []
    for t in range(T):
        h = states[t]
        for later in range(t + 1, T):
            h = model.stack.layers[0].cell.step(x[later], h)
        target = alone.targets if to_one else alone.targets[-1]
        (gradient,) = torch.autograd.grad(F.cross_entropy(model.read(h), target), states[t])
        wanted.append(float(gradient.norm()))
    assert found == pytest.approx(wanted[::-1], rel=1e-2)  # three digits are kept
    assert len(few.inputs) == T
