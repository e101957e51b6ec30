"""The scan by the compiled engine, forward and backward: plans over blocks of steps, big matmuls by torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unrolled.compiler.lower import Forward
from unrolled.engine.binding import Binding
from unrolled.engine.compiled import Compiled, compiled
from unrolled.engine.flags import INSIDE

_BLOCK_BYTES = 4 << 20  # a block's projections stay in a cache between the matmul and the scan
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

    def contiguous(self) -> Given:
        def each(tensors: Sequence[Tensor]) -> list[Tensor]:
            return [t.contiguous() for t in tensors]

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
    """The outputs (T, N, width), the final states, and with ``save`` what `backward` reads."""
    program = compiled(text)
    given = given.contiguous()
    T, N = given.shape
    plan = program.saving if save else program.plain
    b = _bind(program, plan, program.native_saving if save else program.native_plain, given)
    stored = [b.empty(T if save or not k else 2, N, s.width) for k, s in enumerate(program.states)]
    first = 0 if given.direction > 0 else T - 1
    for k, s in enumerate(program.states):
        if save or not k:
            b.set(f"new:{s.name}", stored[k])
            b.set(f"old:{s.name}", stored[k], first=given.states[k])
        else:
            stored[k][first % 2].copy_(given.states[k])
            b.set(f"new:{s.name}", stored[k])
            b.set(f"old:{s.name}", stored[k])
    kept: list[Tensor] = []
    if save and plan.saved_width:
        kept = [b.empty(T, N, plan.saved_width)]
        b.set("p" if plan.in_place else "s", kept[0])
    final = [s.clone() for s in given.states] if given.flags is not None else []
    b.mask(given.flags, _forward_states(b, program, given, final))
    width = plan.projected_width
    steps = _block_steps(T, N, width * b.like.element_size())
    block = b.empty(steps, N, width) if width and not (save and plan.in_place) else None
    for begin, end in _blocks(T, steps, given.direction):
        if block is not None:
            b.set("p", block, start=begin)
        b.run(begin, end, given.direction)
    if not final:
        last = T - 1 if given.direction > 0 else 0
        final = [(s[last] if save or not k else s[(last + 1) % 2]).clone() for k, s in enumerate(stored)]
    return [stored[0], *final, *(stored[1:] + kept if save else [])]


def _bind(program: Compiled, plan: Forward, native: object, given: Given) -> Binding:
    T, N = given.shape
    parameters = dict(zip((name for name, _ in program.program.parameters), given.parameters, strict=True))
    b = Binding(plan.plan, native, parameters, given.sequences[0], T, N)
    _set_inputs(b, program, given)
    return b


def _set_inputs(b: Binding, program: Compiled, given: Given) -> None:
    for i, x in zip(program.sequences, given.sequences, strict=True):
        b.set(f"sequence:{i.name}", x)
    for i, c in zip(program.constants, given.constants, strict=True):
        b.set(f"constant:{i.name}", c)


def _forward_states(b: Binding, program: Compiled, given: Given, final: list[Tensor]) -> list[list[int]]:
    if given.flags is None:
        return []
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


def backward(text: str, given: Given, results: list[Tensor], upstream: list[Tensor], needs: Needs) -> list[Tensor]:
    """The gradients of sequences, states, resets, constants and parameters, in this order.

    ``results`` are what `forward` returned with ``save``; ``upstream`` the gradients of outputs and final
    states. Where a gradient is not wanted, an empty tensor stands.
    """
    program = compiled(text)
    given = given.contiguous()
    return _Backward(program, given, results, upstream, needs).run()


class _Backward:
    def __init__(
        self, program: Compiled, given: Given, results: list[Tensor], upstream: list[Tensor], needs: Needs
    ) -> None:
        self.program, self.given, self.needs = program, given, needs
        self.plan = program.reverse
        T, N = self.T, self.N = given.shape
        count = len(program.states)
        names = [name for name, _ in program.program.parameters]
        self.parameters = dict(zip(names, given.parameters, strict=True))
        b = self.b = Binding(self.plan.plan, program.native_reverse, self.parameters, given.sequences[0], T, N)
        _set_inputs(b, program, given)
        self.stored = [results[0], *results[1 + count : 2 * count]]
        self.saved = results[2 * count] if len(results) > 2 * count else None
        if self.saved is not None:
            b.set("s", self.saved)
        for k, s in enumerate(program.states):
            b.set(f"new:{s.name}", self.stored[k])
            b.set(f"old:{s.name}", self.stored[k], first=given.states[k])
        b.set("dy", _steps_apart(upstream[0]))
        self.first = T - 1 if given.direction > 0 else 0
        self.last = T - 1 - self.first
        self._carry(upstream[1:])
        self.totals = {i.name: b.like.new_zeros(N, i.width) for i in program.constants}
        for name, total in self.totals.items():
            b.set(f"total:{name}", total)
        self.sums = b.sums([name for _, name in self.plan.sums], [view.shape[0] for view, _ in self.plan.sums])
        widths = {a.name: a.width for a in self.plan.plan.arrays if a.name.startswith("b")}
        self.steps = _block_steps(T, N, max(widths.values(), default=1) * b.like.element_size())
        self.blocks = {name: b.empty(self.steps, N, width) for name, width in widths.items()}
        b.work_for(self.steps)
        self.dx = []
        for i, x, wanted in zip(program.sequences, given.sequences, needs.sequences, strict=True):
            self.dx.append(self._room_for_dx(i.name, x) if wanted else x.new_empty(0))
        self.dp = {
            name: torch.zeros_like(p) if wanted else None
            for (name, p), wanted in zip(self.parameters.items(), needs.parameters, strict=True)
        }
        self.totals_of = b.totals([self.dp[o.view.parameter] is not None for o in self.plan.plan.outers])

    def _room_for_dx(self, name: str, x: Tensor) -> Tensor:
        """The gradient of a sequence: the products write it, or begin with zeros where there are none."""
        written = self.b.index(f"dx:{name}") >= 0
        dx = torch.empty_like(x) if written else torch.zeros_like(x)
        self.b.set(f"dx:{name}", dx)
        return dx

    def _carry(self, d_final: list[Tensor]) -> None:
        given, b = self.given, self.b
        masked = given.flags is not None
        self.carry, self.d_initial, self.d_reset, rows = [], [], [], []
        if given.flags is not None:  # a sequence without steps ends where it began
            empty = ~(given.flags & INSIDE).bool().any(0)[:, None]
        for k, s in enumerate(self.program.states):
            carry = b.like.new_zeros(2, self.N, s.width)
            d = d_final[k].contiguous()
            if not masked:
                carry[self.first % 2].copy_(d)
            self.carry.append(carry)
            b.set(f"carry:{s.name}", carry)
            b.set(f"next:{s.name}", carry)
            if masked:
                self.d_initial.append(torch.where(empty, d, 0.0))
                self.d_reset.append(torch.zeros_like(d))
                reset = given.resets[k] if given.resets else given.states[k]
                places = [b.index(f"{role}:{s.name}") for role in ("old", "new", "carry", "next")]
                starts = [given.states[k].data_ptr(), reset.data_ptr()]
                ends = [d.data_ptr(), self.d_initial[k].data_ptr(), self.d_reset[k].data_ptr()]
                rows.append([s.width, *places, *starts, *ends])
                b.tensors[f"d final {k}"] = d
        b.mask(given.flags, rows, upstream="dy")

    def run(self) -> list[Tensor]:
        for begin, end in _blocks(self.T, self.steps, -self.given.direction):
            for name, block in self.blocks.items():
                self.b.set(name, block, start=begin)
            self.b.run(begin, end, 2 * self.given.direction)
            self._add_direct(begin, end)
        self._add_totals()
        self._add_sums()
        out = (self.last + 1) % 2
        if self.given.flags is None:
            d_states = [c[out].clone() for c in self.carry]
        else:
            d_states = [c[out] + d for c, d in zip(self.carry, self.d_initial, strict=True)]
        resets = self.d_reset if self.given.flags is not None and self.given.resets else []
        if self.given.resets and not resets:
            resets = [torch.zeros_like(r) for r in self.given.resets]
        constants = [self.totals[i.name] for i in self.program.constants]
        parameters = [self.b.like.new_empty(0) if d is None else d for d in self.dp.values()]
        return [*self.dx, *d_states, *resets, *constants, *parameters]

    def _add_direct(self, begin: int, end: int) -> None:
        """What came back to sequences that the loop reads without a matrix."""
        for k, i in enumerate(self.program.sequences):
            for name, (array, column) in self.plan.direct:
                if name == i.name and self.needs.sequences[k]:
                    d = self.blocks[array][: end - begin, :, column : column + i.width]
                    self.dx[k][begin:end].add_(d)

    def _add_totals(self) -> None:
        """The sums of the outer products, turned, as gradients of the matrices."""
        for outer, total in zip(self.plan.plan.outers, self.totals_of, strict=True):
            dp = self.dp[outer.view.parameter]
            if total is not None and dp is not None:
                across, down = outer.view.shape
                outer.view.of(dp).add_(total[:down, :across].t())

    def _add_sums(self) -> None:
        total = self.sums.sum(0)
        column = 0
        for view, _ in self.plan.sums:
            part = total[column : column + view.shape[0]]
            column += view.shape[0]
            dp = self.dp[view.parameter]
            if dp is None:
                continue
            if view.strides == (0,):
                dp.view(-1)[view.offset] += part.sum()
            else:
                view.of(dp).add_(part)


def _steps_apart(dy: Tensor) -> Tensor:
    """dL/dy as one contiguous (N, width) a step; a gradient that is the same at all steps stays one."""
    if dy.stride(0) == 0:
        return dy[:1].contiguous().expand_as(dy)
    return dy.contiguous()


def _block_steps(T: int, N: int, row_bytes: int) -> int:
    """Steps a block: as many as fit in a cache, but enough rows for a matmul."""
    fitting = _BLOCK_BYTES // max(1, N * row_bytes)
    steps = max(1, fitting, -(-_BLOCK_ROWS // N))
    count = -(-T // steps)
    return -(-T // count)


def _blocks(T: int, steps: int, direction: int) -> Iterator[tuple[int, int]]:
    blocks = [(begin, min(begin + steps, T)) for begin in range(0, T, steps)]
    yield from blocks if direction > 0 else reversed(blocks)
