"""A network as a dynamical system: the step from all its states to the next, and derivatives of that step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from unrolled.insight.opening import inputs_of, opened
from unrolled.layers import Bidirectional, Recurrent
from unrolled.layers.directions import directions

_ROWS = 4096
"""Rows of one batch: a Jacobian is computed with one row for each number of the state."""


@dataclass(frozen=True)
class Dynamics:
    """s_t = F(x_t, s_{t-1}), with the states of all its layers behind one another.

    Fields:
        layers: from below, one direction each.
        names: the state of each part, ``"1.h"``, and its width.
        x: inputs in the order in which they are read (T, N, D).
        states: before the first step and after each (T + 1, N, S).
    """

    layers: list[Recurrent]
    names: dict[str, int]
    x: Tensor
    states: Tensor

    @property
    def size(self) -> int:
        """S, the numbers of all states together."""
        return self.states.shape[2]

    def step(self, x: Tensor, s: Tensor) -> Tensor:
        """F: (R, D) and (R, S) to (R, S); rows do not know of each other."""
        return _step(self.layers, x, s)

    def pull(self, t: int, rows: Tensor) -> Tensor:
        """Each row times the Jacobian of step ``t``: (N, k, S) to (N, k, S)."""
        N, k, S = rows.shape
        x = self.x[t].repeat_interleave(k, dim=0)
        s = self.states[t].repeat_interleave(k, dim=0)
        return _pulled(self.layers, x, s, rows.reshape(N * k, S)).view(N, k, S)

    def jacobians(self, n: int) -> Iterator[Tensor]:
        """ds_t/ds_{t-1} (S, S) of sequence ``n``, step after step."""
        S = self.size
        unit = torch.eye(S, dtype=self.states.dtype)
        for steps in torch.arange(len(self.x)).split(max(1, _ROWS // S)):
            x = self.x[steps, n].repeat_interleave(S, dim=0)
            s = self.states[steps, n].repeat_interleave(S, dim=0)
            yield from _pulled(self.layers, x, s, unit.repeat(len(steps), 1)).view(len(steps), S, S)


def dynamics(who: str, model: nn.Module, x: Tensor, state: Any = None, layer: int | None = None) -> Dynamics:
    """The network, or one recurrent layer of it (from 1), along the states that the inputs ``x`` lead it through.

    Raises:
        ValueError: it has two directions, so that no step leads from all states to the next.
    """
    parts = opened(who, model, x, state)
    places = [k for k, one in enumerate(parts.layers) if isinstance(one, Recurrent | Bidirectional)]
    count = len(places)
    if layer is not None and not (type(layer) is int and 1 <= layer <= count):
        raise ValueError(f"{who}: layer must be an integer from 1 to {count}, got {layer!r}")
    lowest = places[0] if places else 0
    taken = range(lowest, len(parts.layers)) if layer is None else [places[layer - 1]]
    chosen = [parts.layers[k] for k in taken]
    below = parts.layers[: taken[0]]
    between = [one for one in chosen if not isinstance(one, Recurrent | Bidirectional)]
    if between:
        raise ValueError(
            f"{who}: {type(between[0]).__name__} is not a recurrent layer: it has no step from state to state; "
            "choose a recurrent one with layer="
        )
    if any(isinstance(one, Bidirectional) for one in [*chosen, *below]) or len({c.reverse for c in chosen}) > 1:
        raise ValueError(
            f"{who}: layers that run in both directions have no step from one state to the next; pass a single "
            "direction, such as bidirectional.forward_layer"
        )
    layers = list(directions(chosen).values())
    inputs = inputs_of(parts, taken[0])
    inputs = inputs.flip(0) if layers[0].reverse else inputs
    N = inputs.shape[1]
    first: list[Tensor] = []
    names: dict[str, int] = {}
    for k, one in zip(taken, layers, strict=True):
        before = parts.states[k]
        for name, s in zip(one.cell.state, one.initial_state(N, inputs) if before is None else before, strict=True):
            first.append(s.detach().reshape(N, -1))
            names[f"{1 + places.index(k)}.{name}"] = first[-1].shape[1]
    states = [torch.cat(first, dim=1)]
    with torch.no_grad():
        for x_t in inputs:
            states.append(_step(layers, x_t, states[-1]))
    whole = torch.stack(states)
    if not bool(torch.isfinite(whole).all()):
        t = int((~torch.isfinite(whole)).flatten(1).any(1).nonzero()[0])
        raise ValueError(f"{who}: the states are infinite or NaN after step {t} of {len(inputs)}")
    return Dynamics(layers, names, inputs.detach(), whole)


def _step(layers: list[Recurrent], x: Tensor, s: Tensor) -> Tensor:
    R = len(x)
    states = []
    for layer in layers:
        cell = layer.cell
        shapes = list(cell.state_shapes().values())
        ends = list(accumulate((torch.Size(shape).numel() for shape in shapes), initial=0))
        old = tuple(s[:, a:b].reshape(R, *shape) for (a, b), shape in zip(pairwise(ends), shapes, strict=True))
        s = s[:, ends[-1] :]
        x = cell.prepare(x.unsqueeze(0)).squeeze(0)
        new = cell.checked(cell.step(x, *old, *cell.all_constants((), x)), old)
        states += [state.reshape(R, -1) for state in new]
        x = new[0]
    return torch.cat(states, dim=1)


def _pulled(layers: list[Recurrent], x: Tensor, s: Tensor, rows: Tensor) -> Tensor:
    """rows times ds'/ds, each at its own state."""
    s = s.detach().requires_grad_()
    with torch.enable_grad():
        new = _step(layers, x, s)
        if not new.requires_grad:
            return torch.zeros_like(s)
        (pulled,) = torch.autograd.grad(new, s, rows, allow_unused=True)
    return torch.zeros_like(s) if pulled is None else pulled
