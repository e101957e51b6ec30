"""Lengths and resets as one byte for each step and sequence, in the order of the scan."""

from __future__ import annotations

import torch
from torch import Tensor

INSIDE, FROM_INITIAL, FROM_RESET, LAST = 1, 2, 4, 8
"""The step is inside its sequence; before it the state is the initial one, or the reset one; it is the
last of its sequence in the order of the scan. The same numbers as in csrc/plan.h.

In the padding the state is the one before the sequence's first step: see `padding`."""


def flags(T: int, N: int, lengths: Tensor | None, resets: Tensor | None, reverse: bool) -> Tensor | None:
    """The flags (T, N), uint8; None where every sequence runs from end to end."""
    if lengths is None and resets is None:
        return None
    device = (lengths if lengths is not None else resets).device  # type: ignore[union-attr]
    t = torch.arange(T, device=device)[:, None]
    ends = torch.full((N,), T, device=device) if lengths is None else lengths
    inside = t < ends
    if resets is None and not reverse:
        ending = torch.where(t == ends - 1, INSIDE | LAST, INSIDE)
        return torch.where(inside, ending, FROM_INITIAL).to(torch.uint8)
    fresh = torch.zeros(T, N, dtype=torch.bool, device=device)
    if resets is not None:
        begins = resets & inside
        if reverse:
            fresh[:-1] = begins[1:]
        else:
            fresh = begins
    at_end = t == ends - 1
    first, last = (at_end, (t == 0) & inside) if reverse else (torch.zeros_like(fresh), at_end)
    fresh = torch.where(inside, fresh, torch.zeros_like(fresh[0]) if reverse else fresh[0])
    first = first | ~(inside | fresh)
    return (
        inside.to(torch.uint8) * INSIDE
        + first.to(torch.uint8) * FROM_INITIAL
        + (fresh & ~first).to(torch.uint8) * FROM_RESET
        + last.to(torch.uint8) * LAST
    )
