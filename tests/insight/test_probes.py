"""Probes: what they measure, against finite differences and plain loops."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import unrolled
from helpers import PeepholeLSTM
from unrolled.insight.probes import GradientProbe
from unrolled.insight.watch import Watch
from unrolled.training.advice import Advice
from unrolled.training.batches import Batch, at_the_end
from unrolled.training.bptt import batch_loss
from unrolled.training.losses import Loss
from unrolled.training.options import TrainingOptions

T, N, V, H = 10, 2, 5, 4
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


def norms_by_hand(model: unrolled.Model, seen: Batch, way: str, cell: unrolled.Cell) -> dict[str, list[float]]:
    """||dL/ds|| of each state, lag by lag: zeros that are added to it have its gradient."""
    zeros = {
        (name, k): torch.zeros(N, *shape, dtype=torch.float64, requires_grad=True)
        for name, shape in cell.state_shapes().items()
        for k in range(T)
    }
    loss = loss_by_hand(model, seen, {way: zeros})
    slopes = torch.autograd.grad(loss, list(zeros.values()), allow_unused=True)
    norms = [0.0 if d is None else d.norm().item() for d in slopes]
    return {name: norms[T * k : T * (k + 1)][::-1] for k, name in enumerate(cell.state)}


def norms_by_differences(model: unrolled.Model, seen: Batch, way: str, name: str, width: int) -> list[float]:
    """The same of one state by finite differences: each of its numbers is moved a little either way."""
    step = 1e-5
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
    assert list(curves) == [f"1 {way}.{s}" for way in ("forward", "backward") for s in kind.state]
    for way in ("forward", "backward"):
        cell = getattr(model.stack.layers[0], f"{way}_layer").cell
        for name, norms in norms_by_hand(model, seen, way, cell).items():
            assert_three_digits(curves[f"1 {way}.{name}"], norms)


def test_lags_of_both_directions_are_those_of_finite_differences():
    model = model_of("many-to-one", unrolled.Bidirectional(unrolled.ElmanCell(V, H), unrolled.ElmanCell(V, H)))
    seen = window()
    curves = GradientProbe(model).by_lag(TASKS["many-to-one"], seen, None)
    with torch.no_grad():
        for way in ("forward", "backward"):
            assert_three_digits(curves[f"1 {way}.h"], norms_by_differences(model, seen, way, "h", H))


@pytest.mark.parametrize("kind", CELLS)
def test_nothing_lies_back_from_the_step_that_is_read_first(kind):
    """Of the loss at the last step the backward direction has read one step: no lags, and no curve."""
    model, seen = model_of("many-to-many", unrolled.Bidirectional(kind(V, H), kind(V, H))), window()
    curves = GradientProbe(model).by_lag(TASKS["many-to-many"], seen, None)
    assert list(curves) == [f"1 forward.{s}" for s in kind.state]
    layer = model.stack.layers[0]
    for name, norms in norms_by_hand(model, seen, "forward", layer.forward_layer.cell).items():
        assert_three_digits(curves[f"1 forward.{name}"], norms)
    later = norms_by_hand(model, seen, "backward", layer.backward_layer.cell)
    assert max(later["h"][:-1]) == 0 < later["h"][-1]  # all but its first step are behind that of the loss


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
    few, chosen = at_the_end(padded, 16, not to_one)
    assert chosen.tolist() == rows and at_the_end(padded, 2, not to_one)[1].tolist() == rows[:2]
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


def test_no_curves_by_lag_where_the_loss_is_of_all_steps():
    stack = unrolled.Stack([unrolled.GRUCell(V, H), unrolled.layers.LayerNorm(H)])
    pool, head = unrolled.models.MeanPool(), unrolled.Softmax(H, V)
    model = unrolled.Model(unrolled.OneHot(V), stack, head, "many-to-one", pool=pool).double()
    assert GradientProbe(model).by_lag(TASKS["many-to-one"], window(), None) == {}
    model = unrolled.Model(unrolled.OneHot(V), stack, head).double()
    assert list(GradientProbe(model).by_lag(TASKS["many-to-many"], window(), None)) == ["1.h"]


def looked(model: unrolled.Model, seen: Batch, lengths: Tensor | None = None) -> dict[str, dict[str, Tensor]]:
    return {name: rows for name, rows, _ in GradientProbe(model).units(replace(seen, lengths=lengths), None)}


def padded(lengths: list[int], padding: float) -> tuple[Batch, Tensor]:
    """Vectors of these lengths, and behind them ``padding``."""
    inputs = torch.randn(max(lengths), len(lengths), 2, dtype=torch.float64)
    beyond = torch.arange(len(inputs))[:, None] >= torch.tensor(lengths)
    inputs[beyond] = padding
    return Batch(inputs, inputs, torch.tensor(lengths)), torch.tensor(lengths)


def reader(*layers: unrolled.Cell | unrolled.layers.Layer) -> unrolled.Model:
    stack = unrolled.Stack(layers)
    encoder, head = unrolled.Linear(2, stack.input_size), unrolled.Softmax(stack.output_size, 2)
    return unrolled.Model(encoder, stack, head).double()


@pytest.mark.parametrize("between", [0, 2])
@pytest.mark.parametrize("padding", [0.0, 100.0, float("nan")])
def test_units_are_looked_at_within_each_sequence(padding, between):
    """The rows are those of each sequence run alone, without its padding; other layers between have none."""
    others = [unrolled.layers.LayerNorm(H), unrolled.layers.Convolution(H, H, 2, causal=True)][:between]
    model, lengths = reader(unrolled.GRUCell(3, H), *others, unrolled.LSTMCell(H, H)), [9, 0, 4, 7]
    seen, given = padded(lengths, padding)
    rows = looked(model, seen, given)
    assert list(rows) == ["1", "2"]
    alone = [model.stack.gates(model.encoder(seen.inputs[:L, n : n + 1])) for n, L in enumerate(lengths) if L]
    for number, k, names in (("1", 0, ["r", "z", "n", "h"]), ("2", 1 + between, ["i", "f", "g", "o", "c", "h"])):
        assert set(names) <= set(rows[number])
        for name in names:
            wanted = torch.cat([layers[k][name].flatten(0, 1) for layers in alone])
            assert rows[number][name].shape == wanted.shape
            torch.testing.assert_close(_sorted(rows[number][name]), _sorted(wanted))


def test_symbols_that_are_none_may_stand_in_padding():
    model, seen, lengths = model_of("many-to-many", unrolled.GRUCell(V, H)), window(), torch.tensor([10, 5])
    wanted = looked(model, seen, lengths)["1"]
    seen.inputs[torch.arange(T)[:, None] >= lengths] = -1
    rows = looked(model, seen, lengths)["1"]
    assert rows.keys() == wanted.keys() and len(rows["h"]) == 15
    for name in rows:
        torch.testing.assert_close(rows[name], wanted[name], rtol=0, atol=0)


def _sorted(rows: Tensor) -> Tensor:
    """The rows in the order of their first number, which no two share."""
    return rows[rows[:, 0].argsort()]


def test_padding_neither_hides_nor_makes_a_warning():
    advice = Advice(TrainingOptions(epochs=2, lr=0.01), {"hidden": H})
    lengths = [3, 30, 40]

    class Driven(unrolled.Cell):
        """A gate and a state that follow the first input alone: steps never stand still, padding does."""

        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.scale = torch.nn.Parameter(torch.full((hidden_size,), 0.001))

        def step(self, x, h):
            scale = self.scale  # a name of no step and no sequence, near 0 all the time
            g = torch.sigmoid(x[:, :1]).expand(-1, self.hidden_size)
            return g + 0 * h * scale

    class Stuck(Driven):
        """A gate that is shut within the sequences, and open in their padding."""

        def step(self, x, h):
            g = (x[:, :1] > 50).to(x.dtype).expand(-1, self.hidden_size)
            return torch.tanh(x[:, 1:2]) + 0 * h + 0 * g

    for cell, causes in ((Driven(2, H), []), (Stuck(2, H), ["gates stuck"])):
        model = reader(cell)
        model.encoder.load_state_dict({"map.weight": torch.eye(2), "map.bias": torch.zeros(2)})
        seen, _ = padded(lengths, 100.0)
        warned = Watch().units(GradientProbe(model).units(seen, None), advice)
        assert [w["cause"] for w in warned] == causes
    seen, _ = padded([2, 3, 10], 100.0)  # 15 steps are too few to judge, and padding does not make them more
    assert Watch().units(GradientProbe(model).units(seen, None), advice) == []
    seen, given = padded([40, 40, 40], 100.0)
    assert not list(GradientProbe(model).units(replace(seen, lengths=0 * given), None))


def test_states_are_those_of_the_sequences_that_are_looked_at():
    model = reader(unrolled.ElmanCell(2, H))
    seen, _ = padded([0, 6], 0.0)
    state = (torch.randn(2, H, dtype=torch.float64),)
    ((_, rows, _),) = GradientProbe(model).units(seen, (state,))
    wanted, _ = model.stack(model.encoder(seen.inputs[:, 1:]), ((state[0][1:],),))
    torch.testing.assert_close(rows["h"], wanted[:, 0])


def test_a_layer_in_reverse_is_not_looked_at():
    """It would read the padding first."""
    stack = unrolled.Stack([unrolled.GRUCell(V, H), unrolled.Recurrent(unrolled.GRUCell(H, H), reverse=True)])
    model = unrolled.Model(unrolled.OneHot(V), stack, unrolled.Softmax(H, V))
    assert list(looked(model, window())) == ["1"]
