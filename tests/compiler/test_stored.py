"""Cells that are kept as programs compute what they computed, and nobody's code runs to load them."""

import json
import math
import re
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from own_cells import CoupledLSTM, LayerNormLSTM, MinimalGatedUnit

import unrolled
from helpers import PeepholeLSTM, TwoWidths
from unrolled.compiler.stored import SizesError, StoredCell, store, stored_class
from unrolled.training.muon import matrices

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


@pytest.mark.parametrize("kind", CELLS)
def test_muon_takes_the_same_matrices_apart(kind):
    cell = kind(4, 5)
    counts = []
    for one in (cell, again([cell])(4, 5)):
        named = {p: name for name, p in one.named_parameters()}
        counts.append({named[p]: count for p, count in matrices(unrolled.Recurrent(one)).items()})
    assert counts[0] == counts[1] and counts[0]


@pytest.mark.parametrize(
    "gates", [{"x.weight": 0}, {"x.weight": 3}, {"x.weight": "4"}, {"y": 1}, {"x.weight": True}, [4]]
)
def test_gates_that_a_matrix_cannot_hold_are_refused(gates):
    kept = store([unrolled.LSTMCell(4, 5)])
    kept["records"][0]["gates"] = gates
    with pytest.raises(ValueError, match="gates"):
        stored_class(kept)


def test_every_name_of_an_lstm_is_kept():
    assert set(again([unrolled.LSTMCell(4, 5)])(4, 5).gates(torch.zeros(2, 4))) == {"i", "f", "g", "o", "c", "h"}


def loaded(cells):
    """The same cells from a file, with their weights."""
    kind = again(cells)
    made = [kind(cell.input_size, cell.hidden_size).to(next(cell.parameters()).dtype) for cell in cells]
    for one, cell in zip(made, cells, strict=True):
        one.load_state_dict(cell.state_dict())
    return made


@pytest.mark.parametrize(
    "sizes", [[(4, 6), (6, 6), (6, 6)], [(4, 6), (6, 4), (4, 3)], [(4, 3), (3, 4), (4, 6), (6, 4)]]
)
def test_layers_of_several_sizes(sizes):
    """Also with inputs of one width and states of several."""
    cells = [PeepholeLSTM(*pair).double() for pair in sizes]
    assert len(store(cells)["records"]) == len(set(sizes))
    x = torch.randn(3, 2, 4).double()
    wanted, last = unrolled.Stack(cells)(x)
    y, state = unrolled.Stack(loaded(cells))(x)
    torch.testing.assert_close([y, state], [wanted, last])


def test_bidirectional_layers_alone():
    cells = [PeepholeLSTM(*pair).double() for pair in ((4, 5), (4, 3), (8, 3), (8, 3))]
    x, lengths = torch.randn(6, 2, 4).double(), torch.tensor([4, 6])
    results = []
    for a, b, c, d in (cells, loaded(cells)):
        stack = unrolled.Stack([unrolled.Bidirectional(a, b), unrolled.Bidirectional(c, d)])
        results.append(stack(x, lengths=lengths))
    torch.testing.assert_close(*results)


def test_other_sizes_are_refused():
    kind = again([PeepholeLSTM(4, 6), PeepholeLSTM(6, 3)])
    for sizes in ((5, 6), (4, 3), (6, 6)):
        with pytest.raises(
            SizesError,
            match=rf"^PeepholeLSTM: saved for cells of sizes \(input, hidden\) \(4, 6\), \(6, 3\), "
            rf"got \({sizes[0]}, {sizes[1]}\)$",
        ):
            kind(*sizes)


class Scaled(unrolled.ElmanCell):
    """Its equation has a number that no weight says."""

    scale = 0.5

    def step(self, x, h):
        return self.scale * super().step(x, h)


def test_cells_of_the_same_sizes_that_differ_are_not_kept():
    one, other = Scaled(4, 3), Scaled(4, 3)
    assert store([one, other]) is not None
    other.scale = 0.25
    assert store([one, other]) is None
    assert store([unrolled.ElmanCell(4, 3), unrolled.GRUCell(3, 3)]) is None


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


def record(change):
    """Of the first record."""
    return lambda content: change(content["records"][0])


def line_put(line):
    """Before the last line of the program."""
    return record(lambda r: r["program"].insert(-1, line))


def replaced(old, new):
    """In each line of the program."""
    return record(lambda r: r.update(program=[line.replace(old, new) for line in r["program"]]))


