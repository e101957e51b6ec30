"""A cell made ready for the engine: traced once, its parameters found again at every call."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.cells.cell import Cell
from unrolled.compiler import evaluate
from unrolled.compiler.hoist import Hoisted, hoist
from unrolled.compiler.merge import merge
from unrolled.compiler.tidy import split_norms
from unrolled.compiler.trace import Traced, UnsupportedError, trace
from unrolled.engine import ops, recording


class Prepared:
    """What the engine needs of one cell: the program of its loop, and how to get its inputs."""

    def __init__(self, cell: Cell, constants: tuple[int, ...]) -> None:
        self.traced: Traced = trace(cell, constants)
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
        named = self._named(cell)
        values = {"x": x} | dict(zip(cell.constants, constants, strict=True))
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
            recording.opened(cell),
        )

    def step_text(self) -> str:
        """The whole step as one loop program, with nothing computed before it: for one step at a time."""
        return merge(split_norms(self.traced.program)).text

    def step_parameters(self, cell: Cell) -> list[Tensor]:
        """The parameters of `step_text`."""
        named = self._named(cell)
        return [named[name].detach().contiguous() for name in self._outer_parameters]

    def _named(self, cell: Cell) -> dict[str, Tensor]:
        """The parameters of the program by name."""
        if self._places:
            return {
                name: place[last] for name, (place, last) in zip(self._outer_parameters, self._places, strict=True)
            }
        own = dict(cell.named_parameters()) | dict(cell.named_buffers())
        return dict(zip(self._outer_parameters, self.traced.parameters(own), strict=True))


def first_parameter(module: nn.Module) -> Tensor | None:
    """``next(module.parameters(), None)``, at a tenth of the time: it is asked at every call."""
    for p in module._parameters.values():
        if p is not None:
            return p
    found = (first_parameter(child) for child in module._modules.values() if child is not None)
    return next((p for p in found if p is not None), None)


def _place_of(cell: nn.Module, name: str) -> tuple[dict[str, Any], str]:
    """The dictionary that holds the parameter or buffer of that name, and its key there."""
    path, _, last = name.rpartition(".")
    module = cell.get_submodule(path)
    return module._parameters if last in module._parameters else module._buffers, last


class _Known:
    """What was made of a cell, and what tracing may have read of it: while that is the same, it holds."""

    def __init__(self, cell: Cell) -> None:
        self.made: dict[tuple, Prepared | UnsupportedError] = {}
        self._marks: list[tuple[dict, int, list[tuple[str, torch.Size, torch.dtype]], list[tuple[str, Any]]]] = []
        for module in cell.modules():
            for place in (module.__dict__, module._parameters, module._buffers, module._modules):
                entries = [(k, v) for k, v in place.items() if k not in _BOOKKEEPING]
                tensors = [(k, v.shape, v.dtype) for k, v in entries if isinstance(v, Tensor)]
                others = [(k, _mark(v)) for k, v in entries if not isinstance(v, Tensor)]
                self._marks.append((place, len(place), tensors, others))

    def holds(self) -> bool:
        for place, size, tensors, others in self._marks:
            if len(place) != size:
                return False
            for name, shape, dtype in tensors:
                value = place.get(name)
                if not isinstance(value, Tensor) or value.shape != shape or value.dtype is not dtype:
                    return False
            for name, mark in others:
                value = place.get(name, _GONE)
                if value is not mark and _mark(value) != mark:
                    return False
        return True


_GONE = object()
_BOOKKEEPING = {name for name in nn.Module().__dict__ if name != "training"}


def _mark(value: Any) -> Any:
    """What stands for an attribute: shape and type of a tensor, whose numbers may change, or the thing itself."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype
    if isinstance(value, list | tuple | set):
        return type(value), *map(_mark, value)
    if isinstance(value, dict):
        return dict, *((k, _mark(v)) for k, v in value.items())
    return value


_known: weakref.WeakKeyDictionary[Cell, dict[bool, _Known]] = weakref.WeakKeyDictionary()
"""For each cell what was made of it in evaluation, and in training."""
_warned: set[str] = set()


def prepared(cell: Cell, constants: tuple[int, ...] = ()) -> Prepared | UnsupportedError:
    """The cell made ready, from memory while it is the same; or why the compiler cannot take it.

    Numbers that the equation reads from the cell are part of the program: where one changes, the cell is
    traced again.
    """
    if torch._C._get_tracing_state() is not None:  # under torch.jit.trace sizes are tensors, which must not be kept
        return _apart(prepared, cell, tuple(map(int, constants)))
    modes = _known.get(cell)
    if modes is None:
        modes = _known[cell] = {}
    known = modes.get(cell.training)
    if known is None or not known.holds():
        known = modes[cell.training] = _Known(cell)
    made = known.made.get(constants)
    if made is None:
        made = known.made[constants] = _prepare(cell, constants)
    return made


def _prepare(cell: Cell, constants: tuple[int, ...]) -> Prepared | UnsupportedError:
    try:
        return _apart(Prepared, cell, constants)
    except UnsupportedError as error:
        return error
    except ValueError as error:
        name = type(cell).__name__
        raise ValueError(f"{name}: the equation does not fit constants of widths {constants}: {error}") from error


def _apart(function: Callable[..., Any], *args: Any) -> Any:
    """In a thread of its own, where no mode, transformation or profiler of the caller's is active."""
    with ThreadPoolExecutor(1) as clean:
        return clean.submit(function, *args).result()


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
