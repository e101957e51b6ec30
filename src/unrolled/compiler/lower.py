"""Lowering: a program with its values placed in arrays and scratch, as the plan that the engine runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from unrolled.compiler.builder import Builder
from unrolled.compiler.differentiate import Backward
from unrolled.compiler.fuse import fuse
from unrolled.compiler.hoist import projections
from unrolled.compiler.plan import Plan
from unrolled.compiler.program import Input, Names, Op, Program, View
from unrolled.compiler.schedule import FREE, levels
from unrolled.compiler.tidy import sink_slices

_UPSTREAM = "d:"
"""The gradient of the output of one step, among values; no state is called by an empty name."""


@dataclass(frozen=True)
class Forward:
    """The forward plan, and where it leaves what the backward step needs.

    The projections are in ``p``, the ``saved`` values with their columns in ``s``. Where ``in_place``,
    both are one array: each saved value takes the place of a projection that is not needed any more. Else a
    projection that is saved itself is in ``s`` alone.
    """

    plan: Plan
    projected_width: int
    saved: tuple[tuple[str, int], ...]
    saved_width: int
    in_place: bool


@dataclass(frozen=True)
class Reverse:
    """The backward plan, and ``sums``: the arrays whose sum is the gradient of part of a parameter."""

    plan: Plan
    sums: tuple[tuple[View, str], ...]


def lower_forward(loop: Program, saved: Sequence[str] = (), keep: str = "all") -> Forward:
    """The plan of the forward step of a merged loop, which keeps the values ``saved`` and all states.

    With ``keep`` "output" the first state alone is kept for all steps, with "nothing" none is.
    """
    first = projections(loop)
    rest = _split_linears(loop, first)
    outputs = dict(zip(loop.outputs, (f"new:{s.name}" for s in loop.of_role("state")), strict=True))
    kept = [*loop.outputs, *saved]
    ops = fuse(rest, set(kept))
    projected, width = _side_by_side([op.out for op in first], loop.widths)
    home = _input_homes(loop) | {value: ("p", start) for value, start in projected.items()}
    placed = {value: (name, 0) for value, name in outputs.items()}
    taken = _in_place(ops, saved, set(kept), home, loop.widths) if saved else None
    if taken is None:
        columns, saved_width = _side_by_side(saved, loop.widths)
        projected, width = _side_by_side([op.out for op in first if op.out not in columns], loop.widths)
        home |= {value: ("p", start) for value, start in projected.items()}
        home |= {op.out: ("s", columns[op.out]) for op in first if op.out in columns}
        placed |= {value: ("s", start) for value, start in columns.items() if value not in home}
    else:
        columns, saved_width = taken, width
        placed |= {value: ("p", start) for value, start in taken.items() if value not in home}
    passing = () if keep == "all" else loop.of_role("state")[keep == "output" :]
    modes = {s.name: ("parity", "other") for s in passing}
    builder = Builder(loop.name, ops, home, placed, _widths(loop), loop.widths, modes)
    builder.widths |= {"p": width, "s": saved_width} | {f"new:{s.name}": s.width for s in loop.of_role("state")}
    where = tuple((value, columns[value]) for value in saved)
    for op in first:
        builder.product("before", op, (f"sequence:{op.values[0]}", 0), home[op.out])
    return Forward(builder.plan(), width, where, saved_width if saved else 0, taken is not None)


def lower_backward(loop: Program, backward: Backward, forward: Forward) -> Reverse:
    """The plan of the backward step."""
    states = loop.of_role("state")
    ops = list(backward.program.ops)
    widths = dict(backward.program.widths)
    taken = Names(widths)
    first = states[0]
    d_first = f"d:{first.name}"
    ops.insert(0, Op(d_first, first.width, "add", (_UPSTREAM, f"carry:{first.name}")))
    zero = {s.name for s in states} - {name for name, _ in backward.states}
    returned = dict(backward.states)
    for name in zero:
        width = next(s.width for s in states if s.name == name)
        returned[name] = taken.fresh()
        ops.append(Op(returned[name], width, "number", (0.0,)))
    made = {op.out: op for op in ops}
    copied: dict[str, str] = {}

    def own(value: str, left: bool = False) -> str:
        """``value``, or a copy of it where it is only a view, or is gone after the step."""
        free = value in made and made[value].kind in FREE
        if not free and (value in made or left):
            return value
        if value not in copied:
            copied[value] = taken.fresh()
            ops.append(Op(copied[value], widths[value], "copy", (value,)))
        return copied[value]

    d_inputs = [(name, own(d)) for name, d in backward.inputs]
    d_weights = [(view, own(left, left=True), own(d)) for view, left, d in backward.weights]
    home = _input_homes(loop) | {value: ("s", column) for value, column in forward.saved}
    home |= {out: (f"new:{s.name}", 0) for out, s in zip(loop.outputs, states, strict=True) if out not in home}
    home |= {_UPSTREAM: ("dy", 0)} | {f"carry:{s.name}": (f"carry:{s.name}", 0) for s in states}
    home |= {f"d:{s.name}": (f"carry:{s.name}", 0) for s in states[1:]}
    outer = [d for _, d in d_inputs] + [d for _, _, d in d_weights]
    lefts = [left for _, left, _ in d_weights]
    summed = [d for _, d in backward.rows]
    kept = {*outer, *lefts, *summed, *returned.values()}
    pieces = {v for op in ops if op.kind == "cat" for v in op.values}
    fused = fuse(tuple(ops), kept | pieces)
    widths |= {op.out: op.width for op in fused}
    placed, copies = _place(fused, [*outer, *lefts], widths)
    constants = {i.name for i in loop.of_role("constant")}
    builder = Builder(backward.program.name, fused, home, placed, _widths(loop), widths)
    builder.widths |= copies | {"dy": first.width, "s": forward.saved_width}
    for s in states:
        builder.widths |= {f"carry:{s.name}": s.width, f"next:{s.name}": s.width, f"new:{s.name}": s.width}
        builder.also(returned[s.name], (f"next:{s.name}", 0))
    for name, d in d_inputs:
        if name in constants:
            builder.widths[f"total:{name}"] = widths[d]
            builder.accumulate(d, f"total:{name}")
    sums = []
    for k, (view, d) in enumerate(backward.rows):
        builder.widths[f"sum:{k}"] = view.shape[0]
        builder.sum(d, f"sum:{k}")
        sums.append((view, f"sum:{k}"))
    first_maps = {op.out: op for op in projections(loop)}
    done: set[str] = set()
    for name, d in d_inputs:
        if name in first_maps:
            op = first_maps[name]
            assert op.view is not None
            source = op.values[0]
            turned = replace(op, view=replace(op.view, shape=op.view.shape[::-1], strides=op.view.strides[::-1]))
            builder.widths |= {f"dx:{source}": loop.widths[source], f"sequence:{source}": loop.widths[source]}
            builder.product("after", turned, placed[d], (f"dx:{source}", 0), add=source in done)
            builder.outer(op.view, (f"sequence:{source}", 0), placed[d])
            done.add(source)
        elif name not in constants:
            builder.widths[f"dx:{name}"] = widths[d]
            builder.move(placed[d], (f"dx:{name}", 0), widths[d], add=name in done)
            done.add(name)
    for view, left, d in d_weights:
        builder.outer(view, placed.get(left) or home[left], placed[d])
    return Reverse(builder.plan(), tuple(sums))


def keep_gradients(reverse: Reverse) -> Reverse:
    """The same backward step, with the gradients of the states of every step kept, not of the last two alone."""
    kept = {"carry": "time", "next": "previous"}
    arrays = tuple(a._replace(mode=kept.get(a.name.partition(":")[0], a.mode)) for a in reverse.plan.arrays)
    return replace(reverse, plan=replace(reverse.plan, arrays=arrays))


def _split_linears(loop: Program, first: tuple[Op, ...]) -> tuple[Op, ...]:
    """The loop without its projections, and with merged maps gate by gate again: a tile holds one gate."""
    inputs = loop.inputs + tuple(Input("sequence", op.out, op.width) for op in first)
    return sink_slices(replace(loop, inputs=inputs, ops=tuple(op for op in loop.ops if op not in first))).ops


def _input_homes(loop: Program) -> dict[str, tuple[str, int]]:
    return {i.name: (f"{'old' if i.role == 'state' else i.role}:{i.name}", 0) for i in loop.inputs}


def _widths(loop: Program) -> dict[str, int]:
    return {f"{'old' if i.role == 'state' else i.role}:{i.name}": i.width for i in loop.inputs}


def _in_place(
    ops: Sequence[Op], saved: Sequence[str], kept: set[str], home: dict[str, tuple[str, int]], widths: dict[str, int]
) -> dict[str, int] | None:
    """For each saved value the columns of a projection that it may overwrite; None if that leaves gaps.

    The value must come from the projection's columns, which nobody may read after it.
    """
    if sum(widths[v] for v in saved) != sum(widths[v] for v, (array, _) in home.items() if array == "p"):
        return None
    made = {op.out: op for op in ops}

    def columns(value: str) -> tuple[int, int] | None:
        """Where a value lies in the projections' array; None for a value that is elsewhere."""
        op = made.get(value)
        start = op.start if op is not None and op.kind == "slice" else 0
        source = op.values[0] if op is not None and op.kind == "slice" else value
        array, column = home.get(source, ("", 0))
        width = op.width if op is not None else widths[value]  # slices are sunk into the loop after it has widths
        return (column + start, width) if array == "p" else None

    taken = {v: c for v in saved if (c := columns(v)) is not None}  # what is a projection itself stays where it is
    readers: dict[tuple[int, int], list[Op]] = {c: [] for c in taken.values()}
    for op in ops:
        for v in op.values:
            if op.kind != "slice" and (c := columns(v)) is not None:
                readers.setdefault(c, []).append(op)
    if not _apart(readers) or len(set(taken.values())) < len(taken):
        return None
    level = levels(ops, set(home), kept)
    order = {op.out: k for k, op in enumerate(ops)}
    for value in [v for v in saved if v not in taken]:
        for c, users in readers.items():
            if c in taken.values() or c[1] != widths[value] or len(users) != 1:
                continue
            user = users[0].out
            over = level[user] < level[value] or (level[user] == level[value] and users[0].kind != "linear")
            if order[user] <= order[value] and over:
                taken[value] = c
                break
    return {v: start for v, (start, _) in taken.items()} if len(taken) == len(saved) else None