DAMAGES = {
    "no record": (lambda c: c.update(records=[]), "it has no records"),
    "records that are a number": (lambda c: c.update(records=3), "it has no records"),
    "a record twice": (lambda c: c["records"].extend(c["records"]), "it has two records of the sizes (4, 3)"),
    "states of two cells": (
        lambda c: c["records"].extend(store([unrolled.LSTMCell(5, 3)])["records"]),
        "its records have different states",
    ),
    "a name that is none": (lambda c: c.update(cell="a b"), "cell is 'a b', expected a name"),
    "a gate that is none": (lambda c: c.update(keeps=3), "keeps is 3, expected the name of a gate"),
    "no hidden size": (record(lambda r: r.pop("hidden_size")), "a record has no hidden_size"),
    "no tensors": (record(lambda r: r.pop("tensors")), "a record has no tensors"),
    "no gates": (record(lambda r: r.pop("gates")), "a record has no gates"),
    "tensors without names": (record(lambda r: r.update(tensors=[])), "the tensors of a record have no names"),
    "a program in one piece": (
        record(lambda r: r.update(program="program A")),
        "the program of a record is not a list of lines",
    ),
    "a line less": (record(lambda r: r["program"].pop(3)), "program: it has no parameter x.weight"),
    "a line of nonsense": (
        record(lambda r: r["program"].insert(3, "nonsense")),
        "program: line 4 is not valid: 'nonsense'",
    ),
    "a value that is not made": (
        record(lambda r: r["program"].append("return q")),
        "program: it returns q for the state h of width 3",
    ),
    "a state of another kind": (replaced("state h", "constant h"), "program: it has no state"),
    "another shape": (
        record(lambda r: r["tensors"].update({"x.weight": [1, 1]})),
        "x.weight has the shape (1, 1), but (9, 4) in its program",
    ),
    "a tensor less": (
        record(lambda r: r["tensors"].pop("x.weight")),
        "its program uses x.weight, which is not among its tensors",
    ),
    "a part of a parameter beyond its end": (
        replaced("@x.weight+0:", "@x.weight+9999:"),
        "program: @x.weight+9999:3x4:4,1 does not lie within x.weight",
    ),
    "a part of more dimensions": (
        replaced("@x.weight+0:3x4:4,1", "@x.weight+0:3x4:4"),
        "program: @x.weight+0:3x4:4 has strides of other dimensions",
    ),
    "another width": (
        record(lambda r: r.update(input_size=5)),
        "its program takes inputs of width 4, but input_size is 5",
    ),
    "an infinite width": (record(lambda r: r.update(input_size=math.inf)), "input_size is inf, expected an integer"),
    "half a width": (record(lambda r: r.update(hidden_size=2.5)), "hidden_size is 2.5, expected an integer"),
    "a width below zero": (
        record(lambda r: r.update(hidden_size=-3)),
        "GRUCell: hidden_size must be a whole number from 1, got -3",
    ),
    "an infinite shape": (
        record(lambda r: r["tensors"].update(other=[math.inf])),
        "the shape of other is [inf], expected a list of integers",
    ),
    "a shape below zero": (
        record(lambda r: r["tensors"].update(other=[-1, -1])),
        "the tensor other cannot have the shape (-1, -1)",
    ),
    "a tensor in too many modules": (
        record(lambda r: r["tensors"].update({".".join("a" * 2000): [1]})),
        "a tensor lies 1999 modules deep, more than 100",
    ),
    "a norm without its number": (
        line_put("q 3 = layernorm h"),
        "program: the arguments or widths of q 3 = layernorm h do not match",
    ),
    "a norm of a number": (
        line_put("q 3 = layernorm 0.1 h"),
        "program: the arguments or widths of q 3 = layernorm 0.1 h do not match",
    ),
    "a scale of nothing": (
        line_put("q 1 = normscale 0.1"),
        "program: the arguments or widths of q 1 = normscale 0.1 do not match",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused_with_its_own_reason(damage):
    change, reason = DAMAGES[damage]
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        stored_class(changed(change))


def test_what_is_no_table_is_refused():
    for content in ([], "GRUCell", None):
        with pytest.raises(ValueError, match="^it is not a table of names$"):
            stored_class(content)


@pytest.mark.parametrize("name", ["step.weight", "forward", "a..b", "__class__.x"])
def test_names_that_would_hide_the_cell_are_refused(name):
    with pytest.raises(ValueError, match=f"^{re.escape(name)} is not a valid tensor name$"):
        stored_class(changed(lambda c: c["records"][0]["tensors"].update({name: [2]})))
