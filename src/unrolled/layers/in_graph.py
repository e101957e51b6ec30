"""A layer's call inside torch.compile: one operator, and around it what torch computes, with no break in the graph.

Imported when torch.compile first meets a layer, since it needs `torch._dynamo`, which takes seconds to load.
"""

from __future__ import annotations

import weakref

import torch
from torch import Tensor

from unrolled.cells.cell import Cell
from unrolled.compiler.reads import Path
from unrolled.compiler.traced import Widths
from unrolled.engine.prepared import Prepared, prepared, reads

State = tuple[Tensor, ...]

_known: weakref.WeakValueDictionary[str, Prepared] = weakref.WeakValueDictionary()


@torch.compiler.assume_constant_result
def key(cell: Cell, constants: Widths) -> str:
    """What `run` finds the cell made ready by; empty where the compiler cannot take the cell."""
    ready = prepared(cell, constants)
    if not isinstance(ready, Prepared):
        return ""
    _known[str(id(ready))] = ready
    return str(id(ready))


@torch.compiler.assume_constant_result
def reads_outside(cell: Cell, constants: Widths) -> bool:
    """Whether the equation reads what torch.compile cannot watch: globals, closures, arrays, hooks."""
    seen = reads(cell, constants)
    return bool(seen.beyond) or any(_written(path) is None for path in seen.paths)


break_graph = torch.compiler.disable
"""Call a function outside of the graph, where what the equation reads is compared at each call."""


@torch.compiler.assume_constant_result
def places(cell: Cell, constants: Widths) -> str:
    """Where the equation may read numbers and texts of the cell's: a path a line, its steps set off by slashes."""
    return "\n".join(sorted({_written(path) or "" for path in reads(cell, constants).paths}))


def _written(path: Path) -> str | None:
    """A path as text; None where a key is no simple one."""
    steps = []
    for kind, name in path or ():
        if type(name) not in (str, int) or (isinstance(name, str) and {"/", "\n", " "} & set(name)):
            return None
        steps.append(f"{'index' if isinstance(name, int) else kind} {name}")
    return "/".join(steps)


def read(cell: Cell, constants: Widths) -> None:
    """Reads these numbers where torch.compile sees it, so that it compiles again when one has changed."""
    seen = {}
    for line in places(cell, constants).splitlines():
        value = cell
        for step in line.split("/"):
            kind, _, name = step.partition(" ")
            if kind == "attr":
                value = getattr(value, name)
            else:
                value = value[int(name) if kind == "index" else name]  # type: ignore[index]
        seen[value] = line  # as a key, which is guarded by its value


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
