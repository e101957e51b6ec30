"""Binding: which memory stands behind each array of a plan, and running the plan over it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from unrolled.compiler.plan import Plan
from unrolled.compiler.program import View
from unrolled.engine import fresh, native, team

_FEW_ROWS = 12  # up to these, in all steps together, packing a matrix takes longer than using it as it lies
_ALIGN = 16  # elements: every part of the work space begins on a line of its own


class Site:
    """What is known of a plan before any call: its arrays by kind, its matrices, the engine's own object."""

    def __init__(self, plan: Plan, parameters: Sequence[str], sums: Sequence[View] = ()) -> None:
        self.plan = plan
        self.native = native.encode(plan)
        self.work = team.operations(plan)
        self.barriers = max(1, sum(phase.barrier for phase in plan.phases))
        self.place = {array.name: k for k, array in enumerate(plan.arrays)}
        self.rows: list[tuple[int, int, View]] = []
        self.temps: list[tuple[int, int]] = []
        for k, array in enumerate(plan.arrays):
            role, _, rest = array.name.partition(":")
            if role == "row":
                view = View.parse(rest)
                self.rows.append((k, parameters.index(view.parameter), view))
            elif role == "temp":
                self.temps.append((k, array.width))
        self.packs = [(parameters.index(view.parameter), view.offset) for view in plan.packs]
        self.lies_by_rows = all(view.strides[1] == 1 for view in plan.packs)
        self.blocks = [
            (k, a.name, a.width) for k, a in enumerate(plan.arrays) if a.name[0] == "b" and ":" not in a.name
        ]
        self.sums = _side_by_side(sums)
        self.sum_width = sum(view.shape[0] for view in sums)
        self.sums_of: dict[str, list[tuple[View, int]]] = {}
        """For each parameter its parts, with their columns in the sums."""
        for view, _, column in self.sums:
            self.sums_of.setdefault(view.parameter, []).append((view, column))
        self.outers = [(o.view, o.stride, (o.sides[0][1] - 1) * (o.stride or 0) + o.sides[1][1]) for o in plan.outers]
        """Of each outer product the matrix, the row stride and the elements of its sum, where it fits in place."""

    def split(self, T: int, N: int, masked: bool = False) -> tuple[int, bool]:
        """Threads for a call, and whether each takes rows of its own.

        With flags it is ``masked``: no thread waits for another between steps then.
        """
        whole = self.plan.whole or masked
        return team.split(torch.get_num_threads(), self.work, self.barriers, T, N, whole)


