"""What holds for every plan: within a step, nothing is read before it is written."""

from __future__ import annotations

from unrolled.compiler.plan import Instruction, Operand, Plan

ROWS = ("rowsum", "rowmax", "normscale")
"""They read all units of a row."""
ONE = (("expand", 0), ("normalize", 1), ("dnormalize", 2))
"""Arguments of one column."""


def read_too_early(plan: Plan, given: tuple[str, ...]) -> list[str]:
    """What reads columns that the step writes only later, or, tile by tile, for other units at the same time.

    Arguments:
        given: the arrays that hold numbers before the step, or the beginnings of their names.
    """
    return _Order(plan, given).faults


class _Order:
    def __init__(self, plan: Plan, given: tuple[str, ...]) -> None:
        self.plan = plan
        self.faults: list[str] = []
        empty = (k for k, array in enumerate(plan.arrays) if not array.name.startswith(given))
        self.written: dict[int, set[int]] = {k: set() for k in empty}
        self.now: dict[tuple[int, int], int] = {}
        """Of each column that the phase writes, the column in which its first unit stands."""
        for product in plan.before:
            self._write(product.out, product.width)
        for phase in plan.phases:
            self.now = {}
            for instruction in phase.instructions:
                self._take(instruction)
        self.now = {}
        for product in plan.after:
            width = plan.packs[product.pack].shape[1] if product.pack >= 0 else product.width
            self._read(product.left, width, "a product after the steps")
        for outer in plan.outers:
            for operand, width in outer.sides:
                self._read(operand, width, f"the gradient of {outer.view}")

    def _take(self, i: Instruction) -> None:
        line = i.text(self.plan)
        for k, arg in enumerate(i.args):
            if i.kind == "gemm":
                self._read(arg, self.plan.packs[i.extra].shape[1], line, needs_all=True)
            elif i.kind in ROWS:
                self._read(arg, i.extra if k == 0 else 1, line, needs_all=not self.plan.whole)
            else:
                self._read(arg, 1 if (i.kind, k) in ONE else i.width, line)
        if i.kind != "colsum":
            self._write(i.out, i.width)

    def _write(self, out: Operand, width: int) -> None:
        if out.kind == "array" and out.place in self.written:
            columns = range(out.column, out.column + width)
            self.written[out.place].update(columns)
            self.now |= {(out.place, c): out.column for c in columns}

    def _read(self, arg: Operand, width: int, line: str, needs_all: bool = False) -> None:
        if arg.kind != "array" or arg.place not in self.written:
            return
        columns = range(arg.column, arg.column + width)
        now = [self.now[arg.place, c] for c in columns if (arg.place, c) in self.now]
        is_shifted = not self.plan.whole and any(first != arg.column for first in now)
        if not self.written[arg.place].issuperset(columns) or (needs_all and now) or is_shifted:
            self.faults.append(line)
