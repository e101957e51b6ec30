"""Hoisting: what does not depend on a state leaves the time loop."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unrolled.compiler.program import Input, Names, Op, Program
from unrolled.compiler.tidy import without_unused

_CHEAP = ("add", "sub", "mul", "neg", "slice", "cat", "row", "number")


@dataclass(frozen=True)
class Hoisted:
    """A program in two parts.

    ``outer`` is computed by torch for all steps at once: ``values`` of it, (T, N, width) or (N, width),
    are inputs of ``loop``. The linear maps of sequences that ``loop`` begins with are projections: one
    matmul for many steps.
    """

    outer: tuple[Op, ...]
    values: tuple[str, ...]
    loop: Program

    def __str__(self) -> str:
        outer = [f"before {op}" for op in self.outer]
        return "\n".join([*outer, self.loop.text])


def hoist(program: Program) -> Hoisted:
    """Part ``program`` into what is computed for all steps at once, and the loop.

    A linear map of an input sequence stays in the loop's program as a projection, and so do sums and scales of
    one such value, since to add in passing costs nothing; whatever else depends on inputs and constants alone
    goes before.
    """
    program = _with_outputs_in_the_loop(program)
    level = _levels(program)
    level |= dict.fromkeys(program.outputs, "loop")
    made = program.by_name

    # Whether the loop computes a value that depends on no state: as much as one array to read allows.
    stays = {i.name: True for i in program.inputs}
    for op in program.ops:  # in order, not by recursion: an equation may have thousands of operations
        stays[op.out] = op.kind in ("row", "number") or (
            level[op.out] == "sequence"
            and (op.kind == "linear" or (op.kind in _CHEAP and sum(not stays[v] for v in op.values) <= 1))
        )

    inner: list[Op] = []
    needed = set(program.outputs)
    given: list[str] = []
    for op in reversed(program.ops):
        if op.out not in needed:
            continue
        if level[op.out] == "loop" or stays[op.out]:
            inner.append(op)
            needed |= set(op.values)
        else:
            given.append(op.out)
    # a projection reads an input sequence, or a value that is computed before
    inner.reverse()
    for op in inner:
        given += [v for v in op.values if v in made and level[v] != "loop" and not stays[v] and v not in given]
    given = list(dict.fromkeys(v for v in given if v in made))
    for op in list(inner):
        if op.kind == "linear" and level[op.out] == "sequence" and op.values[0] in made and op.values[0] not in given:
            given.append(op.values[0])
    inner = [op for op in inner if op.out not in given]
    inputs = program.inputs + tuple(Input(level[v], v, program.widths[v]) for v in given)
    loop = without_unused(replace(program, inputs=inputs, ops=tuple(inner)))
    used = {v for op in loop.ops for v in op.values} | set(loop.outputs)
    states = {s.name for s in program.of_role("state")}
    loop = replace(
        loop, inputs=tuple(i for i in inputs if i.name in used or i.name in states or i.name == inputs[0].name)
    )
    loop = _own_parameters(loop)
    values = tuple(v for v in given if v in used)
    outer = without_unused(replace(program, outputs=values)).ops
    return Hoisted(outer, values, loop)


def projections(loop: Program) -> tuple[Op, ...]:
    """The linear maps of sequences."""
    sequences = {i.name for i in loop.of_role("sequence")}
    return tuple(op for op in loop.ops if op.kind == "linear" and op.values[0] in sequences)


def _levels(program: Program) -> dict[str, str]:
    """What each value depends on: only ``constant``s, a ``sequence``, or a state: ``loop``."""
    order = ("constant", "sequence", "loop")
    level = {i.name: "loop" if i.role == "state" else i.role for i in program.inputs}
    for op in program.ops:
        level[op.out] = max((level[v] for v in op.values), key=order.index, default="constant")
    return level


def _with_outputs_in_the_loop(program: Program) -> Program:
    """A new state that depends on no state is copied in the loop from what is computed before."""
    level = _levels(program)
    names = Names(program.widths)
    renamed = {out: names.fresh() for out in program.outputs if level[out] != "loop"}
    ops = [replace(op.renamed(renamed), out=renamed.get(op.out, op.out)) for op in program.ops]
    ops += [Op(out, program.widths[out], "copy", (inner,)) for out, inner in renamed.items()]
    return replace(program, ops=tuple(ops))


def _own_parameters(program: Program) -> Program:
    used = {op.view.parameter for op in program.ops if op.view is not None}
    return replace(program, parameters=tuple(p for p in program.parameters if p[0] in used))
