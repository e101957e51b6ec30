"""The program of a cell: its equation as a list of operations, one value each.

A value is a matrix (N, width): a row for each sequence. Each operation makes one new value from values,
numbers and parts of parameters::

    program MinimalCell
    sequence x 4
    state h 3
    parameter x.weight 6 4
    ...
    %0 3 = linear x @x.weight+0:3x4:4,1
    f 3 = sigmoid %4
    return h'

The text is the program: `parse` reads what ``str`` writes. Names that the equation gives (of locals, states,
constants) are Python identifiers and stand as they are; whatever the compiler names itself holds a character
that no identifier can have: ``%0``, ``h'``, ``n.2``, ``d:h``. Parameters may have any name, and are quoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

Arg = str | float
_NUMERIC = "+-0123456789"
_SIGNS = " %@+:="


@dataclass(frozen=True)
class Kind:
    """An element-wise operation: how many arguments it has, and what torch computes for it."""

    arity: int
    torch: Callable[..., Tensor]


def _truth(compare: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def result(a: Tensor, b: Tensor) -> Tensor:
        return compare(a, b).to(a.dtype)

    return result


ELEMENTWISE: dict[str, Kind] = {
    "copy": Kind(1, lambda a: a.clone()),
    "neg": Kind(1, torch.neg),
    "add": Kind(2, torch.add),
    "sub": Kind(2, torch.sub),
    "mul": Kind(2, torch.mul),
    "div": Kind(2, torch.div),
    "sigmoid": Kind(1, torch.sigmoid),
    "tanh": Kind(1, torch.tanh),
    "relu": Kind(1, torch.relu),
    "exp": Kind(1, torch.exp),
    "expm1": Kind(1, torch.expm1),
    "log": Kind(1, torch.log),
    "log1p": Kind(1, torch.log1p),
    "pow": Kind(2, torch.pow),
    "softplus": Kind(1, torch.nn.functional.softplus),
    "square": Kind(1, torch.square),
    "sqrt": Kind(1, torch.sqrt),
    "abs": Kind(1, torch.abs),
    "sign": Kind(1, torch.sign),
    "minimum": Kind(2, torch.minimum),
    "maximum": Kind(2, torch.maximum),
    "gt": Kind(2, _truth(torch.gt)),
    "ge": Kind(2, _truth(torch.ge)),
    "eq": Kind(2, _truth(torch.eq)),
    "where": Kind(3, lambda a, b, c: torch.where(a != 0, b, c)),
    # derivatives, from the value y = f(a): d f'(a)
    "dsigmoid": Kind(2, lambda d, y: d * (y * (1 - y))),
    "dtanh": Kind(2, lambda d, y: d * (1 - y * y)),
    # what `fuse` makes of two
    "fma": Kind(3, lambda a, b, c: a * b + c),
    "add3": Kind(3, lambda a, b, c: a + b + c),
    "sigmoid_add": Kind(2, lambda a, b: torch.sigmoid(a + b)),
    "sigmoid_add3": Kind(3, lambda a, b, c: torch.sigmoid(a + b + c)),
    "tanh_add": Kind(2, lambda a, b: torch.tanh(a + b)),
    "tanh_add3": Kind(3, lambda a, b, c: torch.tanh(a + b + c)),
    "mul_tanh": Kind(2, lambda a, b: a * torch.tanh(b)),
    "dsigmoid_mul": Kind(3, lambda a, b, y: a * b * (y * (1 - y))),
    "dtanh_mul": Kind(3, lambda a, b, y: a * b * (1 - y * y)),
    "dtanh_add": Kind(3, lambda d, y, c: d * (1 - y * y) + c),
    "sub_mul": Kind(3, lambda a, b, c: a * (b - c)),
    "mul_complement": Kind(2, lambda a, b: a * (1 - b)),
    "lerp": Kind(3, lambda a, b, c: a * b + (1 - a) * c),
}
"""What is computed for each number on its own. Comparisons give 1 and 0; ``where`` takes b where a is not 0.
The engine's numbers for them are their places in this table."""

NORMS = ("layernorm", "normscale", "normalize", "dnormalize")
STRUCTURAL = ("linear", "row", "number", "slice", "cat", "rowsum", "rowmax", "expand", *NORMS)
"""linear: a W^T for a part of a parameter; row: part of a parameter, the same for all sequences; number: one
number everywhere; slice, cat: columns; rowsum, rowmax: (N, width) to (N, 1); expand: (N, 1) to (N, width).

layernorm a eps: (a - mean a) / sqrt(var a + eps) over the width; `split_norms` makes it
s = normscale a eps, which is 1 / sqrt(var a + eps), (N, 1); y = normalize a s, which is (a - mean a) s; and its
gradient is dnormalize d y s, which is s (d - mean d - y mean(d y)): that through s is in it."""


