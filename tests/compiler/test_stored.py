"""Cells that are kept as programs compute what they computed, and nobody's code runs to load them."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from own_cells import CoupledLSTM, LayerNormLSTM, MinimalGatedUnit

import unrolled
from helpers import PeepholeLSTM, TwoWidths
from unrolled.compiler.stored import StoredCell, store, stored_class

CELLS = [
    *(unrolled.LSTMCell, unrolled.GRUCell, unrolled.ElmanCell),
    *(PeepholeLSTM, CoupledLSTM, LayerNormLSTM, MinimalGatedUnit),
]


def again(cells):
    """The class that comes back from a file."""
    return stored_class(json.loads(json.dumps(store(cells))))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("backend", ["auto", "eager"])
def test_the_same_values_gradients_and_names(kind, backend):
    torch.manual_seed(1)
    cell = kind(4, 5).double()
    other = again([cell])(4, 5).double()
    assert isinstance(other, StoredCell) and list(other.state) == list(cell.state)
    other.load_state_dict(cell.state_dict())
    x, upstream = torch.randn(7, 3, 4).double(), torch.randn(7, 3, 5).double()
    results = []
    for one in (cell, other):
        layer = unrolled.Recurrent(one, backend=backend)
        y, final = layer(x)
        y.backward(upstream)
        results.append([y, *final, *(p.grad for _, p in sorted(one.named_parameters()))])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-11)
    named, kept = cell.gates(x[0]), other.gates(x[0])
    assert set(cell.state) <= set(kept) <= set(named)
    for name, value in kept.items():
        torch.testing.assert_close(value, named[name])


def test_every_name_of_an_lstm_is_kept():
    assert set(again([unrolled.LSTMCell(4, 5)])(4, 5).gates(torch.zeros(2, 4))) == {"i", "f", "g", "o", "c", "h"}


def test_layers_of_two_widths():
    kind = again([PeepholeLSTM(4, 6), PeepholeLSTM(6, 6), PeepholeLSTM(6, 6)])
    stack = unrolled.Stack([kind(4, 6), kind(6, 6), kind(6, 6)])
    assert stack(torch.zeros(3, 2, 4))[0].shape == (3, 2, 6)
    with pytest.raises(ValueError, match="saved for inputs of width 4, 6, got 5"):
        kind(5, 6)


class Random(unrolled.ElmanCell):
    def step(self, x, h):
        return super().step(x, h) + torch.rand(()) * 0


@pytest.mark.parametrize(
    "cell",
    [TwoWidths(4, 3), Random(4, 3), unrolled.Zoneout(unrolled.GRUCell(4, 3), 0.1)],
    ids=["learned", "random", "drawn"],
)
def test_what_a_program_does_not_say_is_not_kept(cell):
    assert store([cell]) is None


def changed(change):
    content = json.loads(json.dumps(store([unrolled.GRUCell(4, 3)])))
    change(content)
    return content


DAMAGES = {
    "no layer": lambda c: c.update(layers=[]),
    "no dictionary": lambda c: c.update(layers=3),
    "a name that is none": lambda c: c.update(cell="a b"),
    "a line less": lambda c: c["layers"][0]["program"].pop(3),
    "a value that is not made": lambda c: c["layers"][0]["program"].append("return q"),
    "another shape": lambda c: c["layers"][0]["tensors"].update({"x.weight": [1, 1]}),
    "a part of a parameter beyond its end": lambda c: c["layers"][0].update(
        program=[line.replace("@x.weight+0:", "@x.weight+9999:") for line in c["layers"][0]["program"]]
    ),
    "another width": lambda c: c["layers"][0].update(input_size=5),
    "an infinite width": lambda c: c["layers"][0].update(input_size=math.inf),
    "an infinite shape": lambda c: c["layers"][0]["tensors"].update(other=[math.inf]),
    "a shape below zero": lambda c: c["layers"][0]["tensors"].update(other=[-1, -1]),
    "a tensor in too many modules": lambda c: c["layers"][0]["tensors"].update({".".join("a" * 2000): [1]}),
    "a norm without its number": lambda c: c["layers"][0]["program"].insert(-1, "q 3 = layernorm h"),
    "a norm of a number": lambda c: c["layers"][0]["program"].insert(-1, "q 3 = layernorm 0.1 h"),
    "a scale of nothing": lambda c: c["layers"][0]["program"].insert(-1, "q 1 = normscale 0.1"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused(damage):
    with pytest.raises(ValueError, match="program|missing|layer|cell|an integer|shape|deep"):
        stored_class(changed(DAMAGES[damage]))


@pytest.mark.parametrize("name", ["step.weight", "forward", "a..b", "__class__.x"])
def test_names_that_would_hide_the_cell_are_refused(name):
    with pytest.raises(ValueError, match="not a valid tensor name"):
        stored_class(changed(lambda c: c["layers"][0]["tensors"].update({name: [2]})))