def _apart(columns: Iterable[tuple[int, int]]) -> bool:
    """Whether no two stretches of columns, (start, width) each, overlap."""
    ordered = sorted(columns)
    return all(a + width <= b for (a, width), (b, _) in zip(ordered, ordered[1:], strict=False))


def _side_by_side(values: Sequence[str], widths: dict[str, int]) -> tuple[dict[str, int], int]:
    """The first column of each value in one array, and the array's width."""
    columns, width = {}, 0
    for value in values:
        columns[value] = width
        width += widths[value]
    return columns, width


def _place(
    ops: Sequence[Op], wanted: Sequence[str], widths: dict[str, int]
) -> tuple[dict[str, tuple[str, int]], dict[str, int]]:
    """Arrays ``b0``, ``b1``, ... for the values that leave a backward step or are multiplied by a matrix.

    The pieces of a ``cat`` stand side by side in one array, so that the cat itself is free.
    """
    made = {op.out: op for op in ops}
    for op in ops:
        if op.kind == "linear":
            wanted = [*wanted, op.values[0]]
    wanted = [v for v in dict.fromkeys(wanted) if v in made]
    placed: dict[str, tuple[str, int]] = {}
    sizes: dict[str, int] = {}
    for value in sorted(wanted, key=lambda v: -widths[v]):
        op = made[value]
        if value in placed:
            continue
        if op.kind == "cat":
            spots = [placed.get(v) for v in op.values]
            if None not in spots and _are_side_by_side(spots, [widths[v] for v in op.values]):
                placed[value] = spots[0]  # type: ignore[assignment]
                continue
        name = f"b{len(sizes)}"
        sizes[name] = widths[value]
        placed[value] = (name, 0)
        if op.kind == "cat":
            column = 0
            for v in op.values:
                if v in made and made[v].kind not in FREE:
                    placed.setdefault(v, (name, column))
                column += widths[v]
    return placed, sizes


def _are_side_by_side(spots: Sequence[tuple[str, int] | None], widths: Sequence[int]) -> bool:
    first = spots[0]
    assert first is not None
    column = first[1]
    for spot, width in zip(spots, widths, strict=True):
        if spot != (first[0], column):
            return False
        column += width
    return True