@dataclass(frozen=True)
class View:
    """A strided part of a parameter: (rows, columns) for ``linear``, (width,) for ``row``."""

    parameter: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, tensor: Tensor) -> Tensor:
        """The part, of a contiguous tensor; by slices where they can say it, which a trace understands."""
        numbers, offset = tensor.reshape(-1), self.offset
        if len(self.shape) == 1:
            (width,), (stride,) = self.shape, self.strides
            if stride == 0:
                return numbers[offset : offset + 1].expand(width)
            return numbers[offset : offset + (width - 1) * stride + 1 : stride]
        turned = -1 if self.strides[0] == 1 != self.strides[1] else 1
        (rows, columns), (step, apart) = self.shape[::turned], self.strides[::turned]
        first = offset % step if step else 0
        if apart == 1 and step and tensor.numel() % step == 0 and first + columns <= step:
            part = numbers.view(-1, step)[offset // step : offset // step + rows, first : first + columns]
            return part.t() if turned < 0 else part
        return tensor.as_strided(self.shape, self.strides, tensor.storage_offset() + offset)

    def part(self, start: int, stop: int, dim: int = 0) -> View:
        """Rows (or columns, with ``dim`` 1) ``start`` to ``stop``."""
        shape = tuple(stop - start if d == dim else n for d, n in enumerate(self.shape))
        return replace(self, offset=self.offset + start * self.strides[dim], shape=shape)

    def __str__(self) -> str:
        shape, strides = "x".join(map(str, self.shape)), ",".join(map(str, self.strides))
        return f"@{_quoted(self.parameter)}+{self.offset}:{shape}:{strides}"

    @classmethod
    def parse(cls, text: str) -> View:
        rest, strides = text.removeprefix("@").rsplit(":", 1)
        rest, shape = rest.rsplit(":", 1)
        name, offset = rest.rsplit("+", 1)
        return cls(
            _unquoted(name), int(offset), tuple(map(int, shape.split("x"))), tuple(map(int, strides.split(",")))
        )


@dataclass(frozen=True)
class Op:
    """``out = kind(args)``. ``start`` is the first column of a slice; ``view`` the parameter's part."""

    out: str
    width: int
    kind: str
    args: tuple[Arg, ...] = ()
    view: View | None = None
    start: int = 0

    @property
    def values(self) -> tuple[str, ...]:
        """The arguments that are values."""
        return tuple(a for a in self.args if isinstance(a, str))

    def renamed(self, names: dict[str, str]) -> Op:
        """The same with other arguments."""
        if not any(a in names for a in self.args):
            return self
        args = tuple(names.get(a, a) if isinstance(a, str) else a for a in self.args)
        return Op(self.out, self.width, self.kind, args, self.view, self.start)

    @property
    def computed(self) -> tuple:
        """What is computed, whatever it is called."""
        return self.width, self.kind, self.args, self.view, self.start

    def __str__(self) -> str:
        parts = [a if isinstance(a, str) else _number(a) for a in self.args]
        if self.view is not None:
            parts.append(str(self.view))
        if self.kind == "slice":
            parts.append(f"from {self.start}")
        return f"{self.out} {self.width} = {' '.join([self.kind, *parts])}"

    @classmethod
    def parse(cls, line: str) -> Op:
        left, right = line.split(" = ")
        out, width = left.split()
        words = right.split()
        kind, rest = words[0], words[1:]
        view, start = None, 0
        if rest and rest[-1].startswith("@"):
            view = View.parse(rest.pop())
        if kind == "slice":
            start = int(rest.pop())
            rest.pop()
        return cls(out, int(width), kind, tuple(_argument(word) for word in rest), view, start)


@dataclass(frozen=True)
class Input:
    """What the program is given: a sequence (T, N, width), a state or a constant (N, width)."""

    role: str
    name: str
    width: int


@dataclass(frozen=True)
class Program:
    """One time step: inputs, parameters, operations in order, and the new value of each state."""

    name: str
    inputs: tuple[Input, ...]
    parameters: tuple[tuple[str, tuple[int, ...]], ...]
    ops: tuple[Op, ...]
    outputs: tuple[str, ...]

    def of_role(self, role: str) -> tuple[Input, ...]:
        return tuple(i for i in self.inputs if i.role == role)

    @cached_property
    def by_name(self) -> dict[str, Op]:
        return {op.out: op for op in self.ops}

    @cached_property
    def widths(self) -> dict[str, int]:
        return {i.name: i.width for i in self.inputs} | {op.out: op.width for op in self.ops}

    @cached_property
    def text(self) -> str:
        lines = [f"program {_quoted(self.name)}"]
        lines += [f"{i.role} {i.name} {i.width}" for i in self.inputs]
        lines += [
            f"parameter {_quoted(name)} {' '.join(map(str, shape))}".rstrip() for name, shape in self.parameters
        ]
        lines += [str(op) for op in self.ops]
        lines.append(f"return {' '.join(self.outputs)}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text


def parse(text: str) -> Program:
    """The program that a text describes.

    Raises:
        ValueError: the text is no program; the line is named.
    """
    name, inputs, parameters, ops = "", [], [], []
    outputs: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            word, rest = line.split(" ", 1)
            if word == "program" and " = " not in line:
                name = _unquoted(rest)
            elif word in ("sequence", "state", "constant") and " = " not in line:
                what, width = rest.split()
                inputs.append(Input(word, what, int(width)))
            elif word == "parameter" and " = " not in line:
                what, *shape = rest.split()
                parameters.append((_unquoted(what), tuple(map(int, shape))))
            elif word == "return" and " = " not in line:
                outputs = tuple(rest.split())
            else:
                ops.append(Op.parse(line))
        except (ValueError, IndexError) as error:
            raise ValueError(f"program: line {number} is not valid: {line!r}") from error
    program = Program(name, tuple(inputs), tuple(parameters), tuple(ops), outputs)
    check(program)
    return program


def check(program: Program) -> None:
    """ValueError unless each value is made once and before its use, and widths and parameters fit."""
    widths = {i.name: i.width for i in program.inputs}
    sizes = {name: _product(shape) for name, shape in program.parameters}
    for op in program.ops:
        if op.kind not in ELEMENTWISE and op.kind not in STRUCTURAL:
            raise ValueError(f"program: unknown operation {op.kind!r}")
        if op.out in widths or op.width < 1:
            raise ValueError(f"program: {op.out} is defined twice, or has no width")
        for value in op.values:
            if value not in widths:
                raise ValueError(f"program: {op.out} uses {value} before its definition")
        if op.view is not None:
            _check_view(op.view, sizes)
        if not _fits(op, widths):
            raise ValueError(f"program: the arguments or widths of {op} do not match")
        widths[op.out] = op.width
    states = program.of_role("state")
    if not states:
        raise ValueError("program: it has no state")
    if len(states) != len(program.outputs):
        raise ValueError(f"program: it returns {len(program.outputs)} values for {len(states)} states")
    for state, out in zip(states, program.outputs, strict=True):
        if widths.get(out) != state.width:
            raise ValueError(f"program: it returns {out} for the state {state.name} of width {state.width}")


def _check_view(view: View, sizes: dict[str, int]) -> None:
    """ValueError unless the part of a parameter lies within it."""
    if view.parameter not in sizes:
        raise ValueError(f"program: it has no parameter {view.parameter}")
    if len(view.shape) != len(view.strides):
        raise ValueError(f"program: {view} has strides of other dimensions")
    last = view.offset + sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True))
    if min(view.offset, *view.strides) < 0 or last >= sizes[view.parameter]:
        raise ValueError(f"program: {view} does not lie within {view.parameter}")


