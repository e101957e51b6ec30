"""Streams: symbol after symbol through layers, head and choice, in one loop of the engine."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from unrolled.cells.cell import Cell
from unrolled.compiler.hoist import projections
from unrolled.engine import fresh, native, team
from unrolled.engine.binding import Binding
from unrolled.engine.compiled import Compiled, compiled
from unrolled.engine.prepared import Prepared, prepared

_AT_ONCE = 64  # symbols made in one call
_TRIED, _AGAIN = 8, 4096  # symbols of a trial, and from trial to trial
_TABLE_BYTES = 64 << 20  # up to this, what the first layer's matrices make of each symbol is known before


@dataclass(frozen=True)
class Choice:
    """How a symbol is chosen; the rule is that of `models.chooser.Chooser`."""

    temperature: float
    top_k: int | None
    top_p: float | None
    exclude: tuple[int, ...]
    seed: int
    position: int


class Pace:
    """One thread or all of them, whichever makes symbols faster; now and then the other is tried again.

    Threads wait for one another several times a symbol. Whether that pays depends on how the cores are connected, and
    on what else runs on them. The symbols are the same.

    >>> pace = Pace(2)
    >>> for seconds in (3e-5, 2e-5):
    ...     pace.note(*pace.next(64), seconds)
    >>> pace.next(64)
    (2, 64)
    """

    def __init__(self, most: int) -> None:
        self._counts = (1, most) if most > 1 else (1,)
        self._seconds: dict[int, float] = {}
        self._since = 0

    def next(self, count: int) -> tuple[int, int]:
        """The threads for the next symbols, ``count`` of them at most, and how many of them."""
        for threads in self._counts:
            if threads not in self._seconds:
                return threads, min(count, _TRIED)
        best = min(self._counts, key=self._seconds.__getitem__)
        if len(self._counts) > 1 and self._since >= _AGAIN:
            self._since = 0
            other = next(threads for threads in self._counts if threads != best)
            return other, min(count, _TRIED)
        self._since += count
        return best, count

    def note(self, threads: int, count: int, seconds: float) -> None:
        """What so many symbols took; a few tell nothing."""
        if count >= _TRIED:
            self._seconds[threads] = seconds / count


class Stream:
    """Layers with one sequence, fed with the symbols that the head's scores give.

    Shapes:
        inputs (V, D), what the first layer reads for each symbol; states (1, width) each; weight (V, H) and
        bias (V,) of the head.

    Arguments:
        cells: the layers, from the bottom.
        states: one tuple a cell, before the first symbol; they are copied.
    """

    def __init__(
        self,
        cells: list[Cell],
        inputs: Tensor,
        states: list[tuple[Tensor, ...]],
        weight: Tensor,
        bias: Tensor | None,
        choice: Choice,
    ) -> None:
        like = inputs = fresh.plain(inputs.detach())
        size = weight.numel() + sum(p.numel() for cell in cells for p in cell.parameters())
        most = team.chosen(torch.get_num_threads(), (2.0 * size, 0.0), 1, _AT_ONCE, N=1, by_rows=False)
        is_double = like.dtype == torch.float64
        self._native, self._pace = native.module.Stream(is_double, most), Pace(most)
        self._alive: list[object] = [inputs]
        below: Tensor | None = None
        for cell, state in zip(cells, states, strict=True):
            below = self._add(cell, state, inputs, below)
        assert below is not None
        weight = fresh.plain(weight.detach())
        bias = None if bias is None else fresh.plain(bias.detach())
        self._alive += [weight, bias]
        address = 0 if bias is None else bias.data_ptr()
        self._native.set_head(weight.data_ptr(), address, below.data_ptr(), *weight.shape)
        self._native.set_choice(
            choice.temperature,
            choice.top_k or 0,
            -1.0 if choice.top_p is None else choice.top_p,
            list(choice.exclude),
            choice.seed & (2**64 - 1),
            choice.position,
        )

    def take(self, symbol: int, count: int) -> list[int]:
        """The next ``count`` symbols, the first of them after ``symbol``.

        Raises:
            ValueError: scores that are not finite.
        """
        made: list[int] = []
        while len(made) < count:
            threads, some = self._pace.next(count - len(made))
            start = time.perf_counter()
            made += self._native.run(made[-1] if made else symbol, some, threads)
            self._pace.note(threads, some, time.perf_counter() - start)
        return made

    def _add(self, cell: Cell, state: tuple[Tensor, ...], inputs: Tensor, below: Tensor | None) -> Tensor:
        """One layer; the memory of its first state, two slices, of which one is the newer."""
        made = prepared(cell)
        assert isinstance(made, Prepared)
        program = compiled(made.step_text())
        site, parameters = program.passing_site, made.step_parameters(cell)
        width = program.passing.projected_width
        b = Binding(site, parameters, inputs, 1, 1, (1, True), [width], once=False)
        memory = []
        for s, old in zip(program.states, state, strict=True):
            slices = inputs.new_zeros(2, 1, s.width)
            slices[0].copy_(old)
            b.set(f"old:{s.name}", slices, s.width, 2)
            b.set(f"new:{s.name}", slices, s.width, 2)
            memory.append(slices)
        changing: list[int] = []
        x = program.sequences[0]
        p, source = b.index("p"), b.index(f"sequence:{x.name}")
        if width:
            b.set_memory(p, b.extra[0], width, width, width)
        if width and below is None and len(inputs) * width * inputs.element_size() <= _TABLE_BYTES:
            table = _projected(program, parameters, inputs)
            self._alive.append(table)
            changing += [p, table.data_ptr(), width]
        if below is not None:
            b.set(f"sequence:{x.name}", below, x.width, 2)
            if source >= 0:
                changing += [source, below.data_ptr(), -x.width]
        elif source >= 0:
            b.set(f"sequence:{x.name}", inputs, x.width, 1)
            changing += [source, inputs.data_ptr(), x.width]
        self._native.add_layer(site.native, b.numbers, changing, *b.packed)
        self._alive += [b, parameters, memory]
        return memory[0]


def _projected(program: Compiled, parameters: list[Tensor], inputs: Tensor) -> Tensor:
    """What the loop's projections make of each row of ``inputs``: (V, width), in the order of the plan."""
    named = dict(zip(program.parameters, parameters, strict=True))
    views = [op.view for op in projections(program.program)]
    return torch.cat([inputs @ view.of(named[view.parameter]).t() for view in views if view is not None], dim=1)
