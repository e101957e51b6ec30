"""Checkpointed unrolling: what a backward pass needs is kept for some steps at a time, and else computed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unrolled.cells.cell import Cell
from unrolled.cells.shown import shown
from unrolled.engine import ops, recording
from unrolled.layers import paths
from unrolled.layers.modes import in_modes, modes

State = tuple[Tensor, ...]


def scan(
    steps: int,
    backend: str,
    cell: Cell,
    x: Tensor,
    state: State,
    lengths: Tensor | None,
    resets: Tensor | None,
    reverse: bool,
    constants: State,
) -> tuple[Tensor, State]:
    """As `paths.scan`, ``steps`` steps at a time; the backward pass computes each segment again.

    The whole is one node of the graph: torch.utils.checkpoint has one for each operation of each segment,
    and the small memory that they hold keeps the large blocks between them from being used again.

    Cost:
        x, the outputs, and the states at each segment's border; what `paths.scan` saves, for one segment.
        A second derivative takes the memory of the whole run.

    Source:
        T. Chen, B. Xu, C. Zhang & C. Guestrin, "Training deep nets with sublinear memory cost" (2016).
    """
    learned = tuple(p for p in (*cell.parameters(), *cell.buffers()) if p.requires_grad)
    fixed = tuple(p for p in cell.parameters() if not p.requires_grad)
    lengths, resets = (None if t is None else t.clone() for t in (lengths, resets))  # whatever happens to them later
    counts = len(state), len(constants)
    call = _Call(steps, backend, cell, lengths, resets, reverse, *counts, learned, fixed, _Snapshot(cell, x))
    whole, *last = _Checkpointed.apply(call, x, *state, *constants, *learned)
    return whole, tuple(last)


@dataclass(frozen=True)
class _Call:
    """One call of a layer, but for its tensors that may have a gradient."""

    steps: int
    backend: str
    cell: Cell
    lengths: Tensor | None
    resets: Tensor | None
    reverse: bool
    states: int
    constants: int
    learned: State
    fixed: State
    snapshot: _Snapshot

    def segments(self, T: int) -> list[tuple[int, int]]:
        """First and last + 1 of each segment's steps, in the order of the scan."""
        segments = [(begin, min(begin + self.steps, T)) for begin in range(0, T, self.steps)]
        return segments[::-1] if self.reverse else segments

    def run(self, begin: int, end: int, x: Tensor, state: State, constants: State) -> State:
        """Steps ``begin`` to ``end``, given their x: the outputs, and the states after them."""
        lengths, resets = self.lengths, self.resets
        if self.reverse and resets is not None and end < len(resets):  # the scan sees none beyond its own steps
            fresh = resets[end] if lengths is None else resets[end] & (end < lengths)
            initial = self.cell.initial_state(x.shape[1], like=x)
            state = tuple(
                torch.where(fresh.view(-1, *[1] * (a.dim() - 1)), a, b) for a, b in zip(initial, state, strict=True)
            )
        lengths = None if lengths is None else (lengths - begin).clamp(0, end - begin)
        resets = None if resets is None else resets[begin:end]
        output, last = paths.scan(self.backend, self.cell, x, state, lengths, resets, self.reverse, constants)
        return output, *last

    def parted(self, tensors: Sequence[Any]) -> tuple[tuple, tuple, tuple]:
        """What was given behind x: states, constants, learned tensors."""
        first, second = self.states, self.states + self.constants
        return tuple(tensors[:first]), tuple(tensors[first:second]), tuple(tensors[second:])


