"""Padding: what the equation computes beyond a sequence's end, so that nothing of it can reach a gradient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unrolled.compiler.growth import MODERATE
from unrolled.engine.graphs import values_are_known

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class Filled:
    """A call whose padding holds numbers that the equation meets inside of sequences anyway.

    The equation is computed for all rows at all steps, and 0 from above times an infinite derivative is not 0.
    So in its padding each sequence repeats its first step: x here, the state in `flags.flags` and `eager.scan`.
    A sequence without steps repeats that of the longest one; its final state is put back by `last`.
    """

    x: Tensor
    state: State
    constants: State
    given: State
    empty: Tensor | None

    def last(self, final: State) -> State:
        """The final states, which for a sequence without steps are those that were given."""
        if self.empty is None:
            return final
        return select(self.empty, self.given, final)


def filled(
    x: Tensor,
    state: State,
    constants: State,
    lengths: Tensor | None,
    reverse: bool,
    others: Sequence[Tensor] | None = None,
) -> Filled:
    """The call with its padding filled.

    Arguments:
        others: what else the equation reads, its parameters and the states after a reset, if it is finite for
            all moderate numbers (`compiler.growth`). Where all are moderate, what stands in the padding may
            stay: copying x takes longer than looking at it.

    Shapes:
        x (T, N, D); states and constants (N, ...); lengths (N,), whole numbers from 0 to T.
    """
    if lengths is None:
        return Filled(x, state, constants, state, None)
    T, N, _ = x.shape
    inside = torch.arange(T, device=x.device)[:, None] < lengths
    every = torch.arange(N, device=x.device)
    first = x[(lengths - 1).clamp(min=0), every] if reverse else x[0]
    empty = lengths == 0
    known = values_are_known()
    stays = others is not None and known and all(map(_is_moderate, (x, *state, *constants, *others)))
    if known and (not N or not bool(empty.any())):
        x = x if stays else torch.where(inside[..., None], x, first.detach())
        return Filled(x, state, constants, state, None)
    rows = torch.where(empty, lengths.argmax(), every)
    x = x if stays else torch.where(inside[..., None], x, first[rows].detach())
    return Filled(x, _taken(state, rows), _taken(constants, rows), state, empty)


def _is_moderate(x: Tensor) -> bool:
    """Whether no number is huge, infinite or NaN."""
    if not x.numel() or x.dtype == torch.bool:
        return True
    low, high = torch.aminmax(x.detach())
    return bool((low > -MODERATE) & (high < MODERATE))  # neither holds for NaN


def no_steps(x: Tensor, state: State, learned: Iterable[Tensor]) -> tuple[Tensor, State]:
    """Outputs and final states of sequences that have no steps at all: nothing is computed, and each of x and
    ``learned`` that wants a gradient gets one of zeros."""
    nowhere = torch.zeros((), dtype=torch.bool, device=x.device)
    nothing = sum(torch.where(nowhere, t.sum(), 0.0) for t in (x, *learned) if t.requires_grad)
    output = torch.where(nowhere, state[0], 0.0) + nothing
    return output.expand(x.shape[0], *output.shape).contiguous(), tuple(s + nothing for s in state)


def _taken(tensors: State, rows: Tensor) -> State:
    return tuple(t[rows] for t in tensors)


def _rows(rows: Tensor, like: Tensor) -> Tensor:
    """Rows (N,) in as many dimensions as ``like``."""
    return rows.view(-1, *[1] * (like.dim() - 1))


def select(rows: Tensor, yes: State, no: State) -> State:
    """``yes`` in the rows (N,) that are true, ``no`` in the others."""
    return tuple(torch.where(_rows(rows, a), a, b) for a, b in zip(yes, no, strict=True))
