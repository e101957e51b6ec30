"""One unit after the other: the plain loop, and the same dynamics in blocks at the speed of a matrix product."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unrolled.hopfield.wiring import Wiring, integral, product

BLOCK = 64
"""Units between two products with all of W."""
LEAF = 8
"""Units between two products with a part of a block."""


def plain_sweep(wiring: Wiring, v: Tensor, order: Tensor) -> Tensor:
    """Update every unit once, one at a time, in place: what `sweep` is held to.

    Arguments:
        v: states (K, N, R).
        order: the units, in the order of their updates.

    Returns:
        The largest change of a unit of each state, (K, R).
    """
    moved = v.new_zeros(v.shape[0], v.shape[2])
    for i in order.tolist():
        h = (wiring.W[:, i, :, None] * v).sum(1) + wiring.theta[:, i]
        new = wiring.respond(h, v[:, i])
        moved = torch.maximum(moved, (new - v[:, i]).abs())
        v[:, i] = new
    return moved


def sweep(wiring: Wiring, v: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Update every unit once, one at a time, in place, for all R states of all K networks at once.

    The units of a block see the fields that all units outside the block make, one product for the block; inside
    it, each change is passed on to the units that follow, and only to them. That is the asynchronous dynamics
    itself, not an approximation: every unit sees every change made before it.

    Arguments:
        v: states (K, N, R).
        order: the units, in the order of their updates: all of them, or some.

    Returns:
        The largest change of a unit of each state, and the change of its energy, both (K, R).

    Cost:
        2 K R N^2 operations, in products of a block with the states; beside W and v, one block of rows of W and of
        fields is held.
    """
    if v.shape[0] == v.shape[2] == 1:
        return _sweep_one(wiring, v, order)
    moved = v.new_zeros(v.shape[0], v.shape[2])
    gained = torch.zeros_like(moved, dtype=torch.float64)
    for block in order.split(BLOCK):
        rows = wiring.W[:, block]  # (K, B, N)
        h = product(rows, v)
        h += wiring.theta[:, block]
        old = v[:, block]
        new = old.clone()
        inside = rows[:, :, block]
        _solve(wiring, inside, h, new, 0, len(block))
        change = new - old
        v[:, block] = new
        moved = torch.maximum(moved, change.abs().amax(1))
        gained += _energy_change(wiring, inside, h, old, new, change)
    return moved, gained


def _sweep_one(wiring: Wiring, v: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """As `sweep`, for a single state, where what an operation costs beside its arithmetic would decide."""
    field = wiring.field(v)
    before = wiring.energy_of_field(v, field)
    W, theta, state, h = (
        wiring.W[0].numpy(),
        wiring.theta[0, :, 0].numpy(),
        v[0, :, 0].numpy(),
        field[0, :, 0].numpy(),
    )
    units, moved = order.numpy(), 0.0
    if wiring.graded:
        phi = math.tanh if wiring.phi == "tanh" else _logistic
        for i in units.tolist():
            new = phi(wiring.slope * float(W[i] @ state + theta[i]))
            moved = max(moved, abs(new - float(state[i])))
            state[i] = new
        field = wiring.field(v)
    else:  # from one unit that flips to the next in the order: those between see nothing new
        while len(wrong := (h[units] * state[units] < -wiring.dead).nonzero()[0]):
            i, units, moved = units[wrong[0]], units[wrong[0] + 1 :], 2.0
            state[i] = -state[i]
            h += 2 * state[i] * W[:, i]
    return v.new_full((1, 1), moved), wiring.energy_of_field(v, field) - before


def _logistic(a: float) -> float:
    small = math.exp(-abs(a))
    return 1 / (1 + small) if a >= 0 else small / (1 + small)


def _solve(wiring: Wiring, inside: Tensor, h: Tensor, v: Tensor, first: int, last: int) -> None:
    """Update the units from ``first`` to before ``last`` of a block, whose fields from everything before are in h."""
    if last - first > LEAF:
        middle = (first + last) // 2
        old = v[:, first:middle].clone()
        _solve(wiring, inside, h, v, first, middle)
        h[:, middle:last].baddbmm_(inside[:, middle:last, first:middle], v[:, first:middle] - old)
        _solve(wiring, inside, h, v, middle, last)
        return
    for j in range(first, last):
        new = wiring.respond(h[:, j], v[:, j])
        if j + 1 < last:
            change = new - v[:, j]
            h[:, j + 1 : last].addcmul_(inside[:, j + 1 : last, j, None], change[:, None])
        v[:, j] = new


def _energy_change(wiring: Wiring, inside: Tensor, h: Tensor, old: Tensor, new: Tensor, change: Tensor) -> Tensor:
    """What the updates of a block did to the energy, (K, R), from the fields that the units saw."""
    own = inside.diagonal(dim1=1, dim2=2)[..., None]
    energy = -wiring.scale * (change * (h + own * change / 2)).sum(1, dtype=torch.float64)
    if wiring.graded:
        up = integral(new.double(), wiring.phi) - integral(old.double(), wiring.phi)
        energy += up.sum(1) / (wiring.gain * wiring.tau)
    return energy
