"""From start states to where they end: sweeps of single units, and synchronous maps that may cycle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unrolled.hopfield.asynchronous import sweep
from unrolled.hopfield.dense import Dense
from unrolled.hopfield.wiring import Wiring


@dataclass
class Course:
    """What became of R start states of each of K networks.

    Shapes:
        v (K, N, R); steps and period (K, R); energies: for each of ``times``, (K, R); states: (K, N, R) for each, if
        they were asked for.

    ``period`` is 1 where the state has come to rest, more where it goes round, 0 where it was still on its way.
    """

    v: Tensor
    steps: Tensor
    period: Tensor
    times: list[float] = field(default_factory=lambda: [0.0])
    energies: list[Tensor] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)

    @staticmethod
    def begin(v: Tensor, energy: Tensor | None, keep: bool) -> Course:
        nothing = torch.zeros(v.shape[0], v.shape[2], dtype=torch.int64)
        course = Course(v, nothing, nothing.clone())
        if energy is not None:
            course.energies.append(energy)
        if keep:
            course.states.append(v.clone())
        return course


def asynchronous(
    network: Wiring | Dense,
    v: Tensor,
    order: Callable[[], Tensor],
    sweeps: int,
    tolerance: float = 0.0,
    frames: int = 1,
    keep: bool = False,
    energy: bool = True,
) -> Course:
    """Sweep after sweep, until no unit of a state moves by more than ``tolerance`` in a whole sweep.

    States that are at rest are left alone, so a sweep costs what the others need.

    Arguments:
        v: start states (K, N, R); they are overwritten.
        order: the units in the order of one sweep's updates.
        sweeps: the most.
        frames: how often in a sweep the energy (and with ``keep`` the state) is noted.
        energy: whether it is noted at all.
    """
    course = Course.begin(v, network.energy(v) if energy else None, keep)
    K, _, R = v.shape
    nets, columns = torch.arange(K), torch.arange(R).expand(K, R)  # which states are not at rest
    now, part = v, network
    for count in range(1, sweeps + 1):
        moved = now.new_zeros(columns.shape)
        for k, some in enumerate(order().tensor_split(frames), start=1):
            change, gained = part.sweep(now, some) if isinstance(part, Dense) else sweep(part, now, some)
            moved = torch.maximum(moved, change)
            if energy:
                latest = course.energies[-1].clone()
                latest[nets[:, None], columns] += gained
                course.energies.append(latest)
            if keep:
                course.states.append(_with(v, nets, columns, now).clone())
            if energy or keep:
                course.times.append(count - 1 + k / frames)
        going = moved > tolerance
        course.steps[nets[:, None], columns] += going
        course.period[nets[:, None], columns] = (~going).long()
        if not bool(going.any()):
            break
        busy, widest = going.any(1), int(going.sum(1).max())
        if int(busy.sum()) * widest < 0.8 * going.numel():
            v = _with(v, nets, columns, now)
            first = (
                (~going[busy]).long().argsort(dim=1, stable=True)[:, :widest]
            )  # some at rest fill up the others' rows
            nets, columns = nets[busy], columns[busy].gather(1, first)
            now = v[nets[:, None], :, columns].mT.contiguous()
            part = network.of(nets) if isinstance(network, Wiring) and len(nets) < K else network
    course.v = _with(v, nets, columns, now)
    return course


def _with(v: Tensor, nets: Tensor, columns: Tensor, part: Tensor) -> Tensor:
    """All states, those that go on replaced, in place, by where they are now."""
    if part.shape != v.shape:
        v[nets[:, None], :, columns] = part.mT
        return v
    return part


def synchronous(
    network: Wiring | Dense,
    v: Tensor,
    steps: int,
    rate: float = 1.0,
    tolerance: float = 0.0,
    keep: bool = False,
    energy: bool = True,
) -> Course:
    """The map, all units at once, until each state rests or is seen again.

    Cycles of any length are found by R. P. Brent's way: the state is held against one kept earlier, which is renewed
    at steps 1, 2, 4, 8, ... . A network with symmetric W has cycles of length 2 only.

    Arguments:
        v: start states (K, N, R).
        rate: v <- (1 - rate) v + rate map(v).
    """
    course = Course.begin(v, None, keep)
    kept, kept_at, period = v, 0, course.period
    moved = torch.full(period.shape, float("inf"), dtype=v.dtype)  # by how much the kept state was reached
    shrunk = 1 - (1e-9 if v.dtype == torch.float64 else 3e-6)
    steps_of = torch.zeros_like(period)
    for t in range(steps + 1):
        at_rest = period > 0
        if isinstance(network, Wiring):
            field = network.field(v)
            mapped = network.respond(field, v)
            if energy:
                course.energies.append(network.energy_of_field(v, field))
        else:
            mapped = network.map(v)
            if energy:
                course.energies.append(network.energy(v))
        if t:
            course.times.append(float(t))
            if keep:
                course.states.append(v.clone())
        if t == steps or bool(at_rest.all()):
            break
        new = mapped if rate == 1 else v + rate * (mapped - v)
        new = torch.where(at_rest[:, None], v, new)
        change = (new - v).abs().amax(1)
        still = change <= tolerance
        # graded units that swing to rest come back to where they were more closely than they move, but move less
        # and less
        swings = change >= shrunk * moved
        back = ((new - kept).abs().amax(1) <= tolerance) & (change > tolerance**0.5) & swings
        found = torch.where(still, 1, torch.where(back, t + 1 - kept_at, 0))
        steps_of += ~(at_rest | still)
        period = torch.where(at_rest, period, found)
        v = new
        if t + 1 >= 2 * max(kept_at, 1) or t == 0:
            kept, kept_at, moved = v, t + 1, change
    course.v, course.period, course.steps = v, period, steps_of
    return course