class Binding:
    """One plan with its memory, for one call.

    ``row`` arrays and matrices come from ``parameters``; the caller sets the others by name. ``extra`` parts
    of the work space, in elements, are for the caller. What runs ``once`` packs its matrices when it runs, or
    does without where it has few rows; else they are packed here. ``split`` is what `Site.split` gives.
    """

    def __init__(
        self,
        site: Site,
        parameters: Sequence[Tensor],
        like: Tensor,
        T: int,
        N: int,
        split: tuple[int, bool],
        extra: Sequence[int] = (),
        once: bool = True,
    ) -> None:
        self.site, self.T, self.N, self.like = site, T, N, like
        self.is_double = like.dtype == torch.float64
        self.item = 8 if self.is_double else 4
        self.threads, self.by_rows = split
        self.numbers = [0] * (7 * len(site.plan.arrays))
        self._states: list[int] = []
        self._flags = 0
        self._upstream = -1
        self._totals: list[int] = [0, 0, 0, 0] * len(site.plan.outers)
        self._alive: list[Tensor] = []
        self._sources: list[int] = []
        as_they_lie = once and site.lies_by_rows and T * N <= _FEW_ROWS
        packed = 0 if as_they_lie else site.native.packed_size(self.is_double)
        sizes = [packed, *(2 * N * width for _, width in site.temps), *extra]
        self.starts = [0]
        for size in sizes:
            self.starts.append(self.starts[-1] + _round_up(size, _ALIGN))
        self.space = fresh.empty(like, self.starts[-1] + _ALIGN)
        self.base = self.space.data_ptr()
        self.packed = (self.base, packed)
        for j, (k, width) in enumerate(site.temps):
            self.set_memory(k, self.base + self.starts[1 + j] * self.item, 2 * N * width, N * width, width)
        self.extra = [self.base + start * self.item for start in self.starts[1 + len(site.temps) : -1]]
        addresses = [p.data_ptr() for p in parameters]
        self._set_rows(parameters, addresses)
        for p, offset in site.packs:
            self._sources += [addresses[p] + offset * self.item, parameters[p].numel() - offset]
        if as_they_lie:
            self.packed = (0, 0)
        elif not once and site.packs:
            site.native.pack(self.is_double, self.threads, self._sources, *self.packed)
            self._sources = []

    def set_memory(self, k: int, address: int, size: int, time: int, row: int) -> None:
        """Array ``k``: address, elements, elements from step to step and row to row."""
        self.numbers[7 * k : 7 * k + 7] = [address, size, time, row, 0, 0, 0]

    def set_block(self, k: int, address: int, steps: int, width: int) -> None:
        """Array ``k``, which holds the ``steps`` of one block at a time."""
        size = self.N * width
        self.numbers[7 * k : 7 * k + 7] = [address, steps * size, size, width, 1, 0, 0]

    def set(self, name: str, tensor: Tensor, width: int, steps: int = 0, first: Tensor | None = None) -> None:
        """An array (steps, N, width), or (N, width) where ``steps`` is 0; contiguous.

        ``first`` (N, width) precedes the first step of the scan. The caller keeps the tensors alive.
        """
        k = self.site.place.get(name)
        if k is None:
            return
        size = self.N * width
        before = (0, 0) if first is None else (first.data_ptr(), size)
        self.numbers[7 * k : 7 * k + 7] = [
            tensor.data_ptr(), size * (steps or 1), size if steps else 0, width, 0, *before
        ]  # fmt: skip

    def index(self, name: str) -> int:
        return self.site.place.get(name, -1)

    def set_totals(self, totals: list[int]) -> None:
        """Of each outer product: address of its sum (0: not wanted), elements, row stride, whether to add."""
        self._totals = totals

    def mask(self, flags: Tensor, states: list[list[int]], upstream: str = "") -> None:
        """Lengths and resets, as `engine.flags` makes them, and what they need of each state."""
        self._flags = flags.data_ptr()
        self._upstream = self.index(upstream)
        self._states = [n for state in states for n in state]

    def run(self, steps: int, direction: int, work: int = 0, work_size: int = 0) -> None:
        """All steps in blocks of so many; the sign of ``direction`` is the scan's, 2 means backward."""
        self.site.native.run(
            self.is_double,
            self.threads,
            self.by_rows,
            self.numbers,
            self._states,
            [self.T, self.N, steps, direction, self._upstream],
            self._flags,
            *self.packed,
            self._sources,
            self._totals,
            work,
            work_size,
        )

    def _set_rows(self, parameters: Sequence[Tensor], addresses: list[int]) -> None:
        for k, p, view in self.site.rows:
            if view.strides == (1,):
                self.set_memory(k, addresses[p] + view.offset * self.item, parameters[p].numel() - view.offset, 0, 0)
            else:
                row = view.of(parameters[p]).contiguous()
                self._alive.append(row)
                self.set_memory(k, row.data_ptr(), row.numel(), 0, 0)


def _side_by_side(views: Sequence[View]) -> list[tuple[View, str, int]]:
    """The sums with their columns, in the order of the parameters' own parts."""
    order = sorted(range(len(views)), key=lambda k: (views[k].parameter, views[k].offset))
    made, column = [], 0
    for k in order:
        made.append((views[k], f"sum:{k}", column))
        column += views[k].shape[0]
    return made


def _round_up(n: int, to: int) -> int:
    return -(-n // to) * to
