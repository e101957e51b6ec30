"""The unroll in plain torch: the equation, step by step. The truth beside every faster path."""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.cells.cell import Cell
from unrolled.engine import padding, recording

State = tuple[Tensor, ...]


def scan(
    cell: Cell,
    x: Tensor,
    state: State,
    lengths: Tensor | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
    constants: State = (),
) -> tuple[Tensor, State]:
    """Run ``cell`` over all steps of ``x``.

    Equation::

        s_t = step(x_t, s_{t-1})      where t < length; elsewhere s_t = s_{t-1} and the output is zero
        s_{t-1} = initial             where resets[t]: a new sequence begins at t

    In reverse, t runs downwards, and a sequence that begins at t ends the state's way there. Resets and
    inputs from a sequence's end on have no effect.

    Shapes:
        x (T, N, D); each state (N, width); lengths (N,) whole numbers; resets (T, N) bool.

    Returns:
        The outputs (T, N, width of the first state) and the states after the last step.

    Raises:
        ValueError: ``step`` changes an argument in place, which would change outputs of earlier steps, or a
            parameter whose gradient is wanted.
    """
    T, N, _ = x.shape
    record = recording.opened(cell)
    initial = cell.initial_state(N, like=x) if resets is not None else ()
    call = padding.filled(x, state, constants, lengths, reverse)
    x, state, constants = call.x, call.state, call.constants
    first = state if resets is None or reverse else padding.select(resets[0], initial, state)
    outputs: list[Tensor] = [x] * T
    learned = [(name, p, p._version) for name, p in cell.named_parameters() if p.requires_grad]
    for t in reversed(range(T)) if reverse else range(T):
        if resets is not None:
            begins = t + 1 if reverse else t
            if begins < T:
                fresh = resets[begins] if lengths is None else resets[begins] & (begins < lengths)
                state = padding.select(fresh, initial, state)
        running = None if lengths is None else t < lengths
        before = state if running is None else padding.select(running, state, first)
        args = (x[t], *before, *constants)
        versions = [a._version for a in args]
        new = cell.checked(cell.step(*args), before)
        if versions != [a._version for a in args]:
            raise ValueError(_in_place(cell, args, versions))
        if running is not None:
            new = padding.select(running, new, state)
        state = new if record is None else record.watched(new, t, T, running)
        outputs[t] = state[0]
        if running is not None:
            outputs[t] = padding.select(running, state[:1], (torch.zeros_like(state[0]),))[0]
    if torch.is_grad_enabled() and (changed := [name for name, p, version in learned if p._version != version]):
        raise ValueError(f"{_where(cell)} changes the parameter {changed[0]} in place, so its gradient is undefined.")
    return torch.stack(outputs), call.last(state)


def _in_place(cell: Cell, args: State, versions: list[int]) -> str:
    names = ("x", *cell.state, *cell.constants)
    changed = next(name for name, a, v in zip(names, args, versions, strict=True) if a._version != v)
    remedy = f"Compute a new tensor instead, such as {changed} = {changed} * 0.5."
    return f"{_where(cell)} changes {changed} in place. {remedy}"


def _where(cell: Cell) -> str:
    code = getattr(cell.equation, "__func__", cell.equation).__code__
    return f"{type(cell).__name__}: step (line {code.co_firstlineno} of {code.co_filename})"
