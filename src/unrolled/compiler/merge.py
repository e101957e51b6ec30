"""Merging: linear maps of the same value by neighbouring rows of one parameter become one map."""

from __future__ import annotations

from dataclasses import replace

from unrolled.compiler.program import Names, Op, Program, View


def merge(program: Program) -> Program:
    """One matmul for all gates that see the same value; each gate is then a slice of its result."""
    groups: dict[tuple, list[Op]] = {}
    for op in program.ops:
        if op.kind == "linear" and op.view is not None:
            groups.setdefault((op.args, op.view.parameter, op.view.strides, op.view.shape[1]), []).append(op)
    names = Names(program.widths)
    first: dict[str, Op] = {}
    part: dict[str, Op] = {}
    for group in groups.values():
        for run in _runs(group):
            whole, starts = _joined(run, names)
            first[min(run, key=program.ops.index).out] = whole
            for op in run:
                part[op.out] = Op(op.out, op.width, "slice", (whole.out,), start=starts[op.out])
    ops: list[Op] = []
    for op in program.ops:
        if op.out in first:
            ops.append(first[op.out])
        ops.append(part.get(op.out, op))
    return replace(program, ops=tuple(ops))


def _runs(group: list[Op]) -> list[list[Op]]:
    """Stretches of at least two whose rows lie one behind the other."""
    runs: list[list[Op]] = []
    end = None
    for op in sorted(group, key=lambda op: _view(op).offset):
        view = _view(op)
        if view.offset == end:
            runs[-1].append(op)
        else:
            runs.append([op])
        end = view.offset + view.shape[0] * view.strides[0]
    return [run for run in runs if len(run) > 1]


def _joined(run: list[Op], names: Names) -> tuple[Op, dict[str, int]]:
    starts, width = {}, 0
    for op in run:
        starts[op.out] = width
        width += op.width
    view = _view(run[0])
    whole = replace(view, shape=(width, view.shape[1]))
    return Op(names.fresh(), width, "linear", run[0].args, whole), starts


def _view(op: Op) -> View:
    assert op.view is not None
    return op.view
