"""Scheduling: which operations of a step may run together, tile by tile."""

from __future__ import annotations

from collections.abc import Sequence

from unrolled.compiler.program import NORMS, Op, uses

FREE = ("slice", "row", "number")
"""What takes no work of its own: a view of something that is stored."""


def needs_whole_rows(ops: Sequence[Op], inputs: set[str]) -> bool:
    """Whether a step sums over units, or takes slices of what it computes."""
    stored = inputs | {op.out for op in ops if op.kind == "row"}
    made = {op.out: op for op in ops}
    for op in ops:
        if op.kind in ("rowsum", "rowmax", "expand", *NORMS):
            return True
        if op.kind == "slice" and op.values[0] not in stored:
            return True
        if op.kind not in ("linear", *FREE) and any(made[v].kind == "cat" for v in op.values if v in made):
            return True
    return False


def levels(ops: Sequence[Op], inputs: set[str], early: set[str]) -> dict[str, int]:
    """The level of each operation: a linear map of a value stands above the level that makes the value.

    An operation that only later levels use moves up to them, where that keeps its arguments in reach;
    those in ``early`` stay.
    """
    level: dict[str, int] = {}
    for op in ops:
        made = [level[v] for v in op.values if v not in inputs]
        if op.kind == "linear":
            level[op.out] = made[0] + 1 if made else 0
        else:
            level[op.out] = max(made, default=0)
    users = uses(ops)
    for op in reversed(ops):
        later = [level[u.out] for u in users.get(op.out, [])]
        at_hand = all(v in inputs for v in op.values)
        if op.kind == "linear" or op.out in early or not later or not (at_hand or op.kind in FREE):
            continue
        if not any(u.kind == "linear" for u in users[op.out]):
            level[op.out] = max(level[op.out], min(later))
    return level