def _fits(op: Op, widths: dict[str, int]) -> bool:
    given = [widths[v] for v in op.values]
    if op.view is not None:
        return op.view.shape == ((op.width, *given) if op.kind == "linear" else (op.width,))
    if op.kind in ELEMENTWISE:
        return len(op.args) == ELEMENTWISE[op.kind].arity and all(w == op.width for w in given)
    if op.kind == "slice":
        return len(given) == 1 and op.start >= 0 and op.start + op.width <= given[0]
    if op.kind == "cat":
        return sum(given) == op.width and len(given) == len(op.args)
    if op.kind in ("rowsum", "rowmax"):
        return len(given) == 1 and op.width == 1
    if op.kind in ("layernorm", "normscale"):
        values_then_number = [isinstance(a, str) for a in op.args] == [True, False]
        return values_then_number and op.width == (given[0] if op.kind == "layernorm" else 1)
    if op.kind in NORMS:
        widths_taken = {"normalize": [op.width, 1], "dnormalize": [op.width, op.width, 1]}[op.kind]
        return given == widths_taken and len(given) == len(op.args)
    if op.kind == "expand":
        return given == [1]
    return op.kind == "number" and len(op.args) == 1 and not given


def uses(ops: Iterable[Op]) -> dict[str, list[Op]]:
    """Which operations use each value."""
    found: dict[str, list[Op]] = {}
    for op in ops:
        for value in dict.fromkeys(op.values):
            found.setdefault(value, []).append(op)
    return found


class Names:
    """Fresh names beside those that are taken; those that nobody wished for begin with %."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._next = 0

    def fresh(self, wish: str | None = None) -> str:
        name = wish
        while name is None or name in self._taken:
            name = f"{wish}.{self._next}" if wish else f"%{self._next}"
            self._next += 1
        self._taken.add(name)
        return name


def _number(a: float) -> str:
    """A number as no identifier is written: ``inf`` and ``nan`` with a sign."""
    text = repr(float(a))
    return text if text[0] in _NUMERIC else f"+{text}"


def _argument(word: str) -> Arg:
    return float(word) if word[0] in _NUMERIC else word


def _quoted(name: str) -> str:
    """A parameter's name without blanks, and without the signs that mean something in a program."""
    return "".join(c if c.isprintable() and c not in _SIGNS else f"%{ord(c):x};" for c in name)


def _unquoted(text: str) -> str:
    return re.sub("%([0-9a-f]{1,6});", lambda found: chr(int(found[1], 16)), text)


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
