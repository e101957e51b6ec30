"""A plan: what the engine runs for one step, as tables of numbers. `lower` makes it; it prints as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from unrolled.compiler.program import ELEMENTWISE, View

MODES = ("time", "previous", "parity", "other", "fixed", "row", "sum")
"""How an array is addressed at step t, N rows each:

time      one slice a step (also blocks of steps)          previous  a state before the step
parity    two slices, t mod 2                              other     the other one of the two
fixed     the same at all steps                            row       one row for all sequences
sum       one row a thread, added to
"""

INSTRUCTIONS = (*ELEMENTWISE, "gemm", "rowsum", "rowmax", "expand", "colsum", "normscale", "normalize", "dnormalize")
"""What an instruction can be; its number in the engine is its place here."""


class Array(NamedTuple):
    """What a plan reads or writes; ``name`` says to the caller which tensor it is."""

    name: str
    mode: str
    width: int


class Operand(NamedTuple):
    """Where an operand lies: in an array from a column on, in a scratch slot, or a number."""

    kind: str
    place: int
    column: int = 0

    def text(self, plan: Plan) -> str:
        if self.kind == "array":
            array = plan.arrays[self.place]
            return f"{array.name}[{self.column}:]" if self.column else array.name
        if self.kind == "number":
            return str(plan.numbers[self.place])
        return f"s{self.place}" + (f"[{self.column}:]" if self.column else "")


class Instruction(NamedTuple):
    """``out = kind(args)`` on ``width`` units; ``sum`` also adds the columns of out to an array.

    ``extra`` is the matrix of a ``gemm``, and the width of what ``rowsum``, ``rowmax`` and ``normscale`` read.
    """

    kind: str
    width: int
    out: Operand
    args: tuple[Operand, ...]
    sum: Operand | None = None
    extra: int = 0

    def text(self, plan: Plan) -> str:
        words = [a.text(plan) for a in self.args]
        if self.kind == "gemm":
            words.append(str(plan.packs[self.extra]))
        line = f"{self.out.text(plan)} = {self.kind} {' '.join(words)}"
        return line + (f"; {self.sum.text(plan)} += columns" if self.sum else "")


@dataclass(frozen=True)
class Phase:
    """Instructions that may run tile by tile; what one needs of all units comes from an earlier phase."""

    width: int
    barrier: bool
    instructions: tuple[Instruction, ...]


class Product(NamedTuple):
    """``out (+)= left W^T`` for all rows of a block of steps at once, ``W`` the matrix number ``pack``.

    Without a matrix (-1) W is the identity. ``width`` are the columns of ``out``.
    """

    left: Operand
    out: Operand
    pack: int
    add: bool
    width: int


class Outer(NamedTuple):
    """``total += left^T right`` over all rows of a block of steps: the gradient of a matrix.

    ``view`` is the matrix W (units, depth), ``source`` what it was multiplied with, ``upstream`` the gradient
    of the product. The columns of ``right`` are those that lie side by side in the parameter.
    """

    view: View
    source: Operand
    upstream: Operand

    @property
    def sides(self) -> tuple[tuple[Operand, int], tuple[Operand, int]]:
        """Left and right, with their widths."""
        units, depth = (self.upstream, self.view.shape[0]), (self.source, self.view.shape[1])
        return (depth, units) if self._turned else (units, depth)

    @property
    def stride(self) -> int | None:
        """Elements between the total's rows in the parameter; None if its columns are not side by side there."""
        (_, rows), (_, width) = self.sides
        across, along = self.view.strides[::-1] if self._turned else self.view.strides
        if along != 1 or (across < width and rows > 1):
            return None
        return max(across, width)

    @property
    def _turned(self) -> bool:
        return self.view.strides[1] != 1 and self.view.strides[0] == 1


@dataclass(frozen=True)
class Plan:
    """One step: phases over tiles of rows and units.

    ``whole`` phases take all units of a row at once, since they sum over units. ``packs`` are the matrices
    that the engine keeps in the order in which it reads them, one for each ``gemm`` and product.
    ``before`` and ``after`` surround the steps of a block.
    """

    name: str
    arrays: tuple[Array, ...]
    phases: tuple[Phase, ...]
    numbers: tuple[float, ...]
    packs: tuple[View, ...]
    scratch: int
    whole: bool
    before: tuple[Product, ...] = ()
    after: tuple[Product, ...] = ()
    outers: tuple[Outer, ...] = ()

    def index(self, name: str) -> int:
        """The place of an array; -1 if the plan has none of that name."""
        return next((k for k, a in enumerate(self.arrays) if a.name == name), -1)

    def __str__(self) -> str:
        lines = [f"plan {self.name}: {self.scratch} scratch slots{', whole rows' if self.whole else ''}"]
        lines += [self._product(p) for p in self.before]
        for phase in self.phases:
            lines.append(f"phase of {phase.width} units{', after a barrier' if phase.barrier else ''}")
            lines += [f"  {i.text(self)}" for i in phase.instructions]
        lines += [self._product(p) for p in self.after]
        lines += [f"all steps: {o.view} += {o.upstream.text(self)}^T {o.source.text(self)}" for o in self.outers]
        return "\n".join(lines)

    def _product(self, p: Product) -> str:
        sign = "+=" if p.add else "="
        if p.pack < 0:
            return f"all steps: {p.out.text(self)} {sign} {p.left.text(self)}, {p.width} columns"
        return f"all steps: {p.out.text(self)} {sign} product {p.left.text(self)} {self.packs[p.pack]}"
