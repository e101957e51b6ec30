"""Cells kept as programs: an equation that is loaded without running anybody's code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unrolled.cells.cell import Cell
from unrolled.cells.gates import Gates
from unrolled.compiler import evaluate
from unrolled.compiler.program import Program, parse
from unrolled.compiler.trace import UnsupportedError
from unrolled.compiler.watching import clean, watched

_LARGEST = 1 << 31
"""Numbers in one tensor: beyond it a damaged file would ask for any memory."""
_DEEPEST = 100
"""Modules within modules: torch walks down them by recursion."""

Sizes = tuple[int, int]
"""Input width and hidden width of a cell."""


class SizesError(ValueError):
    """There is no program for a cell of these sizes."""


class StoredCell(Cell):
    """A cell whose equation is a program. Its subclasses are made by `stored_class`.

    Raises:
        SizesError: the sizes are none of those that were saved.
    """

    _program: Program
    _records: ClassVar[dict[Sizes, dict[str, Any]]] = {}

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        record = self._records.get((self.input_size, self.hidden_size))
        if record is None:
            known = ", ".join(f"({D}, {H})" for D, H in self._records)
            raise SizesError(
                f"{type(self).__name__}: saved for cells of sizes (input, hidden) {known}, "
                f"got ({input_size}, {hidden_size})"
            )
        self._program, self.stacked = record["program"], record["gates"]
        for name, shape in record["tensors"].items():
            _put(self, name, shape)

    @classmethod
    def numbers(cls) -> int:
        """How many numbers the tensors of one cell of each size have."""
        return sum(math.prod(shape) for record in cls._records.values() for shape in record["tensors"].values())

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        return {s.name: (s.width,) for s in self._program.of_role("state")}

    def step(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return self._run(x, state)[1]

    def read_step(
        self, x: Tensor, state: tuple[Tensor, ...], constants: tuple[Tensor, ...] = ()
    ) -> dict[str, Tensor]:
        values, new = self._run(x, state)
        named = {op.out.partition(".")[0]: values[op.out] for op in self._program.ops}
        named = {name: value for name, value in named.items() if name.isidentifier() and value.dim() == 2}
        return named | dict(zip(self.state, new, strict=True))

    def _run(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
        given = {i.name: value for i, value in zip(self._program.inputs, (x, *state), strict=True)}
        tensors = dict(self.named_parameters()) | dict(self.named_buffers())
        return evaluate.step(self._program, given, tensors)


def store(cells: Sequence[Cell]) -> dict[str, Any] | None:
    """The cells of a stack as what JSON can hold, one record for all of the same sizes; None if that is not enough.

    That is so where the compiler cannot take the equation, where states begin otherwise than at zero, where
    something is drawn or computed outside of ``step``, and where cells of the same sizes differ in more than their
    weights.
    """
    first = cells[0]
    records: dict[Sizes, dict[str, Any]] = {}
    for cell in cells:
        if type(cell) is not type(first) or (cell.keeps, cell.admits) != (first.keeps, first.admits):
            return None
        record = _record(cell)
        if record is None or record != records.setdefault((cell.input_size, cell.hidden_size), record):
            return None
    marks = {"keeps": first.keeps, "admits": first.admits}
    return {"cell": type(first).__name__, **marks, "records": list(records.values())}


def stored_class(content: Any) -> type[StoredCell]:
    """The class that `store` wrote down: to be made with ``(input_size, hidden_size)``, as any cell is.

    Raises:
        ValueError: the content is no such record, or a damaged one.

    >>> kept = store([unrolled.GRUCell(4, 3)])
    >>> cell = stored_class(kept)(4, 3)
    >>> sorted(cell.gates(torch.zeros(2, 4))), sorted(cell.state_dict())
    (['h', 'n', 'r', 'z'], ['h.weight', 'x.bias', 'x.weight'])
    """
    if not isinstance(content, dict):
        raise ValueError("it is not a table of names")
    name, kept = content.get("cell"), content.get("records")
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"cell is {name!r:.40}, expected a name")
    if not isinstance(kept, list) or not kept:
        raise ValueError("it has no records")
    marks = {mark: content.get(mark) for mark in ("keeps", "admits")}
    for mark, gate in marks.items():
        if not isinstance(gate, str | None):
            raise ValueError(f"{mark} is {gate!r:.40}, expected the name of a gate")
    records: dict[Sizes, dict[str, Any]] = {}
    for one in kept:
        sizes, record = _parsed(one)
        if sizes in records:
            raise ValueError(f"it has two records of the sizes {sizes}")
        records[sizes] = record
    states = {tuple(s.name for s in r["program"].of_role("state")) for r in records.values()}
    if len(states) != 1:
        raise ValueError("its records have different states")
    kind: type[StoredCell] = type(name, (StoredCell,), {"state": states.pop(), "_records": records, **marks})
    with torch.device("meta"):  # names and shapes are tried here, without the memory
        for sizes in records:
            kind(*sizes)
    return kind


def _record(cell: Cell) -> dict[str, Any] | None:
    kind = type(cell)
    plain = kind.initial_state is Cell.initial_state and kind.prepare is Cell.prepare and not cell.constants
    tensors = cell.state_dict()
    if not plain or not all(t.is_floating_point() for t in tensors.values()):
        return None
    training = cell.training
    try:
        traced, _ = clean(watched, cell.eval())
    finally:
        cell.train(training)
    if (
        isinstance(traced, UnsupportedError)
        or traced.derived
        or not {name for name, _ in traced.program.parameters} <= tensors.keys()
    ):
        return None
    shapes = {name: list(t.shape) for name, t in tensors.items()}
    sizes = {"input_size": cell.input_size, "hidden_size": cell.hidden_size}
    parts = ((f"{name}.weight", part) for name, part in cell.named_modules() if isinstance(part, Gates))
    gates = {name: len(part.names) for name, part in parts if name in shapes}
    return {**sizes, "tensors": shapes, "gates": gates, "program": traced.program.text.splitlines()}


def _parsed(one: Any) -> tuple[Sizes, dict[str, Any]]:
    """The sizes of one record, and its program and the shapes of its tensors; ValueError if something is wrong."""
    for part in ("input_size", "hidden_size", "program", "tensors", "gates"):
        if not isinstance(one, dict) or part not in one:
            raise ValueError(f"a record has no {part}")
    for part in ("input_size", "hidden_size"):
        if type(one[part]) is not int:
            raise ValueError(f"{part} is {one[part]!r:.40}, expected an integer")
    lines, shapes = one["program"], one["tensors"]
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ValueError("the program of a record is not a list of lines")
    if not isinstance(shapes, dict):
        raise ValueError("the tensors of a record have no names")
    for name, shape in shapes.items():
        if not isinstance(shape, list) or not all(type(n) is int for n in shape):
            raise ValueError(f"the shape of {name} is {shape!r:.40}, expected a list of integers")
    program = parse("\n".join(lines))
    first, *rest = program.inputs
    if first.role != "sequence" or {i.role for i in rest} != {"state"}:
        raise ValueError("its program does not take an input and the states")
    if first.width != one["input_size"]:
        raise ValueError(f"its program takes inputs of width {first.width}, but input_size is {one['input_size']}")
    for name, wanted in program.parameters:
        if name not in shapes:
            raise ValueError(f"its program uses {name}, which is not among its tensors")
        if tuple(shapes[name]) != wanted:
            raise ValueError(f"{name} has the shape {tuple(shapes[name])}, but {wanted} in its program")
    gates = one["gates"]
    if not isinstance(gates, dict):
        raise ValueError("the gates of a record have no names")
    for name, count in gates.items():
        if type(count) is not int or count < 1 or not shapes.get(name) or shapes[name][0] % count:
            raise ValueError(f"{name} cannot hold {count!r:.40} gates")
    tensors = {name: tuple(shape) for name, shape in shapes.items()}
    return (one["input_size"], one["hidden_size"]), {"program": program, "tensors": tensors, "gates": gates}


def _put(module: nn.Module, name: str, shape: tuple[int, ...]) -> None:
    """A parameter of that name, in modules of its own where the name has dots."""
    *path, last = name.split(".")
    if len(path) > _DEEPEST:
        raise ValueError(f"a tensor lies {len(path)} modules deep, more than {_DEEPEST}")
    size = 1
    for n in shape:
        size *= n
    if size > _LARGEST or min(shape, default=1) < 0:
        raise ValueError(f"the tensor {name} cannot have the shape {shape}")
    try:
        for part in path:
            if part not in module._modules:
                module.add_module(part, nn.Module())
            module = module._modules[part]  # type: ignore[assignment]
        module.register_parameter(last, nn.Parameter(torch.zeros(shape)))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{name} is not a valid tensor name") from error
