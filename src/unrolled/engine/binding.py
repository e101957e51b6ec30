"""Binding: which tensor stands behind each array of a plan, and running the plan over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from unrolled.compiler.plan import Plan
from unrolled.compiler.program import View
from unrolled.engine import native

_NONE = 0


class Binding:
    """One plan with its tensors, for one call.

    ``row`` arrays and packed matrices come from ``parameters``; the caller sets the others by name, and
    ``temp`` arrays are made here.
    """

    def __init__(self, plan: Plan, made: Any, parameters: Mapping[str, Tensor], like: Tensor, T: int, N: int) -> None:
        self.plan, self.native, self.parameters = plan, made, parameters
        self.T, self.N, self.like = T, N, like
        self.is_double = like.dtype == torch.float64
        self.threads = torch.get_num_threads()
        self.tensors: dict[str, Tensor] = {}
        self._place = {array.name: k for k, array in enumerate(plan.arrays)}
        self._numbers = [0] * (7 * len(plan.arrays))
        self._states: list[int] = []
        self._flags: Tensor | None = None
        self._upstream = -1
        self._totals: list[int] = [_NONE] * len(plan.outers)
        self._work = like.new_empty(0)
        for array in plan.arrays:
            role, _, rest = array.name.partition(":")
            if role == "row":
                self._set_row(array.name, View.parse(rest))
            elif role == "temp":
                self.set(array.name, self.empty(2, N, array.width))
        self._pack()

    def empty(self, *shape: int) -> Tensor:
        return self.like.new_empty(shape)

    def index(self, name: str) -> int:
        return self._place.get(name, -1)

    def set(self, name: str, tensor: Tensor, start: int = 0, first: Tensor | None = None) -> None:
        """The tensor of one array: (steps, N, width) from step ``start`` on, or (N, width); contiguous within a step.

        ``first`` (N, width) precedes the first step of the scan.
        """
        k = self._place.get(name)
        if k is None:
            return
        self.tensors[name] = tensor
        self.tensors[f"first {name}"] = tensor if first is None else first
        row, time = tensor.shape[-1], 0  # not tensor.stride(): it says anything where a dimension is 1
        if tensor.dim() == 3 and (tensor.stride(0) or tensor.shape[0] == 1):
            time = tensor.shape[1] * row
        before = (_NONE, 0) if first is None else (first.data_ptr(), first.numel())
        size = tensor.numel() if time or tensor.dim() < 3 else tensor[0].numel()
        self._numbers[7 * k : 7 * k + 7] = [tensor.data_ptr(), size, time, row, start, *before]

    def sums(self, names: list[str], widths: list[int]) -> Tensor:
        """One row a thread for each of the arrays, side by side in one tensor of zeros, which is returned."""
        total = self.like.new_zeros(self.threads, sum(widths))
        column = 0
        for name, width in zip(names, widths, strict=True):
            k = self._place[name]
            address = total.data_ptr() + column * total.element_size()
            self._numbers[7 * k : 7 * k + 7] = [address, total.numel() - column, total.stride(0), 0, 0, 0, 0]
            column += width
        self.tensors["sums"] = total
        return total

    def totals(self, wanted: list[bool]) -> list[Tensor | None]:
        """Zeros for the sum of each outer product that is wanted: rows rounded up to 6, columns to a panel."""
        made: list[Tensor | None] = []
        panel = native.module.panel(self.is_double)
        for outer, want in zip(self.plan.outers, wanted, strict=True):
            across, down = outer.view.shape
            made.append(self.like.new_zeros(_round_up(down, 6), _round_up(across, panel)) if want else None)
        self._totals = [_NONE if t is None else t.data_ptr() for t in made]
        return made

    def mask(self, flags: Tensor | None, states: list[list[int]], upstream: str = "") -> None:
        """Lengths and resets, as `engine.flags` makes them, and what they need of each state."""
        self._flags = flags
        self._upstream = self.index(upstream) if flags is not None else -1
        self._states = [n for state in states for n in state] if flags is not None else []

    def run(self, begin: int, end: int, direction: int) -> None:
        """Steps ``begin`` to ``end``; the sign of ``direction`` is the scan's, 2 means backward."""
        flags = 0 if self._flags is None else self._flags.data_ptr()
        self.native.run(
            self.is_double,
            self.threads,
            self._numbers,
            self._states,
            [self.T, self.N, begin, end, direction, self._upstream],
            flags,
            self._packed.data_ptr() or 8,
            self._packed.numel(),
            self._totals,
            self._work.data_ptr() or 8,
            self._work.numel(),
        )

    def work_for(self, steps: int) -> None:
        """Room for the packed sides of the outer products of a block."""
        self._work = self.empty(self.native.work_size(self.is_double, steps * self.N))

    def _pack(self) -> None:
        self._packed = self.empty(self.native.packed_size(self.is_double))
        if self.plan.packs:
            sources = []
            for view in self.plan.packs:
                p = self.parameters[view.parameter]
                sources += [p.data_ptr() + view.offset * p.element_size(), p.numel() - view.offset]
            self.native.pack(self.is_double, self.threads, sources, self._packed.data_ptr(), self._packed.numel())

    def _set_row(self, name: str, view: View) -> None:
        row = view.of(self.parameters[view.parameter])
        if view.strides != (1,):
            row = row.contiguous()
        self.tensors[name] = row
        k = self._place[name]
        self._numbers[7 * k : 7 * k + 7] = [row.data_ptr(), row.numel(), 0, 0, 0, 0, 0]


def _round_up(n: int, to: int) -> int:
    return -(-n // to) * to
