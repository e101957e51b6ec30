"""Recording: the size of the gradient at every step, taken from the backward scan while it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from unrolled.cells.cell import Cell


class Record:
    """The gradients of one scan.

    ``norms`` has for each state ||dL/ds_t|| at every step t, over the whole batch, (T,) each; empty until the
    backward pass has gone through the scan. What is differentiated is the state as the next step receives
    it, and for the first state as the layer gives it out: states of one step do not pass through each other.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.norms: dict[str, Tensor] = {}

    def add(self, state: str, d: Tensor) -> None:
        """Keep the norms of gradients (T, N, width)."""
        self.norms[state] = torch.linalg.vector_norm(d.detach(), dim=(1, 2))

    def watched(self, states: tuple[Tensor, ...], t: int, T: int, inside: Tensor | None = None) -> tuple[Tensor, ...]:
        """The same states of step ``t``, whose gradients are kept when they come, of the sequences (N,) inside."""
        made = []
        for name, s in zip(self.cell.state, states, strict=True):
            watched = s.view_as(s)
            if watched.requires_grad:
                watched.register_hook(partial(self._keep, name, t, T, inside))
            made.append(watched)
        return tuple(made)

    def _keep(self, state: str, t: int, T: int, inside: Tensor | None, d: Tensor) -> None:
        d = d if inside is None else d[inside]
        if state not in self.norms:
            self.norms[state] = d.new_zeros(T)
        self.norms[state][t] = torch.linalg.vector_norm(d.detach())


class Recording:
    """What was recorded, scan by scan, in the order of the forward passes."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def of(self, cell: Cell) -> dict[str, Tensor]:
        """The norms of one cell's states; of several scans one behind the other."""
        found = [r.norms for r in self.records if r.cell is cell and r.norms]
        return {name: torch.cat([norms[name] for norms in found]) for name in cell.state if found}


_local = threading.local()


@contextmanager
def recording() -> Iterator[Recording]:
    """Inside, scans that keep what a gradient needs are recorded when that gradient is computed.

    The compiled engine keeps the gradients of the states of all steps for it, (T, N, width) each, until the
    scan's backward pass is over; the step-by-step path has a hook a step. torch.nn's kernels and scans
    inside ``torch.compile`` or with checkpoints are not recorded.

    >>> layer = unrolled.LSTM(4, 3)
    >>> with recording() as made:
    ...     layer(torch.ones(5, 2, 4))[0][-1].sum().backward()
    >>> made.records[0].norms["h"].shape, float(made.records[0].norms["c"][-1])
    (torch.Size([5]), 0.0)
    """
    before, _local.active = active(), Recording()
    try:
        yield _local.active
    finally:
        _local.active = before


@contextmanager
def paused() -> Iterator[None]:
    """Inside, nothing is recorded."""
    before, _local.active = active(), None
    try:
        yield
    finally:
        _local.active = before


def active() -> Recording | None:
    """The recording that is going on in this thread."""
    return getattr(_local, "active", None)


def opened(cell: Cell) -> Record | None:
    """A record for a scan that begins, if one is wanted."""
    if (now := active()) is None or not torch.is_grad_enabled():
        return None
    now.records.append(Record(cell))
    return now.records[-1]
