"""Continuous time: the graded network's differential equation, by a Runge-Kutta pair with an adaptive step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from unrolled.hopfield.dynamics import Course
from unrolled.hopfield.wiring import Wiring

_A = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def continuous(
    wiring: Wiring,
    u: Tensor,
    time: float,
    tolerance: float = 1e-6,
    accuracy: float = 1e-7,
    keep: bool = False,
    most: int = 100_000,
    tell: Callable[[float], None] | None = None,
) -> Course:
    """Integrate all states together until each is at rest, or until ``time``.

    Equation::

        du/dt = -u/tau + W v + Theta        v = phi(gain u)

    Arguments:
        u: gain u at the start, (K, N, R), without a unit of its own.
        time: the end, in the units of tau.
        tolerance: at rest is a state in which no v changes by more than this in one tau.
        accuracy: of each step, in gain u: absolute below 1, relative above.
        most: steps at most; what is still moving after them is reported as unfinished.
        tell: called with the share of the time that is over, step by step.

    Source:
        J. J. Hopfield (1984), equation 5; J. R. Dormand & P. J. Prince (1980), the pair of orders 5 and 4.
    """
    phi = torch.tanh if wiring.phi == "tanh" else torch.sigmoid

    def slope(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        v = phi(u)
        h = wiring.field(v)
        return (wiring.slope * h - u) / wiring.tau, v, h

    first, v, h = slope(u)
    course = Course.begin(v, wiring.energy_of_field(v, h), keep)
    t, step = 0.0, 0.01 * wiring.tau
    resting = torch.zeros_like(course.steps, dtype=torch.bool)
    for count in range(1, most + 1):
        step = min(step, time - t)
        stages = [first]
        for row in _A:
            at = u + step * _weighted(row, stages)
            k, v_new, h_new = slope(at)
            stages.append(k)
        wrong = step * _weighted(_ERROR, stages)
        error = float((wrong.abs() / (accuracy * torch.maximum(at.abs(), torch.ones_like(at)))).max())
        if error <= 1:
            t, u, v, first = t + step, at, v_new, k
            if tell is not None:
                tell(t / time)
            course.times.append(t)
            course.energies.append(wiring.energy_of_field(v, h_new))
            if keep:
                course.states.append(v)
            change = (1 - v.square()) if wiring.phi == "tanh" else v * (1 - v)
            resting = (change * first).abs().amax(1) * wiring.tau <= tolerance
            course.steps += ~resting
            if bool(resting.all()) or t >= time * (1 - 1e-12):
                break
        step *= min(5.0, max(0.2, 0.9 * error**-0.2 if error else 5.0))
        if count == most or step < 1e-14 * wiring.tau:
            break
    course.v, course.period = v, resting.long()
    return course


def _weighted(weights: tuple[float, ...], parts: list[Tensor]) -> Tensor:
    return torch.stack([w * part for w, part in zip(weights, parts, strict=True) if w]).sum(0)
