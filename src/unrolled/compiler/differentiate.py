"""Differentiating: the backward step of a program, as a program. Reverse mode, on the operations themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from unrolled.compiler.program import ELEMENTWISE, Arg, Input, Names, Op, Program, View
from unrolled.compiler.tidy import without_unused


@dataclass(frozen=True)
class Backward:
    """One step backward in time.

    ``program`` is given the old and new states, sequences and constants under their forward names, the
    ``saved`` values, and the gradient of each new state as ``d:`` and the state's name. Gradients of
    weights are not in it: they are one matmul for many steps, ``d view += d_out^T left``.
    """

    program: Program
    saved: tuple[str, ...]
    states: tuple[tuple[str, str], ...]
    """(state, gradient of the old state); a state that the step does not read has no gradient."""
    inputs: tuple[tuple[str, str], ...]
    """(sequence, constant or projection, its gradient)."""
    weights: tuple[tuple[View, str, str], ...]
    """(part of a parameter, what it multiplied, gradient of the product)."""
    rows: tuple[tuple[View, str], ...]
    """(part of a parameter, the gradient whose sum over steps and sequences is its gradient)."""

    def __str__(self) -> str:
        lines = [f"saved {' '.join(self.saved)}", *map(str, self.program.ops)]
        lines += [f"gradient {name} = {d}" for name, d in (*self.states, *self.inputs)]
        lines += [f"gradient {view} += {d}^T {left}" for view, left, d in self.weights]
        lines += [f"gradient {view} += sum {d}" for view, d in self.rows]
        return "\n".join(lines)


def differentiate(loop: Program, constants: bool = True) -> Backward:
    """The backward step of ``loop``.

    What it needs of the forward step is computed again where that takes only element-wise work on what is
    kept anyway, and saved otherwise.

    Arguments:
        loop: as `hoist` and `merge` leave it.
        constants: whether gradients of the constants are wanted.
    """
    tape = _Tape(loop, constants)
    for op in reversed(loop.ops):
        d = tape.gradient(op.out)
        if d is not None:
            tape.back(op, d)
    states = tuple((s.name, d) for s in loop.of_role("state") if (d := tape.gradient(s.name)) is not None)
    plain = [i.name for i in (*loop.of_role("sequence"), *loop.of_role("constant"))]
    inputs = tuple((name, d) for name in [*tape.projections, *plain] if (d := tape.gradient(name)) is not None)
    saved, again = _saved_and_recomputed(loop, tape.needed)
    outputs = [d for _, d in (*states, *inputs)]
    outputs += [v for _, left, d in tape.weights for v in (left, d)] + [d for _, d in tape.rows]
    given = [Input("gradient", f"d:{s.name}", s.width) for s in loop.of_role("state")]
    given += [Input("saved", v, loop.widths[v]) for v in saved]
    given += [Input("new", v, loop.widths[v]) for v in loop.outputs if v not in saved]
    program = Program(
        f"{loop.name} backward",
        loop.inputs + tuple(given),
        loop.parameters,
        tuple(again) + tuple(tape.ops),
        tuple(dict.fromkeys(outputs)),
    )
    return _shared(Backward(program, saved, states, inputs, tuple(tape.weights), tuple(tape.rows)))


class _Tape:
    """The backward operations while they are written."""

    def __init__(self, loop: Program, constants: bool) -> None:
        self.loop = loop
        self.ops: list[Op] = []
        self.needed: set[str] = set()
        self.weights: list[tuple[View, str, str]] = []
        self.rows: list[tuple[View, str]] = []
        self.projections: list[str] = []
        self._names = Names([*loop.widths, *(f"d:{s.name}" for s in loop.of_role("state"))])
        self._parts: dict[str, list[tuple[int, int, str]]] = {}
        self._made: dict[str, str | None] = {}
        self._wanted = _wanting(loop, constants)
        self._sequences = {i.name for i in loop.of_role("sequence")}
        for state, out in zip(loop.of_role("state"), loop.outputs, strict=True):
            self._add(out, f"d:{state.name}")

    def gradient(self, value: str) -> str | None:
        """The sum of what came back to ``value``; None if nothing did."""
        if value not in self._made:
            self._made[value] = self._sum(value) if value in self._wanted else None
        return self._made[value]

    def back(self, op: Op, d: str) -> None:
        """Send the gradient ``d`` of ``op`` to its arguments."""
        if op.kind == "linear":
            assert op.view is not None
            source = op.values[0]
            if source in self._sequences:
                self.projections.append(op.out)
                return
            self.needed.add(source)
            self.weights.append((op.view, source, d))
            if source in self._wanted:
                turned = replace(op.view, shape=op.view.shape[::-1], strides=op.view.strides[::-1])
                width = self.loop.widths[source]
                self._add(source, self._emit("linear", d, width=width, view=turned))
        elif op.kind == "row":
            assert op.view is not None
            self.rows.append((op.view, d))
        elif op.kind == "slice":
            self._add(op.values[0], d, op.start)
        elif op.kind == "cat":
            column = 0
            for part in op.values:
                width = self.loop.widths[part]
                if part in self._wanted:
                    self._add(part, self._emit("slice", d, width=width, start=column))
                column += width
        elif op.kind == "rowsum":
            self._add(op.values[0], self._emit("expand", d, width=self.loop.widths[op.values[0]]))
        elif op.kind == "expand":
            self._add(op.values[0], self._emit("rowsum", d, width=1))
        elif op.kind == "normalize":
            scale = self._forward(op.args[1])
            self._add(op.values[0], self._emit("dnormalize", d, self._forward(op.out), scale, width=op.width))
        elif op.kind in ELEMENTWISE:
            for k, a in enumerate(op.args):
                if isinstance(a, str) and a in self._wanted and (rule := _RULES.get((op.kind, k))):
                    self._add(a, rule(self, op, d))

    def _add(self, value: str, d: str, start: int = 0) -> None:
        width = next((op.width for op in reversed(self.ops) if op.out == d), self.loop.widths.get(value, 0))
        self._parts.setdefault(value, []).append((start, width, d))

    def _sum(self, value: str) -> str | None:
        parts = self._parts.get(value, [])
        width = self.loop.widths[value]
        whole = [d for start, w, d in parts if w == width]
        pieces = sorted(p for p in parts if p[1] != width)
        while pieces:  # disjoint pieces side by side, as often as it takes
            end, row, rest = 0, [], []
            for start, w, d in pieces:
                if start < end:
                    rest.append((start, w, d))
                    continue
                if start > end:
                    row.append(self._emit("number", 0.0, width=start - end))
                row.append(d)
                end = start + w
            if end < width:
                row.append(self._emit("number", 0.0, width=width - end))
            whole.append(self._emit("cat", *row, width=width))
            pieces = rest
        if not whole:
            return None
        total = whole[0]
        for d in whole[1:]:
            total = self._emit("add", total, d, width=width)
        return total

    def _emit(self, kind: str, *args: Arg, width: int, view: View | None = None, start: int = 0) -> str:
        out = self._names.fresh()
        self.ops.append(Op(out, width, kind, args, view, start))
        return out

    def _forward(self, value: Arg) -> Arg:
        """A forward value as an argument of a backward operation."""
        if isinstance(value, str):
            self.needed.add(value)
        return value

    # For the rules

    def ew(self, op: Op, kind: str, *args: Arg) -> str:
        return self._emit(kind, *args, width=op.width)

    def arg(self, op: Op, k: int) -> Arg:
        return self._forward(op.args[k])

    def value(self, op: Op) -> Arg:
        return self._forward(op.out)


_Rule = Callable[[_Tape, Op, str], str]


def _tie(t: _Tape, op: Op, d: str, mine: int) -> str:
    """minimum, maximum: the gradient goes to the chosen one, and in halves where both are equal."""
    a, b = t.arg(op, mine), t.arg(op, 1 - mine)
    chosen = t.ew(op, "gt", *((a, b) if op.kind == "maximum" else (b, a)))
    share_ = t.ew(op, "fma", t.ew(op, "eq", a, b), 0.5, chosen)
    return t.ew(op, "mul", d, share_)


def _power_base(t: _Tape, op: Op, d: str) -> str:
    """d b a^(b-1), and 0 where b is 0."""
    a, b = t.arg(op, 0), t.arg(op, 1)
    power = t.ew(op, "pow", a, t.ew(op, "sub", b, 1.0) if isinstance(b, str) else b - 1.0)
    inner = t.ew(op, "mul", d, t.ew(op, "mul", power, b))
    return t.ew(op, "where", t.ew(op, "eq", b, 0.0), 0.0, inner) if isinstance(b, str) else inner


def _power_exponent(t: _Tape, op: Op, d: str) -> str:
    """d a^b log a, and 0 where a is 0 and b is not negative."""
    a, b = t.arg(op, 0), t.arg(op, 1)
    base = a if isinstance(a, str) else t.ew(op, "copy", a)
    flat = t.ew(op, "mul", t.ew(op, "eq", base, 0.0), t.ew(op, "ge", b, 0.0))
    slope = t.ew(op, "mul", t.value(op), t.ew(op, "log", base))
    return t.ew(op, "mul", d, t.ew(op, "where", flat, 0.0, slope))


_RULES: dict[tuple[str, int], _Rule] = {
    ("copy", 0): lambda t, op, d: d,
    ("neg", 0): lambda t, op, d: t.ew(op, "neg", d),
    ("add", 0): lambda t, op, d: d,
    ("add", 1): lambda t, op, d: d,
    ("sub", 0): lambda t, op, d: d,
    ("sub", 1): lambda t, op, d: t.ew(op, "neg", d),
    ("mul", 0): lambda t, op, d: t.ew(op, "mul", d, t.arg(op, 1)),
    ("mul", 1): lambda t, op, d: t.ew(op, "mul", d, t.arg(op, 0)),
    ("div", 0): lambda t, op, d: t.ew(op, "div", d, t.arg(op, 1)),
    ("div", 1): lambda t, op, d: t.ew(op, "neg", t.ew(op, "mul", t.ew(op, "div", d, t.arg(op, 1)), t.value(op))),
    ("sigmoid", 0): lambda t, op, d: t.ew(op, "dsigmoid", d, t.value(op)),
    ("tanh", 0): lambda t, op, d: t.ew(op, "dtanh", d, t.value(op)),
    ("relu", 0): lambda t, op, d: t.ew(op, "where", t.ew(op, "ge", 0.0, t.value(op)), 0.0, d),
    ("exp", 0): lambda t, op, d: t.ew(op, "mul", d, t.value(op)),
    ("expm1", 0): lambda t, op, d: t.ew(op, "fma", d, t.value(op), d),
    ("log", 0): lambda t, op, d: t.ew(op, "div", d, t.arg(op, 0)),
    ("log1p", 0): lambda t, op, d: t.ew(op, "div", d, t.ew(op, "add", t.arg(op, 0), 1.0)),
    ("pow", 0): lambda t, op, d: _power_base(t, op, d),
    ("pow", 1): lambda t, op, d: _power_exponent(t, op, d),
    ("softplus", 0): lambda t, op, d: t.ew(op, "mul", d, t.ew(op, "sigmoid", t.arg(op, 0))),
    ("square", 0): lambda t, op, d: t.ew(op, "mul", d, t.ew(op, "mul", t.arg(op, 0), 2.0)),
    ("sqrt", 0): lambda t, op, d: t.ew(op, "div", t.ew(op, "mul", d, 0.5), t.value(op)),
    ("abs", 0): lambda t, op, d: t.ew(op, "mul", d, t.ew(op, "sign", t.arg(op, 0))),
    ("minimum", 0): lambda t, op, d: _tie(t, op, d, 0),
    ("minimum", 1): lambda t, op, d: _tie(t, op, d, 1),
    ("maximum", 0): lambda t, op, d: _tie(t, op, d, 0),
    ("maximum", 1): lambda t, op, d: _tie(t, op, d, 1),
    ("where", 1): lambda t, op, d: t.ew(op, "where", t.arg(op, 0), d, 0.0),
    ("where", 2): lambda t, op, d: t.ew(op, "where", t.arg(op, 0), 0.0, d),
}
"""(operation, which argument) -> the gradient that goes there. What has no rule passes none."""


def _wanting(loop: Program, constants: bool) -> set[str]:
    """The values through which a gradient has to pass."""
    wanting = {i.name for i in loop.inputs if i.role != "constant" or constants}
    flat = ("sign", "gt", "ge", "eq", "rowmax", "normscale")
    for op in loop.ops:
        if op.kind in ("row", "linear") or (op.kind not in flat and wanting & set(op.values)):
            wanting.add(op.out)  # a matrix wants a gradient, whatever it multiplies
    return wanting


def _saved_and_recomputed(loop: Program, needed: set[str]) -> tuple[tuple[str, ...], list[Op]]:
    """Of the forward values that are needed: those to save, and the operations that make the others again."""
    at_hand = {i.name for i in loop.inputs} | set(loop.outputs)
    cheap = {*ELEMENTWISE, "row", "number", "slice", "cat", "expand"}
    saved: list[str] = []
    obtainable = set(at_hand)
    for op in loop.ops:
        if op.out in obtainable:
            continue
        if op.kind in cheap and all(v in obtainable for v in op.values):
            obtainable.add(op.out)
        elif op.out in needed:
            saved.append(op.out)
            obtainable.add(op.out)
    again, wanted = [], {v for v in needed if v not in at_hand and v not in saved}
    for op in reversed(loop.ops):
        if op.out in wanted:
            again.append(op)
            wanted |= {v for v in op.values if v not in at_hand and v not in saved}
    return tuple(saved), again[::-1]


def _shared(backward: Backward) -> Backward:
    """Equal operations once, in the program and in what refers to it."""
    seen: dict[tuple, str] = {}
    same: dict[str, str] = {}
    ops = []
    for op in backward.program.ops:
        op = op.renamed(same)
        first = seen.setdefault(op.computed, op.out)
        if first == op.out:
            ops.append(op)
        else:
            same[op.out] = first

    def name(value: str) -> str:
        return same.get(value, value)

    outputs = tuple(dict.fromkeys(name(v) for v in backward.program.outputs))
    return replace(
        backward,
        program=without_unused(replace(backward.program, ops=tuple(ops), outputs=outputs)),
        states=tuple((s, name(d)) for s, d in backward.states),
        inputs=tuple((i, name(d)) for i, d in backward.inputs),
        weights=tuple((view, name(left), name(d)) for view, left, d in backward.weights),
        rows=tuple((view, name(d)) for view, d in backward.rows),
    )
