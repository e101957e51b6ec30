"""A layer's call inside torch.compile: one operator, and around it what torch computes, with no break in the graph.

Imported when torch.compile first meets a layer, since it needs `torch._dynamo`, which takes seconds to load.
"""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

from unrolled.cells.cell import Cell
from unrolled.engine.prepared import Prepared, prepared

State = tuple[Tensor, ...]

_known: weakref.WeakValueDictionary[str, Prepared] = weakref.WeakValueDictionary()


@torch.compiler.assume_constant_result
def key(cell: Cell, constants: tuple[int, ...]) -> str:
    """What `run` finds the cell made ready by; empty where the compiler cannot take the cell."""
    made = prepared(cell, constants)
    if not isinstance(made, Prepared):
        return ""
    _known[str(id(made))] = made
    return str(id(made))


@torch._dynamo.nonstrict_trace
def run(
    key: str,
    cell: Cell,
    x: Tensor,
    state: State,
    initial: State,
    marks: Tensor | None,
    reverse: bool,
    constants: State,
) -> tuple[Tensor, State]:
    """`Prepared.run`, which torch.compile records by what it does to tensors, and does not read.

    Give the key as a new string: torch.compile cannot guard what `key` returned itself.
    """
    return _known[key].run(cell, x, state, initial, marks, reverse, constants)
