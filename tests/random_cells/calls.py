"""A random call of a layer: its inputs, and what of it is differentiated."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import torch
from torch import Tensor

import unrolled
from random_cells.cells import Source
from random_cells.ranges import INPUT

EXACT = (0.0, 1.0, -1.0, 0.5, -0.5, 2.0)
"""Numbers at which clamps and kinks are hit exactly."""


@dataclass
class Call:
    """The arguments of a layer, and the upstream gradients (None: that result is not used)."""

    x: Tensor
    state: tuple[Tensor, ...] | None
    constants: tuple[Tensor, ...]
    lengths: list[int] | None
    resets: Tensor | None
    reverse: bool
    checkpoint: int | None
    threads: int
    frozen: set[str]
    upstream: list[Tensor | None]
    again: bool
    dtype: torch.dtype = torch.float64
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        T, N, D = self.x.shape
        resets = None if self.resets is None else self.resets.int().tolist()
        used = [k for k, u in enumerate(self.upstream) if u is not None]
        return (
            f"T={T} N={N} D={D} lengths={self.lengths} resets={resets} reverse={self.reverse} "
            f"checkpoint={self.checkpoint} state={'given' if self.state else None} threads={self.threads} "
            f"upstream on {used} of y, *states; without gradient: {sorted(self.frozen)}; dtype={self.dtype}; "
            f"second call: {self.again}"
        )


def random_call(source: Source, cell: unrolled.Cell) -> Call:
    """The call that belongs to a cell's seed."""
    rng = random.Random(f"call {source.seed}")
    g = torch.Generator().manual_seed(source.seed)
    T, N = rng.choice((1, 2, 2, 3, 3, 4, 6)), rng.choice((1, 1, 2, 2, 3, 4, 5, 9))
    if rng.random() < 0.1:
        T, N = 2, rng.choice((13, 17))

    def numbers(*shape: int) -> Tensor:
        made = (torch.rand(shape, generator=g, dtype=torch.float64) * 2 - 1) * INPUT
        exact = torch.tensor(EXACT, dtype=torch.float64)[torch.randint(len(EXACT), shape, generator=g)]
        return torch.where(torch.rand(shape, generator=g) < 0.15, exact, made)

    x = numbers(T, N, cell.input_size)
    if source.positive:
        x = torch.where(x.abs() < 0.5, 0.5, x)
    if rng.random() < 0.2:
        x = x.transpose(0, 1).contiguous().transpose(0, 1)
    widths = [shape[0] for shape in cell.state_shapes().values()]
    state = tuple(numbers(N, n) for n in widths) if rng.random() < 0.5 else None
    constants = tuple(numbers(N, n) for n in source.constants)
    lengths = [rng.choice((0, T, rng.randint(0, T))) for _ in range(N)] if rng.random() < 0.45 else None
    resets = torch.rand(T, N, generator=g) < 0.3 if rng.random() < 0.35 else None
    upstream: list[Tensor | None] = [numbers(T, N, widths[0]), *(numbers(N, n) for n in widths)]
    if rng.random() < 0.5:
        kept = rng.randrange(len(upstream))
        upstream = [u if k == kept or rng.random() < 0.3 else None for k, u in enumerate(upstream)]
    takers = ["x", *(name for name, _ in cell.named_parameters())]
    takers += [f"state {k}" for k in range(len(widths))] + [f"constant {k}" for k in range(len(constants))]
    frozen = {name for name in takers if rng.random() < 0.3} if rng.random() < 0.3 else set()
    return Call(
        x,
        state,
        constants,
        lengths,
        resets,
        reverse=rng.random() < 0.35,
        checkpoint=rng.choice((1, 2, 3)) if rng.random() < 0.2 else None,
        threads=rng.choice((2, 3)) if rng.random() < 0.05 else 1,
        frozen=frozen,
        upstream=upstream,
        again=rng.random() < 0.15,
        dtype=torch.float32 if rng.random() < 0.1 else torch.float64,
    )
