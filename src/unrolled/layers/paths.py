"""Which way a layer's call takes: the engine, torch.nn's kernel, or the equation step by step."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

from unrolled.cells.cell import Cell
from unrolled.engine import eager, flags, native, recording
from unrolled.engine.prepared import Prepared, first_parameter, fits, prepared, warn_once
from unrolled.layers import torch_kernels
from unrolled.layers.checks import recorded

State = tuple[Tensor, ...]
BACKENDS = ("auto", "engine", "torch", "eager")


def scan(
    backend: str,
    cell: Cell,
    x: Tensor,
    state: State,
    lengths: Tensor | None,
    resets: Tensor | None,
    reverse: bool,
    constants: State,
) -> tuple[Tensor, State]:
    """As `engine.eager.scan`, by the path that ``backend`` names, or the fastest that can run the call.

    Raises:
        ValueError: the path that was asked for cannot run this cell.
    """
    if torch.is_autocast_enabled("cpu") and backend in ("auto", "engine") and native.available():
        weight = next(cell.parameters(), x)
        if x.device.type == "cpu" and x.is_floating_point():  # the engine computes in the type of the weights
            with torch.autocast("cpu", enabled=False):
                x, *rest = (t.to(weight.dtype) for t in (x, *state, *constants))
                state, constants = tuple(rest[: len(state)]), tuple(rest[len(state) :])
                return scan(backend, cell, x, state, lengths, resets, reverse, constants)
    if torch.compiler.is_compiling() and backend in ("auto", "engine") and not fits(x) and native.available():
        from unrolled.layers import in_graph

        in_graph.read(cell)
        if key := in_graph.key(cell, tuple(c.shape[1] for c in constants)):
            x, marks, initial = _marked(cell, x, lengths, resets, reverse)
            flagged = () if marks is None else (marks,)
            return in_graph.run(f"{key}", cell, x, state, initial, flagged, reverse, constants)
    why = ""
    if backend in ("auto", "engine"):
        made = _ready(cell, x, constants)
        if isinstance(made, Prepared):
            x, marks, initial = _marked(cell, x, lengths, resets, reverse)
            return made.run(cell, x, state, initial, marks, reverse, constants)
        if backend == "engine":
            raise ValueError(f"Recurrent({type(cell).__name__}): the engine cannot run this call: {made}")
        why = made
    # torch.nn's kernels keep no gradients of states, and most of torch's transformations do not know them
    by_steps = backend == "auto" and (recording.active() is not None or transformed())
    if backend != "eager" and not by_steps and _by_torch(cell, x, lengths, resets):
        return torch_kernels.scan(cell, x, state, lengths, resets, reverse)
    if why and native.available() and not transformed() and not x.is_meta:
        warn_once(cell, why)
    if torch.jit.is_tracing():  # the trace has each step by itself, and refuses another number of them
        x = x.reshape(int(x.shape[0]), *x.shape[1:])
    return eager.scan(cell, x, state, lengths, resets, reverse, constants)


def usual(cell: Cell, constants: tuple[int, ...] = ()) -> str:
    """The path that ``backend="auto"`` takes on the CPU, for constants of these widths: engine, torch or eager."""
    x = torch.empty(0, dtype=next(cell.parameters(), torch.empty(0)).dtype)
    if runs_in_engine(cell, x, tuple(x.new_empty(0, width) for width in constants)):
        return "engine"
    return "torch" if torch_kernels.has_kernel(cell) else "eager"


def runs_in_engine(cell: Cell, x: Tensor, constants: State = ()) -> bool:
    """Whether ``backend="auto"`` takes the engine for a call with ``x``."""
    return isinstance(_ready(cell, x, constants), Prepared)


def transformed() -> str:
    """Which transformation of torch's needs every operation of the equation; empty where there is none."""
    if torch._C._are_functorch_transforms_active():
        return "torch.func is transforming it"
    if forward_ad._current_level >= 0:
        return "it is differentiated in forward mode"
    return ""


def _ready(cell: Cell, x: Tensor, constants: State) -> Prepared | str:
    """The cell made ready for the engine, or why the engine cannot run this call."""
    if not native.available():
        return f"it was not built ({native.missing})"
    if why := fits(x):
        return why
    if why := transformed():
        return why
    weight = first_parameter(cell)
    if weight is not None and (weight.dtype != x.dtype or weight.device != x.device):
        return f"the weights are {weight.dtype} on {weight.device}, x is {x.dtype} on {x.device}"
    for name, c in zip(cell.constants, constants, strict=False):
        if c.dim() != 2 or c.dtype != x.dtype:
            return f"the constant {name} has shape {tuple(c.shape)} and {c.dtype}, expected (N, width) of {x.dtype}"
    made = prepared(cell, tuple(c.shape[1] for c in constants))
    return made if isinstance(made, Prepared) else str(made)


def _marked(
    cell: Cell, x: Tensor, lengths: Tensor | None, resets: Tensor | None, reverse: bool
) -> tuple[Tensor, Tensor | None, State]:
    """x without what stands in the padding, which must not reach a gradient; the flags; the states after a reset."""
    T, N, _ = x.shape
    marks = flags.flags(T, N, lengths, resets, reverse)
    if lengths is not None and marks is not None:
        x = torch.where((marks & flags.INSIDE).bool()[..., None], x, 0.0)
    return x, marks, cell.initial_state(N, like=x) if resets is not None else ()


def _by_torch(cell: Cell, x: Tensor, lengths: Tensor | None, resets: Tensor | None) -> bool:
    """torch.nn's kernels take no empty sequence, no resets together with lengths, and no lengths not yet known."""
    if not torch_kernels.has_kernel(cell):
        return False
    if lengths is None:
        return resets is None or not recorded()
    return resets is None and x.shape[1] > 0 and not recorded() and bool((lengths > 0).all())
