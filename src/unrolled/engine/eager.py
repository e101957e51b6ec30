"""The unroll in plain torch: the equation, step by step. The truth beside every faster path."""

from __future__ import annotations

import torch
from torch import Tensor

from unrolled.cells.cell import Cell
from unrolled.engine import recording

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
    """
    T, N, _ = x.shape
    record = recording.opened(cell)
    initial = cell.initial_state(N, like=x) if resets is not None else ()
    if lengths is not None:  # what stands in the padding must not reach a gradient, not even as 0 * nan
        inside = torch.arange(T, device=x.device)[:, None] < lengths
        x = torch.where(inside[..., None], x, torch.zeros_like(x))
    outputs: list[Tensor] = [x] * T
    for t in reversed(range(T)) if reverse else range(T):
        if resets is not None:
            begins = t + 1 if reverse else t
            if begins < T:
                fresh = resets[begins] if lengths is None else resets[begins] & (begins < lengths)
                state = _select(fresh, initial, state)
        new = cell.checked(cell.step(x[t], *state, *constants), state)
        running = None if lengths is None else t < lengths
        if running is not None:
            new = _select(running, new, state)
        state = new if record is None else record.watched(new, t, T, running)
        outputs[t] = state[0]
        if running is not None:
            outputs[t] = _select(running, state[:1], (torch.zeros_like(state[0]),))[0]
    return torch.stack(outputs), state


def _select(rows: Tensor, yes: State, no: State) -> State:
    """``yes`` in the rows (N,) that are true, ``no`` in the others."""
    return tuple(torch.where(rows.view(-1, *[1] * (a.dim() - 1)), a, b) for a, b in zip(yes, no, strict=True))
