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


@torch.compiler.assume_constant_result
def numbers(cell: Cell) -> str:
    """Where the equation may read numbers from: lines of a module's path, and the attribute's name."""
    found = []
    for path, module in cell.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, int | float | str) and not name.startswith("_"):
                found.append(f"{path} {name}")
    return "\n".join(found)


def read(cell: Cell) -> None:
    """Reads these numbers where torch.compile sees it, so that it compiles again when one has changed."""
    seen = {}
    for line in numbers(cell).splitlines():
        path, _, name = line.rpartition(" ")
        module = cell.get_submodule(path) if path else cell
        seen[getattr(module, name)] = line  # as a key, which is guarded by its value


@torch._dynamo.nonstrict_trace
def run(
    key: str,
    cell: Cell,
    x: Tensor,
    state: State,
    initial: State,
    marks: tuple[Tensor, ...],
    reverse: bool,
    constants: State,
) -> tuple[Tensor, State]:
    """`Prepared.run`, which torch.compile records by what it does to tensors, and does not read.

    Give the key as a new string, since torch.compile cannot guard what `key` returned itself, and the flags
    in a tuple, since it takes no None.
    """
    return _known[key].run(cell, x, state, initial, marks[0] if marks else None, reverse, constants)