class _Checkpointed(torch.autograd.Function):
    """The outputs and last states of all segments as a function of x, states, constants and learned tensors."""

    @staticmethod
    def forward(ctx: Any, call: _Call, x: Tensor, *tensors: Tensor) -> State:
        state, constants, _ = call.parted(tensors)
        segments = call.segments(x.shape[0])
        # each in one block: small ones would lie between the large blocks, and keep them apart once they are free
        ctx.borders = [s.new_empty(len(segments), *s.shape) for s in state]
        ctx.numbers = [n.new_empty(len(segments), *n.shape) for n in call.snapshot.numbers()]
        whole = x.new_empty(0)
        for k, (begin, end) in enumerate(segments):
            for block, now in zip((*ctx.borders, *ctx.numbers), (*state, *call.snapshot.numbers()), strict=True):
                block[k] = now
            output, *last = call.run(begin, end, x[begin:end], state, constants)
            if not k:
                whole = output.new_empty(x.shape[0], *output.shape[1:])
            whole[begin:end] = output
            state = tuple(last)
            del output, last
        ctx.call = call
        ctx.save_for_backward(x, *tensors, *call.fixed)  # the last for torch to see when they are changed in place
        ctx.set_materialize_grads(False)
        return whole, *(s.clone() for s in state)

    @staticmethod
    def backward(ctx: Any, d_whole: Tensor | None, *d_state: Tensor | None) -> tuple:
        call, wanted = ctx.call, ctx.needs_input_grad[1:]
        x, *tensors = ctx.saved_tensors[: len(wanted)]
        if torch.is_grad_enabled() or ops.batched((d_whole, *d_state)):
            return None, *_at_once(call, x, tensors, wanted, (d_whole, *d_state))
        dx = torch.zeros_like(x) if wanted[0] else None
        behind = [t.detach().requires_grad_(w) for t, w in zip(tensors, wanted[1:], strict=True)]
        _, constants, learned = call.parted(behind)
        in_place = dict(zip(call.learned, learned, strict=True))
        totals: list[Tensor | None] = [None] * (len(constants) + len(learned))
        for k, (begin, end) in reversed(list(enumerate(call.segments(x.shape[0])))):
            part = x[begin:end].detach().requires_grad_(wanted[0])
            state = tuple(s[k].detach().requires_grad_(s.is_floating_point()) for s in ctx.borders)
            again = call.snapshot.again([n[k] for n in ctx.numbers], in_place)
            with torch.enable_grad(), recording.paused(), again:
                results = call.run(begin, end, part, state, constants)
            upstream = (None if d_whole is None else d_whole[begin:end], *d_state)
            d_part, *rest = _gradients(results, (part, *state, *constants, *learned), upstream)
            del results
            if dx is not None and d_part is not None:
                dx[begin:end] = d_part
            d_state = tuple(rest[: len(state)])
            totals = [_sum(a, b) for a, b in zip(totals, rest[len(state) :], strict=True)]
        return None, dx, *d_state, *totals


def _at_once(call: _Call, x: Tensor, tensors: list[Tensor], wanted: Sequence[bool], upstream: tuple) -> list:
    """The gradients of the whole run, as tensors that can be differentiated again if gradients are enabled."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # views, since one of the tensors may be computed from another, whose gradient would be counted twice
        x, *behind = (t.view_as(t) if w else t.detach() for t, w in zip((x, *tensors), wanted, strict=True))
    state, constants, learned = call.parted(behind)
    with torch.enable_grad(), call.snapshot.again((), dict(zip(call.learned, learned, strict=True))):
        output, last = paths.scan(
            call.backend, call.cell, x, state, call.lengths, call.resets, call.reverse, constants
        )
    return _gradients((output, *last), (x, *behind), upstream, create_graph=again)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def _gradients(
    results: State, of: Sequence[Tensor], upstream: Sequence[Tensor | None], create_graph: bool = False
) -> list[Tensor | None]:
    """The gradient with respect to each of ``of``; None where there is none."""
    chosen = [(m, d) for m, d in zip(results, upstream, strict=True) if d is not None and m.requires_grad]
    targets = [t for t in of if t.requires_grad]
    if not chosen or not targets:
        return [None] * len(of)
    outputs, d_outputs = zip(*chosen, strict=True)
    gradients = iter(torch.autograd.grad(outputs, targets, d_outputs, allow_unused=True, create_graph=create_graph))
    return [next(gradients) if t.requires_grad else None for t in of]


class _Snapshot:
    """What a cell's steps read beside their arguments, as it is at a call, whatever happens later.

    Parameters and buffers, drawn weights among them; modes; the number type of autocast; the places of the
    random number generators.
    """

    def __init__(self, cell: Cell, x: Tensor) -> None:
        self._modes = modes(cell)
        self._tables = [
            (module, name, dict(table.items()))
            for module in self._modes
            for name, table in (("_parameters", module._parameters), ("_buffers", module._buffers))
            if table
        ]
        self._device = x.device
        kind = x.device.type
        self._autocast = (kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))

    def numbers(self) -> tuple[Tensor, ...]:
        """Where the random number generators stand."""
        own = (torch.cuda.get_rng_state(self._device),) if self._device.type == "cuda" else ()
        return torch.get_rng_state(), *own

    @contextmanager
    def again(self, numbers: Sequence[Tensor], in_place: Mapping[Tensor, Tensor]) -> Iterator[None]:
        """Inside, this thread sees all as it was, but with other tensors in place of some; the generators stand at
        ``numbers``."""
        then = [
            (module, table, {name: in_place.get(t, t) for name, t in members.items()})  # type: ignore[arg-type]
            for module, table, members in self._tables
        ]
        kind, dtype, on = self._autocast
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices), in_modes(self._modes), torch.autocast(kind, dtype, enabled=on):
            if numbers:
                torch.set_rng_state(numbers[0].clone())  # it reads past views
            for state in numbers[1:]:
                torch.cuda.set_rng_state(state.clone(), self._device)
            with shown(then):
                yield
