"""The reference: a plain loop over the equation, one sequence at a time, over its own steps alone."""

from __future__ import annotations

import torch
from torch import Tensor

import unrolled
from random_cells.calls import Call


def unroll(
    cell: unrolled.Cell, call: Call, x: Tensor, state: tuple[Tensor, ...] | None, constants: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Outputs (T, N, width) and final states (N, width), as `unrolled.Recurrent` documents them.

    A sequence of length n has the steps 0 to n - 1; in reverse they run downwards. Before step t the state is
    the initial one where a sequence begins: at t in forward direction; in reverse, at the end of a sequence,
    where the next one begins at t + 1.
    """
    T, N, _ = x.shape
    width = next(iter(cell.state_shapes().values()))[0]
    outputs, finals = [], []
    for n in range(N):
        length = T if call.lengths is None else call.lengths[n]
        initial = cell.initial_state(1, like=x)
        now = initial if state is None else tuple(s[n : n + 1] for s in state)
        own = tuple(c[n : n + 1] for c in constants)
        y = [x.new_zeros(1, width)] * T
        for t in reversed(range(length)) if call.reverse else range(length):
            begins = t + 1 if call.reverse else t
            if call.resets is not None and begins < length and call.resets[begins, n]:
                now = initial
            new = cell.step(x[t, n : n + 1], *now, *own)
            now = (new,) if isinstance(new, Tensor) else tuple(new)
            y[t] = now[0]
        outputs.append(torch.stack(y))
        finals.append(now)
    return torch.cat(outputs, 1), tuple(torch.cat(parts) for parts in zip(*finals, strict=True))
