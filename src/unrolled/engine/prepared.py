"""A cell made ready for the engine: traced once, its parameters found again at every call."""

from __future__ import annotations

import warnings
import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.cells.cell import Cell
from unrolled.compiler import evaluate
from unrolled.compiler.growth import stays_finite
from unrolled.compiler.hoist import Hoisted, hoist
from unrolled.compiler.merge import merge
from unrolled.compiler.reads import MEMORY, Reads
from unrolled.compiler.tidy import split_norms
from unrolled.compiler.traced import Traced, UnsupportedError, Widths
from unrolled.compiler.watching import clean, watched
from unrolled.engine import fresh, ops, recording, verify


class Prepared:
    """What the engine needs of one cell: the program of its loop, and how to get its inputs."""

    def __init__(self, cell: Cell, traced: Traced) -> None:
        self.traced = traced
        self.verified = False
        # looking at weights that are computed would mean to compute them once more
        self.stays_finite = not traced.derived and stays_finite(traced.program)
        self.hoisted: Hoisted = hoist(self.traced.program)
        self.loop = merge(split_norms(self.hoisted.loop))
        self.text = self.loop.text
        self._outer_parameters = [name for name, _ in self.traced.program.parameters]
        self._loop_parameters = [name for name, _ in self.loop.parameters]
        self._places = [] if self.traced.derived else [_place_of(cell, name) for name in self._outer_parameters]

    def run(
        self,
        cell: Cell,
        x: Tensor,
        state: tuple[Tensor, ...],
        initial: tuple[Tensor, ...],
        flags: Tensor | None,
        reverse: bool,
        constants: tuple[Tensor, ...],
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The outputs and final states; ``initial`` are the states after a reset, or nothing."""
        return self.run_on(self.named(cell), recording.opened(cell), x, state, initial, flags, reverse, constants)

    def run_on(
        self,
        named: dict[str, Tensor],
        record: recording.Record | None,
        x: Tensor,
        state: tuple[Tensor, ...],
        initial: tuple[Tensor, ...],
        flags: Tensor | None,
        reverse: bool,
        constants: tuple[Tensor, ...],
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """As `run`, with the tensors of the program's parameters by name, and what the backward scan records."""
        program = self.traced.program
        constants = tuple(c.flatten(1) for c in constants)
        names = (i.name for i in (*program.of_role("sequence"), *program.of_role("constant")))
        values = dict(zip(names, (x, *constants), strict=True))
        if self.hoisted.outer:
            contiguous = {name: p.contiguous() for name, p in named.items()}
            evaluate.run(self.hoisted.outer, values, contiguous, like=x)
            for i in self.loop.inputs:
                if i.name in self.hoisted.values:
                    lead = x.shape[:2] if i.role == "sequence" else x.shape[1:2]
                    values[i.name] = values[i.name].expand(*lead, i.width)
        return ops.run(
            self.text,
            [values[i.name] for i in self.loop.of_role("sequence")],
            list(state),
            list(initial),
            [values[i.name] for i in self.loop.of_role("constant")],
            [named[name] for name in self._loop_parameters],
            flags,
            reverse,
            record,
        )

    def step_text(self) -> str:
        """The whole step as one loop program, with nothing computed before it: for one step at a time."""
        return merge(split_norms(self.traced.program)).text

    def step_parameters(self, cell: Cell) -> list[Tensor]:
        """The parameters of `step_text`."""
        named = self.named(cell)
        return [fresh.plain(named[name].detach()) for name in self._outer_parameters]

    def named(self, cell: Cell) -> dict[str, Tensor]:
        """The parameters of the program by name."""
        if self._places:
            return {
                name: module.__dict__[table][last]  # which this thread may see otherwise: `cells.shown`
                for name, (module, table, last) in zip(self._outer_parameters, self._places, strict=True)
            }
        own = dict(cell.named_parameters()) | dict(cell.named_buffers())
        return self.traced.named(own)


def first_parameter(module: nn.Module) -> Tensor | None:
    """``next(module.parameters(), None)``, at a tenth of the time: it is asked at every call."""
    for p in module._parameters.values():
        if p is not None:
            return p
    found = (first_parameter(child) for child in module._modules.values() if child is not None)
    return next((p for p in found if p is not None), None)


def _place_of(cell: nn.Module, name: str) -> tuple[nn.Module, str, str]:
    """The module and its table that hold the parameter or buffer of that name, and its key there."""
    path, _, last = name.rpartition(".")
    module = cell.get_submodule(path)
    return module, "_parameters" if last in module._parameters else "_buffers", last


class _Memory:
    """What was made of a cell, kept on the cell itself, so that both go together; copies begin empty."""

    def __init__(self, cell: Cell | None = None) -> None:
        self.of = None if cell is None else weakref.ref(cell)
        self.made: dict[tuple, _Made] = {}

    def __deepcopy__(self, memo: Any) -> _Memory:
        return _Memory()

    def __reduce__(self) -> tuple:
        return _Memory, ()


@dataclass
class _Made:
    """The cell made ready, or why it cannot be; it holds while what the equation reads is the same."""

    result: Prepared | UnsupportedError
    reads: Reads
    refusals: int = 0


_PATIENCE = 3
"""Refusals for one reason until a cell is refused for good, as one whose equation changes what it reads."""
_warned: set[str] = set()


def prepared(cell: Cell, constants: Widths = ()) -> Prepared | UnsupportedError:
    """The cell made ready, from memory while it is the same; or why the compiler cannot take it.

    What the equation reads, beside its arguments and the numbers in parameters and buffers, is part of the
    program: where it changes, the cell is traced again.
    """
    if torch._C._get_tracing_state() is not None:  # under torch.jit.trace sizes are tensors, which must not be kept
        plain = tuple(tuple(map(int, c)) if isinstance(c, tuple) else int(c) for c in constants)
        return clean(prepared, cell, plain)
    return _current(cell, constants).result


def widths(constants: tuple[Tensor, ...]) -> Widths:
    """What a cell is made ready for: the width of each constant (N, width), the shape (K, A) of a grid (N, K, A)."""
    return tuple(c.shape[1] if c.dim() == 2 else tuple(c.shape[1:]) for c in constants)


def reads(cell: Cell, constants: Widths = ()) -> Reads:
    """What the equation reads beside its arguments."""
    return _current(cell, constants).reads


def _current(cell: Cell, constants: Widths) -> _Made:
    memory = cell.__dict__.get(MEMORY)
    if memory is None or memory.of is None or memory.of() is not cell:
        memory = cell.__dict__[MEMORY] = _Memory(cell)
    key = cell.training, constants
    made = memory.made.get(key)
    if made is not None and (made.refusals > _PATIENCE or made.reads.hold()):
        return made
    made = memory.made[key] = _again(cell, constants, made)
    return made


def _again(cell: Cell, constants: Widths, before: _Made | None) -> _Made:
    """The cell made ready, unless what has changed since ``before`` is nothing that the equation can tell."""
    if before is not None and not before.refusals and (reads := before.reads.renewed(cell)) is not None:
        return _Made(before.result, reads)
    verified = verify.wanted(cell)
    try:
        result, reads = clean(_prepare, cell, constants, verified)
    except ValueError as error:
        name = type(cell).__name__
        raise ValueError(f"{name}: the equation does not accept constants of widths {constants}: {error}") from error
    if isinstance(result, Prepared):
        return _Made(result, reads)
    same = before is not None and str(before.result) == str(result)
    return _Made(result, reads, before.refusals + 1 if before is not None and same else 1)


def _prepare(cell: Cell, constants: Widths, verified: bool) -> tuple[Prepared | UnsupportedError, Reads]:
    traced, reads = watched(cell, constants)
    if isinstance(traced, UnsupportedError):
        return traced, reads
    try:
        made = Prepared(cell, traced)
        why = verify.fault(cell, made, constants) if verified else ""
    except Exception as error:  # whatever is wrong with the compiler, the equation still holds
        return UnsupportedError(f"the compiler failed: {type(error).__name__}: {error}".splitlines()[0]), reads
    made.verified = verified
    return UnsupportedError(f"the compiled cell gives wrong results: {why}") if why else made, reads


def warn_once(cell: Cell, why: str) -> None:
    """Say once why a cell runs step by step."""
    message = f"{type(cell).__name__} runs step by step, many times slower: {why}"
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, RuntimeWarning, stacklevel=4)


def fits(x: Tensor) -> str:
    """Why the engine cannot run on tensors like ``x``; empty if it can."""
    if x.device.type != "cpu":
        return f"it runs on the CPU, x is on {x.device}"
    if x.dtype not in (torch.float32, torch.float64):
        return f"it computes in float32 and float64, x has {x.dtype}"
    return ""
