"""A layer against the plainest truth there is: a Python loop over the cell's step, one sequence at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import unrolled

State = tuple[Tensor, ...]


def loop(
    cell: unrolled.Cell,
    x: Tensor,
    state: State,
    lengths: list[int] | None = None,
    resets: Tensor | None = None,
    reverse: bool = False,
) -> list[Tensor]:
    """The outputs, and the last states, by the equation alone."""
    T, N, _ = x.shape
    lengths = [T] * N if lengths is None else lengths
    rows: list[list[Tensor]] = []
    last = []
    for n, length in enumerate(lengths):
        fresh = cell.initial_state(N, like=x)
        s = tuple(a[n : n + 1] for a in state)
        rows.append([torch.zeros_like(s[0])] * T)
        for t in reversed(range(length)) if reverse else range(length):
            begins = t + 1 if reverse else t  # backwards, a sequence is over once its first step is done
            if resets is not None and begins < length and resets[begins, n]:
                s = tuple(a[n : n + 1] for a in fresh)
            new = cell.step(x[t, n : n + 1], *s)
            s = (new,) if isinstance(new, Tensor) else tuple(new)
            rows[n][t] = s[0]
        last.append(s)
    outputs = torch.stack([torch.cat(steps) for steps in zip(*rows, strict=True)])
    return [outputs, *(torch.cat(each) for each in zip(*last, strict=True))]


def outputs(cell: unrolled.Cell, x: Tensor) -> Tensor:
    """The outputs alone, from the initial state, with one call of ``step`` for each step of all sequences."""
    state = cell.initial_state(x.shape[1], like=x)
    rows = []
    for x_t in x:
        new = cell.step(x_t, *state)
        state = (new,) if isinstance(new, Tensor) else tuple(new)
        rows.append(state[0])
    return torch.stack(rows)


def compare(
    cell: unrolled.Cell,
    T: int = 5,
    N: int = 6,
    lengths: list[int] | None = None,
    resets: Tensor | None = None,
    state: list[Tensor] | None = None,
    reverse: bool = False,
    backend: str = "engine",
    tolerance: float = 1e-10,
    **layer: Any,
) -> None:
    """Values with and without gradients, and every gradient by name."""
    torch.manual_seed(0)
    x = torch.randn(T, N, cell.input_size, dtype=torch.float64, requires_grad=True)
    if state is None:
        state = [torch.randn(N, *shape, dtype=torch.float64) for shape in cell.state_shapes().values()]
    given = tuple(s.requires_grad_() for s in state)
    made = unrolled.Recurrent(cell, reverse=reverse, backend=backend, **layer)
    wanted = loop(cell, x, given, lengths, resets, reverse)
    with torch.no_grad():
        plain = made(x, given, lengths=lengths, resets=resets)
    saving = made(x, given, lengths=lengths, resets=resets)
    names = ["y", *(f"last {name}" for name in cell.state)]
    for y, last in (plain, saving):
        for name, a, b in zip(names, (y, *last), wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")

    of = {"x": x} | dict(zip(cell.state, given, strict=True)) | dict(cell.named_parameters())
    outputs = [k for k, a in enumerate(wanted) if a.requires_grad]
    up = [torch.randn_like(wanted[k]) for k in outputs]
    ours = torch.autograd.grad([(saving[0], *saving[1])[k] for k in outputs], of.values(), up, allow_unused=True)
    truth = torch.autograd.grad([wanted[k] for k in outputs], of.values(), up, allow_unused=True)
    for (name, p), a, b in zip(of.items(), ours, truth, strict=True):
        a, b = (torch.zeros_like(p) if d is None else d for d in (a, b))
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance, msg=lambda m, n=name: f"gradient of {n}: {m}")
