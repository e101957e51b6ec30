"""Verification: a compiled cell against its equation, before the engine is trusted with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from unrolled.cells.cell import Cell
from unrolled.cells.reading import read_names
from unrolled.compiler import evaluate
from unrolled.compiler.masking import masked
from unrolled.compiler.traced import Traced, Widths
from unrolled.engine import eager, flags, fresh, padding
from unrolled.engine.recording import Record

MODES = ("first", "always", "off")
_TOLERANCE = 1e-6
"""Relative, in float64: numbers that the equation makes in torch's default float32 are right to 6e-8."""
_PERIOD = 4093
"""Random numbers of a parameter before they repeat: a prime, so that no two rows of a matrix are alike."""
_DRAWS = 3
"""A step or a comparison may flip by rounding in one draw; a fault shows in all of them."""
_known: dict[tuple[str, ...], str] = {}


class Compiled(Protocol):
    """What is verified: the program of a cell, and the engine's way to run it; `Prepared` says more."""

    traced: Traced
    text: str
    stays_finite: bool

    def run_on(
        self,
        named: dict[str, Tensor],
        record: Record | None,
        x: Tensor,
        state: tuple[Tensor, ...],
        initial: tuple[Tensor, ...],
        flags: Tensor | None,
        reverse: bool,
        constants: tuple[Tensor, ...],
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The outputs and final states, with these tensors as the program's parameters."""
        ...


def mode() -> str:
    """What ``UNROLLED_VERIFY`` asks for: ``first``, each cell that is not built in, once; ``always``, built-in ones
    too; ``off``.

    Raises:
        ValueError: it asks for something else.
    """
    wanted = os.environ.get("UNROLLED_VERIFY", "") or "first"
    if wanted not in MODES:
        raise ValueError(f"UNROLLED_VERIFY is {wanted!r}, expected one of {', '.join(MODES)}")
    return wanted


def built_in(cell: Cell) -> bool:
    """Whether the tests of this package hold the cell to its equation."""
    return all(type(m).__module__.startswith("unrolled.cells.") for m in cell.modules() if isinstance(m, Cell))


def wanted(cell: Cell) -> bool:
    """Whether the cell is verified when it is first compiled."""
    return mode() == "always" or (mode() == "first" and not built_in(cell))


def what(cell: Cell, verified: bool) -> str:
    """What the compiled cell was held to, as a sentence."""
    if verified:
        return "Verified against its equation in float64: all values, and the gradients of all inputs and parameters."
    if built_in(cell):
        return "Built in: verified by the tests of the package."
    return "Not verified against its equation (UNROLLED_VERIFY=off)."


def fault(cell: Cell, made: Compiled, constants: Widths) -> str:
    """The first value in which the engine and the equation differ, in words; empty if there is none.

    A few random steps in float64, in memory full of NaN, in both directions, with lengths and resets: values
    with and without gradients, and every gradient.
    """
    key = (made.traced.program.text, made.text, type(cell).__name__, str(made.traced.derived))
    if key not in _known:
        found = ""
        for seed in range(_DRAWS):
            found = _Draw(cell, made, constants, seed).fault()
            if not found:
                break
        _known[key] = found
    return _known[key]


@dataclass(frozen=True)
class _Call:
    """One call of the layer."""

    T: int
    N: int
    lengths: Tensor | None
    resets: Tensor | None
    reverse: bool


_CALLS = (
    _Call(2, 7, None, None, False),  # more rows than are multiplied without packing
    _Call(3, 4, torch.tensor([2, 3, 0, 1]), torch.arange(12).view(3, 4) % 5 == 4, True),
)


class _Draw:
    """A cell with random numbers near its own, in double precision."""

    def __init__(self, cell: Cell, made: Compiled, constants: Widths, seed: int) -> None:
        self.cell, self.made = cell, made
        self.random = torch.Generator().manual_seed(seed)
        own = dict(cell.named_parameters()) | dict(cell.named_buffers())
        self.learned = {name for name, p in own.items() if p.requires_grad}
        self.named = {name: self._near(p.detach()) if name in self.learned else _double(p) for name, p in own.items()}
        self.constants = constants

    def fault(self) -> str:
        """The first difference."""
        calls = (self._of_call(call) for call in _CALLS)
        return self._of_step() or next((found for found in calls if found), "")

    def _of_step(self) -> str:
        """The first value of one step that the program computes otherwise than the equation."""
        x, *rest = self._inputs(_CALLS[0])
        with masked(self.cell, self.named):
            equation = _reading(self.cell, x[0], *rest)
        named = self.made.traced.named(self.named)
        inputs = (i.name for i in self.made.traced.program.inputs)
        given = dict(zip(inputs, (x[0], *(t.flatten(1) for t in rest)), strict=True))
        values, new = evaluate.step(self.made.traced.program, given, named)
        # a local whose name an input has already is kept as that name, a dot and a number
        values = {op.out.partition(".")[0]: values[op.out] for op in self.made.traced.program.ops}
        values |= dict(zip(self.cell.state, new, strict=True))
        for name, value in equation.items():
            if name in values and isinstance(value, Tensor) and value.dim() and not _equal(values[name], value):
                return f"{name} differs from the equation{self._line(name)}"
        return ""

    def _of_call(self, call: _Call) -> str:
        x, *rest = (t.requires_grad_() for t in self._inputs(call))
        learned = {name: self.named[name].requires_grad_() for name in sorted(self.learned)}
        states, constants = tuple(rest[: len(self.cell.state)]), tuple(rest[len(self.cell.state) :])
        args = (x, states, constants, call)
        with masked(self.cell, self.named):
            right = self._labelled(_unrolled(self.cell, *args))
        with torch.no_grad(), fresh.poisoned():
            plain = self._labelled(self._by_engine(*args))
        with fresh.poisoned():
            ours = self._labelled(self._by_engine(*args))
            for made in (plain, ours):
                for label, value in right.items():
                    if not _equal(made[label], value):
                        return f"{label} differs from the equation{self._line(label)}"
            upstream = {label: self._normal(value.shape) for label, value in right.items()}
            of = dict(zip(("x", *self.cell.state, *self.cell.constants), (x, *rest), strict=True)) | learned
            given = _gradients(ours, of, upstream)
        for label, wanted in _gradients(right, of, upstream).items():
            if not _equal(given[label], wanted):
                return f"the gradient of {label} differs from the equation"
        return ""

    def _by_engine(self, x: Tensor, state: tuple, constants: tuple, call: _Call) -> tuple[Tensor, tuple]:
        marks = flags.flags(call.T, call.N, call.lengths, call.resets, call.reverse)
        with masked(self.cell, self.named):
            initial = self.cell.initial_state(call.N, like=x) if call.resets is not None else ()
        named = self.made.traced.named(self.named)
        others = (*named.values(), *initial) if self.made.stays_finite else None
        filled = padding.filled(x, state, constants, call.lengths, call.reverse, others)
        output, last = self.made.run_on(
            named, None, filled.x, filled.state, initial, marks, call.reverse, filled.constants
        )
        return output, filled.last(last)

    def _labelled(self, made: tuple[Tensor, tuple]) -> dict[str, Tensor]:
        output, last = made
        return {self.cell.state[0]: output} | {f"the last {s}": a for s, a in zip(self.cell.state, last, strict=True)}

    def _inputs(self, call: _Call) -> Iterator[Tensor]:
        """x, the states and the constants."""
        yield self._normal((call.T, call.N, self.cell.input_size))
        like = torch.empty(0, dtype=torch.float64)
        for s in self.cell.initial_state(call.N, like=like):
            yield s.detach() + 0.5 * self._normal(s.shape)
        for size in self.constants:
            yield self._normal((call.N, *(size if isinstance(size, tuple) else (size,))))

    def _near(self, p: Tensor) -> Tensor:
        p = p.to("cpu", torch.float64)
        factor, summand = (
            noise.repeat(1 + p.numel() // _PERIOD)[: p.numel()].view(p.shape)
            for noise in (1 + 0.1 * self._normal((_PERIOD,)), 0.02 * self._normal((_PERIOD,)))
        )
        return torch.addcmul(summand, p, factor)

    def _normal(self, shape: Any) -> Tensor:
        return torch.randn(tuple(shape), generator=self.random, dtype=torch.float64)

    def _line(self, name: str) -> str:
        where = self.made.traced.lines.get(name) or self.made.traced.lines.get(f"{name.removeprefix('the last ')}'")
        return f" ({where})" if where else ""


def _unrolled(cell: Cell, x: Tensor, state: tuple, constants: tuple, call: _Call) -> Any:
    """The equation, step by step."""
    return eager.scan(cell, x, state, call.lengths, call.resets, call.reverse, constants)


def _reading(cell: Cell, *args: Tensor) -> dict[str, Any]:
    """The names of one step."""
    names, new = read_names(cell.step, *args, equation=cell.equation)
    states = cell.checked(new, args[1 : 1 + len(cell.state)])
    return names | dict(zip(cell.state, states, strict=True))


def _double(p: Tensor) -> Tensor:
    return p.detach().to("cpu", torch.float64 if p.is_floating_point() else p.dtype)


def _gradients(made: dict[str, Tensor], of: dict[str, Tensor], upstream: dict[str, Tensor]) -> dict[str, Tensor]:
    outputs = [(a, upstream[label]) for label, a in made.items() if a.requires_grad]
    if not outputs:
        return {label: torch.zeros_like(t) for label, t in of.items()}
    values, given = zip(*outputs, strict=True)
    found = torch.autograd.grad(values, list(of.values()), given, allow_unused=True)
    return {label: torch.zeros_like(t) if d is None else d for (label, t), d in zip(of.items(), found, strict=True)}


def _equal(a: Tensor, b: Tensor) -> bool:
    """Equal up to rounding, of the largest number in either; where one is not finite, the other is the same."""
    a, b = torch.broadcast_tensors(a.detach().double(), b.detach().double())
    if not b.numel() or float((a - b).abs_().max()) <= _TOLERANCE:  # never of NaN
        return True
    finite = a.isfinite() & b.isfinite()
    scale = max(1.0, float(torch.where(finite, b, 0.0).abs().max()))
    return torch.allclose(a, b, rtol=0.0, atol=_TOLERANCE * scale, equal_nan=True)
