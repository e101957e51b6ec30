"""Two ways to the same numbers: what a layer returns, with every gradient by name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from engine.own_cells import make
from unrolled import Recurrent

CLOSE = {"rtol": 1e-10, "atol": 1e-10}
"""Double precision, sums of some thousand products in another order: about 1e-13, and a margin."""


@dataclass(frozen=True)
class Case:
    """A cell and what it is called with."""

    cell: Any
    x: Tensor
    state: tuple[Tensor, ...] | None = None
    constants: tuple[Tensor, ...] = ()
    lengths: Tensor | None = None
    resets: Tensor | None = None
    reverse: bool = False
    upstream: list[Tensor] = field(default_factory=list)

    def layer(self, backend: str) -> Recurrent:
        return Recurrent(self.cell, reverse=self.reverse, backend=backend)

    def but(self, **changes: Any) -> Case:
        return replace(self, **changes)


def case(name: str, T: int = 5, N: int = 3, D: int = 3, H: int = 4, seed: int = 0, flags: str = "", **more) -> Case:
    """A random call of the cell ``name``; ``flags`` may hold "lengths", "resets", "state"."""
    cell = make(name, D, H, seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64)

    state = tuple(random(N, *shape) for shape in cell.state_shapes().values()) if "state" in flags else None
    lengths = torch.randint(0, T + 1, (N,)) if "lengths" in flags else None
    resets = torch.rand(T, N) < 0.3 if "resets" in flags else None
    constants = tuple(random(N, 2) for _ in cell.constants)
    widths = [s[0] for s in cell.state_shapes().values()]
    upstream = [random(T, N, widths[0]), *(random(N, w) for w in widths)]
    return Case(cell, random(T, N, cell.input_size), state, constants, lengths, resets, upstream=upstream, **more)


def leaf(t: Tensor) -> Tensor:
    """The same numbers in the same memory layout, asked for a gradient."""
    return t.detach().requires_grad_()


def results(c: Case, backend: str = "engine") -> dict[str, Tensor]:
    """Output, final states, and every gradient for ``c.upstream``."""
    layer = c.layer(backend)
    x, state = leaf(c.x), None if c.state is None else tuple(map(leaf, c.state))
    constants = tuple(map(leaf, c.constants))
    layer.zero_grad()
    y, last = layer(x, state, c.lengths, c.resets, constants)
    torch.autograd.backward([y, *last], c.upstream)
    found = {"y": y, "dx": x.grad}
    found |= {f"s{k}": s for k, s in enumerate(last)}
    found |= {f"ds{k}": s.grad for k, s in enumerate(state or ())} | {
        f"dk{k}": t.grad for k, t in enumerate(constants)
    }
    found |= {f"d{name}": p.grad for name, p in layer.named_parameters()}
    return {name: None if t is None else t.detach().clone() for name, t in found.items()}


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor], **tolerance: Any) -> None:
    """Equal by name; no gradient is a gradient of zero."""
    assert a.keys() == b.keys()
    for name, p in a.items():
        q = b[name]
        p, q = (torch.zeros(()) if t is None else t for t in (p, q))
        if p.dim() != q.dim():
            p, q = torch.broadcast_tensors(p.to(torch.float64), q.to(torch.float64))
        torch.testing.assert_close(
            p, q, **(tolerance or CLOSE), equal_nan=True, msg=lambda m, name=name: f"{name}: {m}"
        )


def check(c: Case, **tolerance: Any) -> None:
    """The engine's results are the equation's."""
    assert_same(results(c), results(c, "eager"), **tolerance)
