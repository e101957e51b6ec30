"""One random cell: the engine beside the loop, values and every gradient."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import unrolled
from random_cells import loop
from random_cells.calls import Call, random_call
from random_cells.cells import Source, random_cell
from unrolled.engine import native

Results = dict[str, Tensor | None]

TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-3}
"""Of a result and of the largest number beside it. Ranges and slopes of random cells are bounded, so that six
steps make of a rounding, 1e-16 or 6e-8, some thousand times as much at the most."""
NUDGES = {torch.float64: 2.0**-49, torch.float32: 2.0**-20}
"""A few roundings, relative."""


LARGE = 1e5
"""No number of the loop is larger."""


@dataclass(frozen=True)
class Outcome:
    """``kind``: equal; different; raised, by the engine; refused, by the compiler; undecided: the equation itself
    jumps there; broken: the generator made a cell that does not run, or is not tame."""

    kind: str
    source: Source
    reason: str = ""
    call: Call | None = None

    @property
    def failed(self) -> bool:
        return self.kind in ("different", "raised", "broken") or (self.kind == "refused" and not self.source.extended)

    def report(self) -> str:
        """All that is needed to look into it."""
        return (
            f"seed {self.source.seed} on {native.path()}: {self.kind}: {self.reason}\n{self.call}\n{self.source.text}"
        )


@contextmanager
def poisoned() -> Iterator[None]:
    """Inside, every fresh tensor is full of NaN."""
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.utils.deterministic.fill_uninitialized_memory = before[1]


def run(seed: int) -> Outcome:
    """The cell and the call of that seed, checked on the instruction set in use."""
    source = random_cell(seed)
    before = torch.get_num_threads()
    try:
        cell = source.build()
        call = random_call(source, cell)
        torch.set_num_threads(call.threads)
        with poisoned(), mock.patch.dict(os.environ, UNROLLED_VERIFY="off"):  # it would take what is wrong away
            return _checked(source, cell, call)
    finally:
        torch.set_num_threads(before)
        source.forget()


def _checked(source: Source, cell: unrolled.Cell, call: Call) -> Outcome:
    if call.dtype == torch.float32:
        _round(cell, call)
    layer = unrolled.Recurrent(
        cell.to(call.dtype), reverse=call.reverse, backend="engine", checkpoint=call.checkpoint
    )
    for p in cell.parameters():
        p.requires_grad_(True)
    for name, p in cell.named_parameters():
        p.requires_grad_(name not in call.frozen)
    for _ in range(1 + call.again):
        cell.double()
        try:
            truth = results(cell, call, lambda *given: loop.unroll(cell, call, *given))
        except Exception as error:
            return Outcome("broken", source, _one_line(error), call)
        if wild := _wild(truth):
            return Outcome("broken", source, wild, call)
        cell.to(call.dtype)
        try:
            found = results(cell, call, lambda x, s, k: _layer(layer, call, x, s, k), call.dtype)
        except ValueError as error:
            if "the engine cannot run this call" not in str(error):
                return Outcome("raised", source, _one_line(error), call)
            return Outcome("refused", source, str(error).split("cannot run this call: ", 1)[1], call)
        except Exception as error:
            return Outcome("raised", source, _one_line(error), call)
        if where := difference(found, truth, TOLERANCE[call.dtype]):
            kind = "undecided" if _jumps(cell, call, truth) else "different"
            return Outcome(kind, source, where, call)
        with torch.no_grad():
            for p in cell.parameters():
                p.mul_(0.75).add_(0.0625)
    return Outcome("equal", source, call=call)


def _wild(truth: Results) -> str:
    """What is too large in the reference, if anything is: then the generator's bounds are wrong."""
    for name, t in truth.items():
        if t is not None and not t.abs().max() < LARGE:
            return f"{name} reaches {t.abs().max().item():.3g} in the loop"
    return ""


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _layer(layer: unrolled.Recurrent, call: Call, x: Tensor, state, constants) -> tuple:
    lengths = None if call.lengths is None else torch.tensor(call.lengths)
    return layer(x, state, lengths, call.resets, constants)


def _round(cell: unrolled.Cell, call: Call) -> None:
    """Make all numbers such that float32 can hold them."""
    with torch.no_grad():
        for t in (*cell.parameters(), *cell.buffers(), call.x, *(call.state or ()), *call.constants):
            t.copy_(t.float())


