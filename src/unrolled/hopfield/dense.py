"""Dense associative memory: energies steeper than a sum of squares, which hold many more patterns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Dense:
    """A network that keeps its patterns instead of a matrix W.

    Equation::

        dense:    E = -N/degree sum_mu (xi^mu . v / N)^degree - Theta . v
        softmax:  E = -1/gain ln sum_mu exp(gain xi^mu . v) - Theta . v            binary units
                  E = the same + 1/2 v . v + 1/gain ln P + 1/2 max_mu |xi^mu|^2    graded units

        binary:   v_i = sign(E(v_i = -1) - E(v_i = 1)), one unit after the other or all at once
        graded:   v = sum_mu xi^mu softmax_mu(gain xi^mu . v), all units at once

    With degree 2 it is Hebb's rule with self-connections.

    Shapes:
        patterns (1, P, N); theta (1, N, 1); states (1, N, R).

    Cost:
        a sweep: P R N evaluations of the energy's terms; memory P N and P R.

    Source:
        D. Krotov & J. J. Hopfield, "Dense associative memory for pattern recognition" (2016); M. Demircigil et al.
        (2017) for the exponential with binary units; H. Ramsauer et al., "Hopfield networks is all you need" (2021)
        for graded ones.
    """

    patterns: Tensor
    theta: Tensor
    rule: str
    graded: bool
    degree: int
    gain: float

    def _terms(self, overlaps: Tensor) -> Tensor:
        """The energy's part in the patterns, from sums xi^mu . v (P, R)."""
        N = self.patterns.shape[2]
        if self.rule == "dense":
            return -N / self.degree * (overlaps / N).pow(self.degree).sum(0)
        return -torch.logsumexp(self.gain * overlaps, 0) / self.gain

    def energy(self, v: Tensor) -> Tensor:
        """The energy of each state, in double precision: (1, N, R) to (1, R)."""
        xi, v = self.patterns[0].double(), v[0].double()
        total = self._terms(xi @ v) - (self.theta[0].double() * v).sum(0)
        if self.graded:
            total += v.square().sum(0) / 2 + xi.new_tensor(len(xi)).log() / self.gain + xi.square().sum(1).max() / 2
        return total[None]

    def map(self, v: Tensor) -> Tensor:
        """One synchronous step."""
        xi = self.patterns[0]
        overlaps = xi @ v[0]
        if self.graded:
            return (xi.T @ torch.softmax(self.gain * overlaps, 0))[None]
        new = torch.stack([self._unit(i, overlaps, v[0, i]) for i in range(v.shape[1])])
        return new[None]

    def sweep(self, v: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """Update units of binary states one at a time, in place; the largest change, and that of the energy."""
        xi = self.patterns[0]
        overlaps, before = xi @ v[0], self.energy(v)
        moved = v.new_zeros(1, v.shape[2])
        for i in order.tolist():
            new = self._unit(i, overlaps, v[0, i])
            change = new - v[0, i]
            overlaps += xi[:, i, None] * change
            v[0, i] = new
            moved = torch.maximum(moved, change.abs()[None])
        return moved, self.energy(v) - before

    def _unit(self, i: int, overlaps: Tensor, v: Tensor) -> Tensor:
        """The value of unit i at the lower energy; where both are equal, the one that it has."""
        own = self.patterns[0, :, i, None]
        others = overlaps - own * v
        h = self._terms(others - own) - self._terms(others + own) + 2 * self.theta[0, i]
        return torch.where(h == 0, v, torch.sign(h))
