"""Building a plan: operations whose values have places become instructions, phase by phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from unrolled.compiler.plan import Array, Instruction, Operand, Outer, Phase, Plan, Product
from unrolled.compiler.program import ELEMENTWISE, NORMS, Arg, Op, View
from unrolled.compiler.schedule import FREE, levels, needs_whole_rows

_MODE = {
    "old": "previous",
    "carry": "parity",
    "next": "other",
    "temp": "parity",
    "constant": "fixed",
    "total": "fixed",
    "row": "row",
    "sum": "sum",
}


@dataclass
class Builder:
    """Turns operations into instructions, phase by phase.

    ``home`` says where the values lie that are given, ``placed`` where those have to go that must lie somewhere;
    ``widths`` are the arrays', ``value_widths`` those of the values that are given.
    """

    name: str
    ops: Sequence[Op]
    home: dict[str, tuple[str, int]]
    placed: dict[str, tuple[str, int]]
    widths: dict[str, int]
    value_widths: dict[str, int]
    modes: dict[str, tuple[str, str]] = field(default_factory=dict)
    arrays: list[Array] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    packs: list[View] = field(default_factory=list)
    products: dict[str, list[Product]] = field(default_factory=lambda: {"before": [], "after": []})
    outers: list[Outer] = field(default_factory=list)
    _also: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    _accumulate: dict[str, list[str]] = field(default_factory=dict)
    _sums: dict[str, list[str]] = field(default_factory=dict)
    _slots: dict[str, int] = field(default_factory=dict)
    _scratch: int = 0

    def also(self, value: str, place: tuple[str, int]) -> None:
        """``value`` has to stand at ``place`` too."""
        self._also.setdefault(value, []).append(place)

    def accumulate(self, value: str, array: str) -> None:
        self._accumulate.setdefault(value, []).append(array)

    def sum(self, value: str, array: str) -> None:
        self._sums.setdefault(value, []).append(array)

    def product(self, when: str, op: Op, left: tuple[str, int], out: tuple[str, int], add: bool = False) -> None:
        """A linear map of an array for all steps of a block."""
        assert op.view is not None
        self.packs.append(op.view)
        made = Product(self._array(*left), self._array(*out), len(self.packs) - 1, add, op.view.shape[0])
        self.products[when].append(made)

    def move(self, left: tuple[str, int], out: tuple[str, int], width: int, add: bool = False) -> None:
        """Columns of an array as they are, for all steps of a block, after these."""
        self.products["after"].append(Product(self._array(*left), self._array(*out), -1, add, width))

    def outer(self, view: View, source: tuple[str, int], upstream: tuple[str, int]) -> None:
        """The gradient of a matrix, over all steps of a block."""
        self.outers.append(Outer(view, self._array(*source), self._array(*upstream)))

    def plan(self) -> Plan:
        self._inputs = set(self.home)
        self.made = {op.out: op for op in self.ops}
        self.whole = needs_whole_rows(self.ops, self._inputs)
        early = set(self.placed) | set(self._also) | set(self._sums) | set(self._accumulate)
        level = levels(self.ops, self._inputs, early)
        groups: dict[tuple[int, int], list[Op]] = {}
        for op in self.ops:
            if op.kind not in FREE or op.out in early:
                key = (level[op.out], 0 if self.whole else op.width)
                groups.setdefault(key, []).append(op)
        self._find_homes(groups)
        leaving = [v for v in (*self._also, *self._sums, *self._accumulate) if v in self._inputs]
        lists = [self._phase(groups[key]) for key in sorted(groups)]
        lists.append(self._leaving(leaving))
        phases = [phase for instructions in lists for phase in self._phases(instructions)]
        even = len({p.width for p in phases}) == 1
        phases = [replace(p, barrier=p.barrier or not even) for p in phases]
        arrays, numbers, packs = tuple(self.arrays), tuple(self.numbers), tuple(self.packs)
        before, after = tuple(self.products["before"]), tuple(self.products["after"])
        outers = tuple(self.outers)
        return Plan(
            self.name, arrays, tuple(phases), numbers, packs, self._scratch, self.whole, before, after, outers
        )

    def _phases(self, instructions: list[Instruction]) -> list[Phase]:
        """One phase, or one for each width where the phase is tiled: pieces are copied before their whole is read."""
        widths = [0] if self.whole and instructions else sorted({i.width for i in instructions})
        phases = []
        for width in widths:
            chosen = tuple(i for i in instructions if width in (0, i.width))
            gemm = any(i.kind == "gemm" for i in chosen)
            phases.append(Phase(max(i.width for i in chosen), gemm, chosen))
        return phases

    def _find_homes(self, groups: dict[tuple[int, int], list[Op]]) -> None:
        """An array for each value that must outlive its phase, or is multiplied by a matrix."""
        group_of = {op.out: key for key, ops in groups.items() for op in ops}
        apart: set[str] = set()
        for key, ops in groups.items():
            for op in ops:
                roots = [self._root(v) for v in op.values]
                apart |= {v for v in roots if op.kind == "linear" or group_of.get(v, key) != key}
        for value, place in self.placed.items():
            self.home[value] = place
        for op in self.ops:
            if op.out in self.home or op.kind in FREE:
                continue
            also = self._also.get(op.out)
            if also:
                self.home[op.out] = also.pop(0)
            elif op.out in apart:
                self.home[op.out] = (f"temp:{op.out}", 0)
                self.widths[f"temp:{op.out}"] = op.width

    def _root(self, value: str) -> str:
        """The value that is stored where ``value`` is read: the same, or what it is a slice of."""
        op = self.made.get(value)
        while op is not None and op.kind == "slice":
            value = op.values[0]
            op = self.made.get(value)
        return value

    def _phase(self, ops: list[Op]) -> list[Instruction]:
        instructions: list[Instruction] = []
        last = self._last_uses(ops)
        busy: dict[str, int] = {}
        free: list[int] = []
        self._slots = busy
        for k, op in enumerate(ops):
            args = tuple(self._operand(a, op.width) for a in op.args if op.kind != "number")
            crosses = op.kind in ("rowsum", "rowmax", "expand", "linear", "cat", *NORMS)
            shifted = crosses or op.start or any(a.column for a in args)
            ended = [v for v in list(busy) if last.get(v, -1) <= k]
            if not shifted:
                free += [busy.pop(v) for v in ended]
            out = self._out(op, busy, free)
            if shifted:
                free += [busy.pop(v) for v in ended]
            instructions += self._instructions(op, out, args)
            if op.out in busy and last.get(op.out, -1) <= k:
                free.append(busy.pop(op.out))
        return instructions

    def _instructions(self, op: Op, out: Operand, args: tuple[Operand, ...]) -> list[Instruction]:
        made: list[Instruction] = []
        if op.kind == "linear":
            assert op.view is not None
            self.packs.append(op.view)
            made.append(Instruction("gemm", op.width, out, args, extra=len(self.packs) - 1))
        elif op.kind == "number":
            made.append(Instruction("copy", op.width, out, (self._number(op.args[0]),)))
        elif op.kind in ("row", "slice"):
            source = self._alias(op.out) if op.kind == "row" else self._sliced(args[0], op.start)
            made += [Instruction("copy", op.width, out, (source,))] if source != out else []
        elif op.kind == "cat":
            column = 0
            array, start = self.home.get(op.out, ("", 0))
            for v, source in zip(op.values, args, strict=True):
                width = self._width(v)
                if not array or self.home.get(v) != (array, start + column):
                    target = out._replace(column=out.column + column)
                    made.append(Instruction("copy", width, target, (source,)))
                column += width
        else:
            extra = self._width(op.values[0]) if op.kind in ("rowsum", "rowmax", "normscale") else 0
            made.append(Instruction(op.kind, op.width, out, args, extra=extra))
        made += self._extras(op.out, op.width, out)
        sums = self._sums.get(op.out, [])
        if sums and op.kind in ELEMENTWISE:
            made[0] = made[0]._replace(sum=self._array(sums[0]))
            sums = sums[1:]
        made += [Instruction("colsum", op.width, self._array(s), (out,)) for s in sums]
        return made

    def _extras(self, value: str, width: int, source: Operand) -> list[Instruction]:
        made = [Instruction("copy", width, self._array(*place), (source,)) for place in self._also.get(value, [])]
        for name in self._accumulate.get(value, []):
            total = self._array(name)
            made.append(Instruction("add", width, total, (total, source)))
        return made

    def _leaving(self, values: list[str]) -> list[Instruction]:
        """Inputs that leave as they are."""
        made: list[Instruction] = []
        for value in dict.fromkeys(values):
            width = self._width(value)
            source = self._array(*self.home[value])
            made += self._extras(value, width, source)
            made += [Instruction("colsum", width, self._array(s), (source,)) for s in self._sums.get(value, [])]
        return made

    def _last_uses(self, ops: list[Op]) -> dict[str, int]:
        """The last place in the phase where each scratch value is read, through free operations too."""
        last: dict[str, int] = {}

        def mark(value: str, k: int) -> None:
            last[value] = k
            source = self.made.get(value)
            if source is not None and source.kind in FREE:
                for v in source.values:
                    mark(v, k)

        for k, op in enumerate(ops):
            for v in op.values:
                mark(v, k)
        return last

    def _out(self, op: Op, busy: dict[str, int], free: list[int]) -> Operand:
        if op.out in self.home:
            return self._array(*self.home[op.out])
        if free:
            busy[op.out] = free.pop()
        else:
            busy[op.out] = self._scratch_slot(busy, free)
        return Operand("scratch", busy[op.out])

    def _scratch_slot(self, busy: dict[str, int], free: list[int]) -> int:
        used = {*busy.values(), *free}
        slot = next(k for k in range(len(used) + 1) if k not in used)
        self._scratch = max(self._scratch, slot + 1)
        return slot

    def _operand(self, a: Arg, width: int) -> Operand:
        if not isinstance(a, str):
            return self._number(a)
        if a in self._slots:
            return Operand("scratch", self._slots[a])
        return self._alias(a)

    def _alias(self, value: str) -> Operand:
        """Where a value stands that is an input, has an array, or is a free view of one that has."""
        op = self.made.get(value)
        if value in self.home and (op is None or op.kind not in ("row", "number", "slice")):
            return self._array(*self.home[value])
        assert op is not None, value
        if op.kind == "slice":
            return self._sliced(self._operand(op.values[0], op.width), op.start)
        if op.kind == "number":
            return self._number(op.args[0])
        assert op.kind == "row" and op.view is not None, op
        name = f"row:{op.view}"
        self.widths[name] = op.width
        return self._array(name)

    @staticmethod
    def _sliced(source: Operand, start: int) -> Operand:
        return source if source.kind == "number" else source._replace(column=source.column + start)

    def _number(self, a: Arg) -> Operand:
        value = float(a)
        if value not in self.numbers:
            self.numbers.append(value)
        return Operand("number", self.numbers.index(value))

    def _array(self, name: str, column: int = 0) -> Operand:
        index = next((k for k, a in enumerate(self.arrays) if a.name == name), -1)
        if index < 0:
            role, _, rest = name.partition(":")
            mode = _MODE.get(role, "time")
            if rest in self.modes and role in ("old", "new"):
                mode = self.modes[rest][role == "new"]
            index = len(self.arrays)
            self.arrays.append(Array(name, mode, self.widths[name]))
        return Operand("array", index, column)

    def _width(self, value: str) -> int:
        op = self.made.get(value)
        return op.width if op is not None else self.value_widths[value]