def results(cell: unrolled.Cell, call: Call, unroll: Callable, dtype: torch.dtype = torch.float64) -> Results:
    """Values with and without gradients, and every gradient by name."""

    def leaf(t: Tensor, name: str) -> Tensor:
        return t.to(dtype, copy=True).requires_grad_(name not in call.frozen)

    x = leaf(call.x, "x")
    state = None if call.state is None else tuple(leaf(s, f"state {k}") for k, s in enumerate(call.state))
    constants = tuple(leaf(c, f"constant {k}") for k, c in enumerate(call.constants))
    with torch.no_grad():
        y, last = unroll(x, state, constants)
    found: Results = {"y without gradient": y} | {f"state {k} without gradient": s for k, s in enumerate(last)}
    y, last = unroll(x, state, constants)
    found |= {"y": y.detach()} | {f"state {k}": s.detach() for k, s in enumerate(last)}
    used = [
        (part, u.to(dtype))
        for part, u in zip((y, *last), call.upstream, strict=True)
        if u is not None and part.requires_grad
    ]
    wanted = {"x": x} | {f"constant {k}": c for k, c in enumerate(constants)}
    wanted |= {f"initial state {k}": s for k, s in enumerate(state or ())} | dict(cell.named_parameters())
    wanted = {name: t for name, t in wanted.items() if t.requires_grad}
    grads: tuple = (None,) * len(wanted)
    if used and wanted:
        grads = _grad(used, wanted)
    return found | {f"gradient of {name}": g for name, g in zip(wanted, grads, strict=True)}


def _grad(used: list[tuple[Tensor, Tensor]], wanted: dict[str, Tensor]) -> tuple:
    parts, upstream = zip(*used, strict=True)
    return torch.autograd.grad(parts, list(wanted.values()), upstream, allow_unused=True)


def difference(found: Results, truth: Results, tolerance: float) -> str:
    """The first value that differs, in words; empty if none does. No gradient is a gradient of zero."""
    for name, b in truth.items():
        a = found[name]
        if a is None and b is None:
            continue
        a, b = _zeros(a, b)
        if a.shape != b.shape:
            return f"{name}: shape {tuple(a.shape)}, the loop has {tuple(b.shape)}"
        a = a.to(torch.float64)
        off = ((a - b).abs() > tolerance * (1 + b.abs().max())) | (a.isfinite() != b.isfinite())
        off |= a.isnan()
        if off.any():
            at = tuple(off.nonzero()[0].tolist())
            return f"{name}{list(at)}: {a[at].item()!r}, the loop has {b[at].item()!r}"
    return ""


def _zeros(a: Tensor | None, b: Tensor | None) -> tuple[Tensor, Tensor]:
    known = a if b is None else b
    return (torch.zeros_like(known) if a is None else a), (torch.zeros_like(known) if b is None else b)


class _Nudged(TorchDispatchMode):
    """Every result that is rounded is moved by a few roundings; equal numbers stay equal, and zero stays zero."""

    def __init__(self, size: float, salt: int) -> None:
        super().__init__()
        self._size = size
        self._salt = salt

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ not in _ROUNDED or not isinstance(made, Tensor):
            return made
        bits = made.view(torch.int64)
        bits = (bits ^ (bits >> 32)) * 2654435761 + self._salt * 0x1E3779B97F4A7C1  # numbers such as 0.5 end in zeros
        bits = (bits ^ (bits >> 29)) * 0x3F58476D1CE4E5B9 >> 40
        return made * (1 + self._size * ((bits & 1023).double() / 512 - 1))


_ROUNDED = {
    *("add", "sub", "rsub", "mul", "div", "mm", "addmm", "linear", "sum", "mean", "exp", "log", "tanh", "sigmoid"),
    *("softplus", "sqrt", "rsqrt", "reciprocal", "pow", "silu", "elu", "_softmax", "_log_softmax", "lerp", "addcmul"),
    *("sigmoid_backward", "tanh_backward", "native_layer_norm", "_softmax_backward_data"),
}


def _jumps(cell: unrolled.Cell, call: Call, truth: Results) -> bool:
    """Whether the loop's own results differ as much when their roundings do: a comparison hangs on the last bits."""
    cell.double()
    for salt in range(8):
        with _Nudged(NUDGES[call.dtype], salt):
            nudged = results(cell, call, lambda *given: loop.unroll(cell, call, *given))
        if difference(nudged, truth, TOLERANCE[call.dtype]):
            return True
    return False


__all__ = ["Outcome", "poisoned", "random_cell", "results", "run"]
