"""Tidying a program: each value made once, none unused, columns taken as early as possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from unrolled.compiler.program import ELEMENTWISE, Names, Op, Program, uses


def tidy(program: Program) -> Program:
    """The same function in fewer and smaller operations.

    A linear map of ``cat`` becomes a sum of linear maps; a slice of a value that is only ever sliced is
    computed for its columns alone; equal operations become one; what nobody uses goes.
    """
    before = None
    while before != program.ops:
        before = program.ops
        program = without_copies(share(split_cats(sink_slices(program))))
    return program


def rewrite(program: Program, rule: Callable[[Op, Names], list[Op] | str | None]) -> Program:
    """Each operation replaced by what ``rule`` makes of it.

    The rule gives new operations, the last of which makes the same value; or the name of a value that is
    the same; or None to keep the operation.
    """
    names = Names(program.widths)
    same: dict[str, str] = {}
    ops: list[Op] = []
    for op in program.ops:
        op = op.renamed(same)
        made = rule(op, names)
        if isinstance(made, str) and op.out not in program.outputs:
            same[op.out] = made
        elif made is None or isinstance(made, str):
            ops.append(op)
        else:
            new = [o.renamed(same) for o in made]  # written in terms of the program before
            ops += [*new[:-1], replace(new[-1], out=op.out)]
    return without_unused(replace(program, ops=tuple(ops)))


def without_unused(program: Program) -> Program:
    """Only the operations that the outputs need."""
    needed, kept = set(program.outputs), []
    for op in reversed(program.ops):
        if op.out in needed:
            kept.append(op)
            needed |= set(op.values)
    return replace(program, ops=tuple(reversed(kept)))


def share(program: Program) -> Program:
    """Equal operations on equal arguments once."""
    seen: dict[tuple, str] = {}

    def rule(op: Op, names: Names) -> str | None:
        first = seen.setdefault(op.computed, op.out)
        return first if first != op.out else None

    return rewrite(program, rule)


def without_copies(program: Program) -> Program:
    """Copies of computed values go: the value itself takes the name of the output."""
    made = program.by_name
    taken = set(program.outputs)
    renames: dict[str, str] = {}
    for op in program.ops:
        source = op.values[0] if op.kind == "copy" and op.values else ""
        own = source in made and made[source].kind not in ("row", "slice", "expand") and op.out in taken
        if own and source not in taken and source not in renames:
            renames[source] = op.out
    gone = set(renames.values())
    ops = [op for op in program.ops if op.out not in gone]
    ops = [replace(op.renamed(renames), out=renames.get(op.out, op.out)) for op in ops]
    program = replace(program, ops=tuple(ops))
    return rewrite(program, lambda op, names: op.values[0] if op.kind == "copy" and op.values else None)


def split_cats(program: Program) -> Program:
    """``linear(cat(a, b))`` is ``linear(a) + linear(b)``."""
    made = program.by_name

    def rule(op: Op, names: Names) -> list[Op] | None:
        source = made.get(op.values[0]) if op.kind == "linear" else None
        if source is None or source.kind != "cat" or op.view is None:
            return None
        new: list[Op] = []
        total, column = "", 0
        for part in source.values:
            width = program.widths[part]
            view = op.view.part(column, column + width, dim=1)
            new.append(Op(names.fresh(), op.width, "linear", (part,), view))
            column += width
            if total:
                new.append(Op(names.fresh(), op.width, "add", (total, new[-1].out)))
            total = new[-1].out
        return new

    return rewrite(program, rule)


def split_norms(program: Program) -> Program:
    """Each layer norm in two: what it divides by is kept for the gradient, one number a row."""

    def rule(op: Op, names: Names) -> list[Op] | None:
        if op.kind != "layernorm":
            return None
        a, eps = op.args
        scale = Op(names.fresh(), 1, "normscale", (a, eps))
        return [scale, replace(op, kind="normalize", args=(a, scale.out))]

    return rewrite(program, rule)


def sink_slices(program: Program) -> Program:
    """Slices move towards the inputs, through values of which only slices are used."""
    made, used = program.by_name, uses(program.ops)

    def only_sliced(value: str) -> bool:
        return value not in program.outputs and all(op.kind == "slice" for op in used[value])

    def rule(op: Op, names: Names) -> list[Op] | str | None:
        if op.kind != "slice":
            return None
        source = made.get(op.values[0])
        if op.start == 0 and op.width == program.widths.get(op.values[0], 0):
            return op.values[0]
        if source is None:
            return None
        return _sliced(op, source, program.widths, names, only_sliced(source.out))

    return rewrite(program, rule)


def _sliced(op: Op, source: Op, widths: dict[str, int], names: Names, alone: bool) -> list[Op] | None:
    """The slice ``op`` of ``source``, computed from the arguments of ``source``."""
    stop = op.start + op.width
    if source.kind == "slice":
        return [replace(op, args=source.args, start=op.start + source.start)]
    if source.kind in ("number", "expand"):
        return [replace(source, width=op.width)]
    if source.kind == "cat":
        parts, column = [], 0
        for part in source.values:
            width = widths[part]
            start, end = max(op.start - column, 0), min(stop - column, width)
            if start < end:
                parts.append(Op(names.fresh(), end - start, "slice", (part,), start=start))
            column += width
        return parts if len(parts) == 1 else [*parts, replace(op, kind="cat", args=tuple(p.out for p in parts))]
    if source.view is not None and (alone or source.kind == "row"):
        return [replace(source, width=op.width, view=source.view.part(op.start, stop))]
    if source.kind in ELEMENTWISE and alone:
        new, args = [], []
        for a in source.args:
            if isinstance(a, str):
                new.append(Op(names.fresh(), op.width, "slice", (a,), start=op.start))
                a = new[-1].out
            args.append(a)
        return [*new, replace(source, width=op.width, args=tuple(args))]
    return None
