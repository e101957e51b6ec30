"""The scan by the compiled engine, forward and backward: plans over blocks of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unrolled.engine import fresh
from unrolled.engine.binding import Binding
from unrolled.engine.compiled import Compiled, compiled
from unrolled.engine.flags import INSIDE
from unrolled.engine.recording import Record

_BLOCK_BYTES = 1 << 20  # a block's arrays stay in a cache between what writes and what reads them
_BLOCK_ROWS = 256  # fewer rows make the gradients' matmuls slow


@dataclass(frozen=True)
class Given:
    """What a scan reads. Sequences (T, N, width); states, resets and constants (N, width)."""

    sequences: Sequence[Tensor]
    states: Sequence[Tensor]
    resets: Sequence[Tensor]
    constants: Sequence[Tensor]
    parameters: Sequence[Tensor]
    flags: Tensor | None
    reverse: bool

    @property
    def shape(self) -> tuple[int, int]:
        return self.sequences[0].shape[0], self.sequences[0].shape[1]

    @property
    def direction(self) -> int:
        return -1 if self.reverse else 1

    def plain(self) -> Given:
        """The same, as arrays in memory."""

        def each(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
            return tensors if all(map(fresh.is_plain, tensors)) else [fresh.plain(t) for t in tensors]

        return Given(
            each(self.sequences),
            each(self.states),
            each(self.resets),
            each(self.constants),
            each(self.parameters),
            self.flags,
            self.reverse,
        )


def forward(text: str, given: Given, save: bool) -> list[Tensor]:
    """The outputs (T, N, width), the final states, and with ``save`` what `backward` reads.

    That is: the other states at all steps, the saved values if there are any, and with flags the first state as it
    was computed, padding included.
    """
    program = compiled(text)
    given = given.plain()
    T, N = given.shape
    plan = program.saving if save else program.plain
    like = given.sequences[0]
    width = plan.projected_width
    steps = _block_steps(T, N, width * like.element_size())
    in_block = width and not (save and plan.in_place)
    site = program.saving_site if save else program.plain_site
    extra = [steps * N * width] if in_block else []
    b = Binding(site, given.parameters, like, T, N, site.split(T, N, given.flags is not None), extra)
    _set_inputs(b, program, given)
    stored = [fresh.empty(like, T if save or not k else 2, N, s.width) for k, s in enumerate(program.states)]
    first = 0 if given.direction > 0 else T - 1
    for k, s in enumerate(program.states):
        steps_stored = T if save or not k else 2
        b.set(f"new:{s.name}", stored[k], s.width, steps_stored)
        b.set(f"old:{s.name}", stored[k], s.width, steps_stored, first=given.states[k])
        if not save and k:
            stored[k][first % 2].copy_(given.states[k])
    kept: list[Tensor] = []
    if save and plan.saved_width:
        kept = [fresh.empty(like, T, N, plan.saved_width)]
        b.set("p" if plan.in_place else "s", kept[0], plan.saved_width, T)
    final = []
    if given.flags is not None:
        final = [s.clone() for s in given.states]
        b.mask(given.flags, _forward_states(b, program, given, final))
    if in_block:
        b.set_block(b.index("p"), b.extra[0], steps, width)
    b.run(steps, given.direction)
    if not final:
        last = T - 1 if given.direction > 0 else 0
        final = [(s[last] if save or not k else s[(last + 1) % 2]).clone() for k, s in enumerate(stored)]
    output = stored[0]
    if given.flags is not None:  # what stands in the padding is read again by the backward step, and by nobody else
        output = torch.where((given.flags & INSIDE).bool()[..., None], stored[0], 0.0)
        kept += [stored[0]]
    return [output, *final, *(stored[1:] + kept if save else [])]


def _set_inputs(b: Binding, program: Compiled, given: Given) -> None:
    for i, x in zip(program.sequences, given.sequences, strict=True):
        b.set(f"sequence:{i.name}", x, i.width, b.T)
    for i, c in zip(program.constants, given.constants, strict=True):
        b.set(f"constant:{i.name}", c, i.width)


def _forward_states(b: Binding, program: Compiled, given: Given, final: list[Tensor]) -> list[list[int]]:
    made = []
    for k, s in enumerate(program.states):
        reset = given.resets[k] if given.resets else given.states[k]
        places = [b.index(f"old:{s.name}"), b.index(f"new:{s.name}"), -1, -1]
        made.append([s.width, *places, given.states[k].data_ptr(), reset.data_ptr(), final[k].data_ptr(), 0, 0])
    return made


@dataclass(frozen=True)
class Needs:
    """Which gradients are wanted."""

    sequences: Sequence[bool]
    parameters: Sequence[bool]


def backward(
    text: str,
    given: Given,
    results: Sequence[Tensor],
    upstream: Sequence[Tensor | None],
    needs: Needs,
    record: Record | None = None,
) -> list[Tensor]:
    """The gradients of sequences, states, resets, constants and parameters, in this order.

    ``results`` are what `forward` returned with ``save``, of which the final states are not read;
    ``upstream`` the gradients of outputs and final states, None for zero. Where a gradient is not wanted, or a
    parameter has none, an empty tensor stands. ``record`` gets the gradient of every state at every step.
    """
    program = compiled(text)
    given = given.plain()
    return _Backward(program, given, results, upstream, needs, record).run()


class _Backward:
    def __init__(
        self,
        program: Compiled,
        given: Given,
        results: Sequence[Tensor],
        upstream: Sequence[Tensor | None],
        needs: Needs,
        record: Record | None,
    ) -> None:
        self.program, self.given, self.needs, self.record = program, given, needs, record
        T, N = given.shape
        site = self.site = program.reverse_site if record is None else program.recording_site
        like = given.sequences[0]
        self.is_double = like.dtype == torch.float64
        split = site.split(T, N, given.flags is not None)
        sides, sums = site.native.work_sizes(self.is_double, N, *split)
        row = max((width for _, _, width in site.blocks), default=1) + sides
        self.steps = _block_steps(T, N, row * like.element_size())
        self.work_size = self.steps * N * sides + sums
        extra = [*(self.steps * N * width for _, _, width in site.blocks), self.work_size]
        b = self.b = Binding(site, given.parameters, like, T, N, split, extra)
        for (k, _, width), at in zip(site.blocks, b.extra, strict=False):
            b.set_block(k, at, self.steps, width)
        _set_inputs(b, program, given)
        count = len(program.states)
        stored = [results[0] if given.flags is None else results[-1], *results[1 + count : 2 * count]]
        if program.saving.saved_width:
            b.set("s", results[2 * count], program.saving.saved_width, T)
        for k, s in enumerate(program.states):
            b.set(f"new:{s.name}", stored[k], s.width, T)
            b.set(f"old:{s.name}", stored[k], s.width, T, first=given.states[k])
        dy, same = _by_steps(upstream[0], like, (N, program.states[0].width))
        b.set("dy", dy, program.states[0].width, 0 if same else T)
        self.dy = dy
        self.kept = [dy, *results]  # alive as long as the binding
        self.first = T - 1 if given.direction > 0 else 0
        self._set_carry(upstream[1:])
        self.constants = [like.new_zeros(N, i.width) for i in program.constants]
        for i, total in zip(program.constants, self.constants, strict=True):
            b.set(f"total:{i.name}", total, i.width)
        self._set_sums(like)
        self._set_gradients(like)

    def _set_carry(self, d_final: Sequence[Tensor | None]) -> None:
        """The gradients that go from step to step: two slices a state, read and written in turn.

        With a record one slice a step, and one more for the gradient of the states before the first.
        """
        given, b, N = self.given, self.b, self.b.N
        flags, rows = given.flags, []
        self.carry, self.d_initial, self.d_reset = [], [], []
        if flags is not None:  # a sequence without steps ends where it began
            empty = ~(flags & INSIDE).bool().any(0)[:, None]
        for k, s in enumerate(self.program.states):
            slices = 2 if self.record is None else b.T + 1
            carry = fresh.empty(b.like, slices, N, s.width)
            self.carry.append(carry)
            b.set(f"carry:{s.name}", carry, s.width, slices)
            b.set(f"next:{s.name}", carry, s.width, slices, first=None if self.record is None else carry[-1])
            d = d_final[k]
            if flags is None:
                now = carry[self.first % 2 if self.record is None else self.first]
                now.zero_() if d is None else now.copy_(d)
                continue
            d = b.like.new_zeros(N, s.width) if d is None else fresh.plain(d)
            carry.zero_()
            self.d_initial.append(torch.where(empty, d, 0.0))
            self.d_reset.append(torch.zeros_like(d))
            self.kept.append(d)
            reset = given.resets[k] if given.resets else given.states[k]
            places = [b.index(f"{role}:{s.name}") for role in ("old", "new", "carry", "next")]
            starts = [given.states[k].data_ptr(), reset.data_ptr()]
            ends = [d.data_ptr(), self.d_initial[k].data_ptr(), self.d_reset[k].data_ptr()]
            rows.append([s.width, *places, *starts, *ends])
        if flags is not None:
            b.mask(flags, rows, upstream="dy")

    def _set_sums(self, like: Tensor) -> None:
        """One row a thread for sums over rows, which are gradients of vectors."""
        b, width = self.b, self.site.sum_width
        self.sums = like.new_zeros(b.threads, width)
        base = self.sums.data_ptr()
        for _, name, column in self.site.sums:
            b.set_memory(b.index(name), base + column * b.item, b.threads * width - column, width, 0)

    def _set_gradients(self, like: Tensor) -> None:
        program, needs, b = self.program, self.needs, self.b
        self.dx = []
        for i, x, wanted in zip(program.sequences, self.given.sequences, needs.sequences, strict=True):
            if not wanted:
                self.dx.append(like.new_empty(0))
                continue
            written = b.index(f"dx:{i.name}") >= 0  # it stays zero where nothing comes back
            self.dx.append(fresh.empty(x, *x.shape) if written else torch.zeros_like(x))
            b.set(f"dx:{i.name}", self.dx[-1], i.width, b.T)
        self.dp: dict[str, Tensor] = {}
        self._apart: dict[int, Tensor] = {}
        for name, p, wanted, covered, reached in zip(
            program.parameters, self.given.parameters, needs.parameters, program.covered, program.reached, strict=True
        ):
            if wanted and reached:
                self.dp[name] = fresh.empty(p, *p.shape) if covered and b.T and b.N else torch.zeros_like(p)
        self._covered = dict(zip(program.parameters, program.covered, strict=True))
        self._set_totals()

    def _set_totals(self) -> None:
        """Where the engine adds up the gradients of matrices: in place, or beside it where columns lie apart."""
        b, numbers = self.b, []
        for k, (view, stride, size) in enumerate(self.site.outers):
            whole = self.dp.get(view.parameter)
            if whole is None:
                numbers += [0, 0, 0, 0]
            elif stride is not None:
                add = not self._covered[view.parameter]
                numbers += [whole.data_ptr() + view.offset * b.item, size, stride, int(add)]
            else:
                total = self._apart[k] = fresh.empty(b.like, *view.shape)
                numbers += [total.data_ptr(), total.numel(), view.shape[1], 0]
        b.set_totals(numbers)

    def run(self) -> list[Tensor]:
        b = self.b
        b.run(self.steps, 2 * self.given.direction, b.extra[-1], self.work_size)
        self._add_totals()
        self._add_sums()
        last = b.T - 1 - self.first
        d_states = [c[(last + 1) % 2 if self.record is None else -1] for c in self.carry]
        if self.record is not None:
            self._tell(self.record)
        resets = [torch.zeros_like(r) for r in self.given.resets]
        if self.given.flags is not None:
            d_states = [d + more for d, more in zip(d_states, self.d_initial, strict=True)]
            resets = self.d_reset if resets else []
        empty = b.like.new_empty(0)
        parameters = [self.dp.get(name, empty) for name in self.program.parameters]
        return [*self.dx, *d_states, *resets, *self.constants, *parameters]

    def _tell(self, record: Record) -> None:
        """The gradient of the loss with respect to the states after each step."""
        for k, (s, carry) in enumerate(zip(self.program.states, self.carry, strict=True)):
            d = carry[: self.b.T]
            if not k:  # the first state is the output, too; nobody reads the gradients of single steps again
                flags = self.given.flags
                d += self.dy if flags is None else self.dy * (flags & INSIDE).bool()[..., None]
            record.add(s.name, d)

    def _add_totals(self) -> None:
        """What was added up beside its parameter."""
        for k, total in self._apart.items():
            view = self.site.outers[k][0]
            view.of(self.dp[view.parameter]).add_(total)

    def _add_sums(self) -> None:
        """What the threads summed over rows, as gradients of vectors."""
        if not self.site.sums:
            return
        total = self.sums.sum(0)
        for name, p in zip(self.program.parameters, self.given.parameters, strict=True):
            views = self.site.sums_of.get(name)
            if views is None or name not in self.dp:
                continue
            first = views[0][1]
            if self._covered[name] and sum(v.shape[0] for v, _ in views) == p.numel():
                self.dp[name] = total[first : first + p.numel()].view(p.shape)  # side by side, in its own order
                continue
            for view, column in views:
                part = total[column : column + view.shape[0]]
                if view.strides == (0,):
                    self.dp[name].view(-1)[view.offset] += part.sum()
                elif self._covered[name]:
                    view.of(self.dp[name]).copy_(part)
                else:
                    view.of(self.dp[name]).add_(part)


def _by_steps(dy: Tensor | None, like: Tensor, shape: tuple[int, int]) -> tuple[Tensor, bool]:
    """dL/dy as one contiguous (N, width) a step, and whether one stands for all steps."""
    if dy is None:
        return like.new_zeros(shape), True
    if dy.stride(0) == 0:
        return fresh.plain(dy[0]), True
    return fresh.plain(dy), False


def _block_steps(T: int, N: int, row_bytes: int) -> int:
    """Steps a block: as many as fit in a cache, but enough rows for a matmul."""
    fitting = _BLOCK_BYTES // max(1, N * row_bytes)
    steps = max(1, fitting, -(-_BLOCK_ROWS // N))
    count = -(-T // steps)
    return -(-T // count)
