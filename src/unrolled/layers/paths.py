"""Which way a layer's call takes: the engine, torch.nn's kernel, or the equation step by step."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

from unrolled.cells.cell import Cell
from unrolled.compiler.hooks import compute_weights
from unrolled.compiler.traced import Widths
from unrolled.engine import eager, flags, native, padding, recording
from unrolled.engine.graphs import recorded, values_are_known
from unrolled.engine.prepared import Prepared, first_parameter, fits, prepared, warn_once, widths
from unrolled.layers import torch_kernels

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
    if lengths is not None and values_are_known() and x.shape[1]:
        if int(lengths.min()) == x.shape[0]:
            lengths = None  # without padding
        elif not bool(lengths.any()):
            return padding.no_steps(x, state, cell.parameters())
    if torch.compiler.is_compiling() and backend in ("auto", "engine") and not fits(x) and native.available():
        from unrolled.layers import in_graph

        sizes = widths(constants)
        if in_graph.reads_outside(cell, sizes):
            return in_graph.break_graph(scan)(backend, cell, x, state, lengths, resets, reverse, constants)
        in_graph.read(cell, sizes)
        if key := in_graph.key(cell, sizes):
            call, marks, initial = _marked(cell, x, state, constants, lengths, resets, reverse)
            flagged = () if marks is None else (marks,)
            output, last = in_graph.run(f"{key}", cell, call.x, call.state, initial, flagged, reverse, call.constants)
            return output, call.last(last)
    return _outside_graphs(backend, cell, x, state, lengths, resets, reverse, constants)


def _outside_graphs(
    backend: str,
    cell: Cell,
    x: Tensor,
    state: State,
    lengths: Tensor | None,
    resets: Tensor | None,
    reverse: bool,
    constants: State,
) -> tuple[Tensor, State]:
    """As `scan`, where the engine can be called, or torch's kernel."""
    why = ""
    if backend in ("auto", "engine"):
        ready = _ready(cell, x, constants)
        if isinstance(ready, Prepared):
            call, marks, initial = _marked(cell, x, state, constants, lengths, resets, reverse, ready)
            output, last = ready.run(cell, call.x, call.state, initial, marks, reverse, call.constants)
            return output, call.last(last)
        if backend == "engine":
            raise ValueError(f"Recurrent({type(cell).__name__}): the engine cannot run this call: {ready}")
        why = ready
    # torch.nn's kernels keep no gradients of states, and most of torch's transformations do not know them
    by_steps = backend == "auto" and (recording.active() is not None or transformed())
    if backend != "eager" and not by_steps and _by_torch(cell, x, lengths, resets):
        return torch_kernels.scan(cell, x, state, lengths, resets, reverse)
    if torch.jit.is_tracing():  # the trace has each step by itself, and refuses another number of them
        x = x.reshape(int(x.shape[0]), *x.shape[1:])
    compute_weights(cell)
    result = eager.scan(cell, x, state, lengths, resets, reverse, constants)
    if why and native.available() and not transformed() and not x.is_meta:
        warn_once(cell, why)  # said afterwards: a cell that cannot run at all is not said to run slowly
    return result


def usual(cell: Cell, constants: Widths = ()) -> str:
    """The path that ``backend="auto"`` takes on the CPU, for constants of these widths: engine, torch or eager."""
    x = torch.empty(0, dtype=next(cell.parameters(), torch.empty(0)).dtype)
    shapes = (size if isinstance(size, tuple) else (size,) for size in constants)
    if runs_in_engine(cell, x, tuple(x.new_empty(0, *shape) for shape in shapes)):
        return "engine"
    return "torch" if torch_kernels.has_kernel(cell) else "eager"


def runs_in_engine(cell: Cell, x: Tensor, constants: State = ()) -> bool:
    """Whether ``backend="auto"`` takes the engine for a call with ``x``."""
    return isinstance(_ready(cell, x, constants), Prepared)


def transformed() -> str:
    """Which transformation of torch's needs every operation of the equation; empty where there is none."""
    if torch._C._are_functorch_transforms_active():
        return "a torch.func transform is active"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation is active"
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
        return f"the weights are {weight.dtype} on {weight.device}, but x is {x.dtype} on {x.device}"
    for name, c in zip(cell.constants, constants, strict=False):
        if c.dim() not in (2, 3) or c.dtype != x.dtype:
            return (
                f"the constant {name} has shape {tuple(c.shape)} and {c.dtype}, "
                f"expected (N, width) or (N, K, width) of {x.dtype}"
            )
    ready = prepared(cell, widths(constants))
    return ready if isinstance(ready, Prepared) else str(ready)


def _marked(
    cell: Cell,
    x: Tensor,
    state: State,
    constants: State,
    lengths: Tensor | None,
    resets: Tensor | None,
    reverse: bool,
    made: Prepared | None = None,
) -> tuple[padding.Filled, Tensor | None, State]:
    """The call with its padding filled; the flags; the states after a reset."""
    T, N, _ = x.shape
    marks = flags.flags(T, N, lengths, resets, reverse)
    initial = cell.initial_state(N, like=x) if resets is not None else ()
    others = None
    if made is not None and made.stays_finite and lengths is not None:
        others = *made.named(cell).values(), *initial
    return padding.filled(x, state, constants, lengths, reverse, others), marks, initial


def _by_torch(cell: Cell, x: Tensor, lengths: Tensor | None, resets: Tensor | None) -> bool:
    """torch.nn's kernels take no empty sequence, no resets together with lengths, and no lengths not yet known."""
    if not torch_kernels.has_kernel(cell):
        return False
    if lengths is None:
        return resets is None or not recorded()
    return resets is None and x.shape[1] > 0 and not recorded() and bool((lengths > 0).all())
