"""Models are built in one place: every model option of every cell, in training and for use."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import unrolled
from helpers import OWN_CELL
from unrolled.cells.registry import CELLS
from unrolled.cells.source import class_from_source
from unrolled.cells.wrappers import VariationalDropout, WeightDrop, Wrapper, Zoneout
from unrolled.compiler.stored import store, stored_class
from unrolled.errors import UsageError
from unrolled.lab.catalogue import TITLES, experiment
from unrolled.layers import LayerNorm
from unrolled.layers.directions import read_ahead
from unrolled.models import Linear
from unrolled.models.build import build_stack, cells_of, check_memory, set_first_weights
from unrolled.models.options import RECURRENT_INITS, ModelOptions

SIZES = {"hidden": 6, "layers": 2, "dropout": 0.0}
RATES = {"weight_drop": WeightDrop, "variational_dropout": VariationalDropout, "zoneout": Zoneout}


@pytest.mark.parametrize("direction", ["forward", "both", "alternating"])
@pytest.mark.parametrize("name", CELLS)
def test_widths_and_values(name, direction):
    torch.manual_seed(0)
    stack = build_stack(CELLS[name], 3, ModelOptions(cell=name, direction=direction, **SIZES))
    cells = cells_of(stack)
    assert [type(cell) for cell in cells] == [CELLS[name]] * (4 if direction == "both" else 2)
    x = torch.randn(5, 2, 3)
    y, _ = stack(x)
    h = x
    for first in range(0, len(cells), len(cells) // 2):
        turned = direction == "alternating" and first == 0  # the last one reads forward
        ahead = unrolled.Recurrent(cells[first], backend="eager")(h.flip(0) if turned else h)[0]
        ahead = ahead.flip(0) if turned else ahead
        if direction == "both":
            back = unrolled.Recurrent(cells[first + 1], backend="eager")(h.flip(0))[0].flip(0)
            ahead = torch.cat([ahead, back], dim=2)
        h = ahead
    torch.testing.assert_close(y, h)


@pytest.mark.parametrize("graph", ["many-to-many", "many-to-one"])
@pytest.mark.parametrize("direction", ["forward", "both", "alternating"])
def test_a_norm_stands_before_every_layer(direction, graph):
    """By hand: torch's layer norm of each layer's inputs; many-to-one reads the two ends side by side."""
    torch.manual_seed(0)
    options = ModelOptions(direction=direction, layer_norm=True, **SIZES)
    stack = build_stack(unrolled.GRUCell, 3, options).double()
    head = unrolled.Regression(stack.output_size, 1)
    model = unrolled.Model(Linear(3, 3), stack, head, graph=graph).double().eval()
    assert [type(layer) is LayerNorm for layer in stack.layers] == [True, False] * 2
    x, lengths = torch.randn(5, 2, 3, dtype=torch.float64), [5, 3]
    found, _ = model(x, lengths=lengths)
    for n, T in enumerate(lengths):
        h, bounds = model.encoder(x[:T, n : n + 1]), []
        for layer in stack.layers:
            if isinstance(layer, LayerNorm):
                h = torch.nn.functional.layer_norm(h, h.shape[-1:])
            else:
                h, _ = layer(h)
        half = h.shape[-1] // 2
        if direction == "both":
            bounds = [h[-1, :, :half], h[0, :, half:]]
        if graph == "many-to-many":
            torch.testing.assert_close(found[:T, n], model.read(h)[:, 0])
        elif direction != "both":
            torch.testing.assert_close(found[n], model.read(h[-1])[0])
        else:
            torch.testing.assert_close(found[n], model.read(torch.cat(bounds, dim=1))[0])


@pytest.mark.parametrize("layers", [2, 3, 5])
def test_alternating_layers_end_with_one_that_reads_forward(layers):
    options = ModelOptions(hidden=3, dropout=0.0, direction="alternating", layers=layers)
    reverse = [layer.reverse for layer in build_stack(unrolled.GRUCell, 2, options).layers]
    assert reverse == [False, True, False, True, False][-layers:]
    assert read_ahead(build_stack(unrolled.GRUCell, 2, options).layers)
    assert not read_ahead(build_stack(unrolled.GRUCell, 2, replace(options, direction="forward")).layers)
    with pytest.raises(UsageError, match="--direction: alternating needs two layers"):
        replace(options, layers=1)


@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("name", RATES)
def test_every_cell_is_wrapped_and_trained_weights_come_back(name, direction):
    options = ModelOptions(direction=direction, **SIZES, **{name: 0.3})
    stack = build_stack(unrolled.GRUCell, 3, options)
    wrapped = [m for m in stack.modules() if isinstance(m, RATES[name])]
    assert len(wrapped) == len(cells_of(stack)) == (2 if direction == "forward" else 4)
    x = torch.randn(50, 8, 3)
    assert not torch.equal(stack(x)[0], stack(x)[0])  # drawn anew
    again = build_stack(unrolled.GRUCell, 3, options, for_use=True)
    again.load_state_dict(stack.state_dict())
    torch.testing.assert_close(again.eval()(x)[0], stack.eval()(x)[0])


@pytest.mark.parametrize("name", RATES)
def test_a_stored_program_has_the_weights_names_of_its_wrappers(name):
    cell = class_from_source(OWN_CELL, "Own", Path("own.py"))
    options = ModelOptions(**SIZES, **{name: 0.3})
    stack = build_stack(cell, 3, options).eval()
    stored = build_stack(stored_class(store(cells_of(stack))), 3, options, for_use=True).eval()
    stored.load_state_dict(stack.state_dict())
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(stored(x)[0], stack(x)[0])
    assert any(isinstance(m, Wrapper) for m in stored.modules())


def test_what_a_cell_cannot_drop_is_a_mistake():
    class Bare(unrolled.Cell):
        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.U = torch.nn.Linear(input_size, hidden_size)

        def step(self, x, h):
            return torch.tanh(self.U(x) + h)

    for name in ("weight_drop", "variational_dropout"):
        with pytest.raises(UsageError, match=f"--{name.replace('_', '-')}: .* Bare has no Gates"):
            build_stack(Bare, 3, ModelOptions(**SIZES, **{name: 0.1}))
    assert build_stack(Bare, 3, ModelOptions(**SIZES, zoneout=0.1))
    with pytest.raises(UsageError, match="--chrono: Bare"):
        set_first_weights(build_stack(Bare, 3, ModelOptions(**SIZES)), ModelOptions(chrono=9))


@pytest.mark.parametrize("kind", RECURRENT_INITS)
def test_first_weights_reach_wrapped_cells_of_both_directions(kind):
    options = ModelOptions(
        direction="both", **SIZES, zoneout=0.1, weight_drop=0.1, recurrent_init=kind, forget_bias=2
    )
    stack = build_stack(unrolled.LSTMCell, 3, options)
    set_first_weights(stack, options)
    for cell in cells_of(stack):
        assert bool((cell.x.bias[cell.x.rows("f")] == 2).all())
        matrix = cell.h.weight[cell.h.rows("g")].detach()
        if kind != "glorot":
            torch.testing.assert_close(matrix @ matrix.T, torch.eye(6), atol=1e-5, rtol=0)
        else:
            assert float(matrix.abs().max()) <= (6 / 12) ** 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hidden": 0}, "--hidden: must be a whole number from 1, got 0"),
        ({"layers": 1001}, "--layers: must be at most 1,000, got 1,001"),
        ({"direction": "back"}, "--direction: must be one of forward, both, alternating, got 'back'"),
        ({"zoneout": 1.0}, r"--zoneout: must lie in \[0, 1\), got 1.0"),
        ({"weight_drop": -0.1}, r"--weight-drop: must lie in \[0, 1\), got -0.1"),
        ({"variational_dropout": "much"}, "--variational-dropout: expected a number, got 'much'"),
        ({"chrono": 9, "forget_bias": 1.0}, "leave out --forget-bias or --chrono"),
    ],
)
def test_mistakes(given, message):
    with pytest.raises(UsageError, match=message):
        ModelOptions(**given)


def test_what_does_not_fit_in_memory_is_found_before_it_is_built():
    built = []

    def build(layers):
        built.append(torch.nn.Linear(4, 4).weight.device.type)
        return torch.nn.Linear(10**6, 10**6 * layers)

    with pytest.raises(UsageError, match="7,000,007,000,000 parameters .* or --layers"):
        check_memory(build, 7)
    assert built == ["meta", "meta"]
    check_memory(lambda layers: torch.nn.Linear(4, 4 * layers), 7)


def test_the_laboratory_names_the_same_cells():
    for name in TITLES:
        assert set(experiment(name).cells) <= set(CELLS), name
