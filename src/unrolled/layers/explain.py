"""Explaining a cell: its program, what the compiler made of it, what a step costs, and which way it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from unrolled.cells.cell import Cell, check_cell
from unrolled.compiler.hoist import projections
from unrolled.compiler.program import ELEMENTWISE, Op, View
from unrolled.compiler.traced import Widths
from unrolled.engine import native, verify
from unrolled.engine.compiled import Compiled
from unrolled.engine.prepared import Prepared, prepared
from unrolled.layers import paths


@dataclass(frozen=True)
class Explanation:
    """What `explain` finds; ``print`` it.

    ``path`` is engine, torch or eager, ``reason`` why it is not the engine; ``verified`` says what the compiled
    cell was held to. ``saved`` are floats a step and
    sequence kept for the backward pass, beside the inputs; ``operations`` floating-point operations a step
    and sequence of the forward pass, and ``in_loop`` those of them that cannot leave the time loop.
    """

    cell: str
    path: str
    reason: str = ""
    verified: str = ""
    program: str = ""
    hoisted: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    forward: str = ""
    backward: str = ""
    saved: int = 0
    operations: int = 0
    in_loop: int = 0

    def __str__(self) -> str:
        lines = [f"{self.cell} runs on the CPU with {_NAMES[self.path]}."]
        if self.reason:
            lines.append(f"The engine cannot run it: {self.reason}")
        if self.verified:
            lines.append(self.verified)
        if not self.program:
            return "\n".join(lines)
        lines += ["", "THE PROGRAM", self.program]
        lines += ["", "LEFT THE TIME LOOP (one matmul for many steps)", *(self.hoisted or ["nothing"])]
        lines += ["", "MERGED (one matmul for several gates)", *(self.merged or ["nothing"])]
        lines += ["", "A STEP FORWARD", self.forward, "", "A STEP BACKWARD", self.backward, ""]
        lines.append(f"{self.saved:,} floats per step and sequence are saved for the backward pass.")
        share = 100 * self.in_loop / max(self.operations, 1)
        lines.append(f"{self.operations:,} operations per step and sequence, {share:.0f} % of them inside the loop.")
        return "\n".join(lines)


_NAMES = {"engine": "the engine", "torch": "torch.nn's kernel", "eager": "its equation, step by step"}


def explain(cell: Cell, constants: Widths | None = None) -> Explanation:
    """What the compiler makes of a cell's equation.

    Arguments:
        cell: any `Cell`; its parameters' values do not matter.
        constants: the width of each constant (N, width) that is passed, or (K, A) for a grid (N, K, A). None: H each.

    Raises:
        ValueError: ``cell`` is not a `Cell`, or it has another number of constants, or of other widths.

    >>> print(str(explain(unrolled.ElmanCell(4, 3))).splitlines()[4])
    program ElmanCell
    """
    check_cell("explain", "cell", cell)
    name = f"{type(cell).__name__}({cell.extra_repr()})"
    drawn = [c.shape[-1] for c in cell.draw_constants(1, torch.empty(1, cell.input_size))]
    count = len(cell.constants) - len(drawn)
    passed = [cell.hidden_size] * count if constants is None else list(constants)
    if len(passed) != count:
        raise ValueError(f"explain: constants must have {count} entries, one per constant passed, got {passed}")
    ready = prepared(cell, (*passed, *drawn))
    path = paths.usual(cell, (*passed, *drawn))
    if not isinstance(ready, Prepared):
        return Explanation(name, path, str(ready))
    reason = "" if native.available() else f"it was not built ({native.missing})"
    compiled = Compiled(ready.loop)
    first = projections(ready.loop)
    work = {op.out: _operations(op) for op in ready.loop.ops}
    before = sum(map(_operations, ready.hoisted.outer))
    inside = sum(n for out, n in work.items() if out not in {op.out for op in first})
    saving, states = compiled.saving, ready.loop.of_role("state")
    shapes = dict(ready.traced.program.parameters)

    def text(thing: object) -> str:
        return _readable(str(thing), shapes)

    return Explanation(
        name,
        path,
        reason,
        verify.what(cell, ready.verified),
        text(ready.traced.program),
        tuple(map(text, (*ready.hoisted.outer, *first))),
        tuple(text(op) for op in ready.loop.ops if op.kind == "linear" and op not in ready.hoisted.loop.ops),
        text(saving.plan),
        text(compiled.reverse.plan),
        saving.saved_width + sum(s.width for s in states),
        before + sum(work.values()),
        inside,
    )


def _operations(op: Op) -> int:
    if op.kind == "linear" and op.view is not None:
        return 2 * op.width * op.view.shape[1]
    return op.width if op.kind in ELEMENTWISE or op.kind in ("rowsum", "rowmax") else 0


def _readable(text: str, shapes: dict[str, tuple[int, ...]]) -> str:
    """Parts of parameters as one writes them: ``h.weight[0:128]`` rather than by offset and strides."""

    def part(match: re.Match[str]) -> str:
        view = View.parse(match.group())
        shape = shapes.get(view.parameter, ())
        turned = len(view.shape) == 2 and view.strides[0] == 1 and view.strides[1] != 1
        rows, strides = (view.shape[::-1], view.strides[::-1]) if turned else (view.shape, view.strides)
        wide = shape[-1] if len(shape) == 2 else 1
        if len(rows) == 1 and len(shape) == 2 and strides == (1,) and rows[0] == wide:
            return f"{view.parameter}[{view.offset // wide}]"
        if len(rows) != len(shape) or strides != ((wide, 1) if len(rows) == 2 else (1,)) or view.offset % wide:
            return match.group()
        first = view.offset // wide
        name = view.parameter if rows == shape else f"{view.parameter}[{first}:{first + rows[0]}]"
        return f"{name}^T" if turned else name

    return re.sub(r"@\S+", part, text)
