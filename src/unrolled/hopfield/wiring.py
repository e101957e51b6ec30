"""What a network is made of: weights, thresholds and response; and its energy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

STEEPEST = {"tanh": 1.0, "logistic": 0.25}
"""The largest slope of phi."""


@dataclass(frozen=True)
class Wiring:
    """One network, or K of them that are updated together.

    Equation::

        h = scale (W v + theta)        v = phi(gain h)

    ``W`` and ``theta`` are kept without their common factor ``scale``: those of Hebb's rule are then whole
    numbers, sums of them are exact in any order, and a field of exactly 0 is seen as that. Where sums are rounded,
    ``dead`` is the size of W v + theta up to which it counts as 0, in the same measure.

    Shapes:
        W (K, N, N); theta (K, N, 1), or K = 1 for all; states are (K, N, R): R states of each network.

    Units:
        tau in whatever time is counted in; in a network at rest, u = tau h and v = phi(gain u).
    """

    W: Tensor
    theta: Tensor
    phi: str
    gain: float = 1.0
    scale: float = 1.0
    tau: float = 1.0
    dead: float = 0.0

    @property
    def graded(self) -> bool:
        return self.phi != "sign"

    @property
    def slope(self) -> float:
        """What multiplies W v + theta under phi."""
        return self.gain * self.tau * self.scale

    def respond(self, h: Tensor, v: Tensor) -> Tensor:
        """New values of units at v whose W v + theta is h."""
        if self.phi == "sign":
            idle = h.abs() <= self.dead if self.dead else h == 0
            return torch.where(idle, v, torch.sign(h))
        return torch.tanh(self.slope * h) if self.phi == "tanh" else torch.sigmoid(self.slope * h)

    def field(self, v: Tensor) -> Tensor:
        """W v + theta, (K, N, R)."""
        return product(self.W, v) + self.theta

    def map(self, v: Tensor) -> Tensor:
        """One synchronous step: the equation of `unrolled.cells.hopfield.HopfieldCell` without input."""
        return self.respond(self.field(v), v)

    def energy(self, v: Tensor) -> Tensor:
        """The energy of each state, in double precision: (K, N, R) to (K, R).

        Equation::

            E = -1/2 v^T W v - Theta^T v + 1/(gain tau) sum_i (integral of phi^-1 from the middle to v_i)

        The integral is there in graded networks only. States and rows of W are taken part by part, so that no copy
        of all of them is made.
        """
        return torch.cat([self._energy(part) for part in v.split(1024, dim=2)], dim=1)

    def _energy(self, v: Tensor) -> Tensor:
        v = v.double()
        pairs = torch.zeros(v.shape[0], v.shape[2], dtype=torch.float64, device=v.device)
        for start in range(0, v.shape[1], 512):
            rows = self.W[:, start : start + 512].double()
            pairs += (v[:, start : start + 512] * torch.matmul(rows, v)).sum(1)
        total = -self.scale * (0.5 * pairs + (self.theta.double() * v).sum(1))
        if self.graded:
            total += integral(v, self.phi).sum(1) / (self.gain * self.tau)
        return total

    def energy_of_field(self, v: Tensor, field: Tensor) -> Tensor:
        """As `energy`, from W v + theta that is there already, in the precision that it has."""
        total = -self.scale / 2 * (v * (field + self.theta)).sum(1, dtype=torch.float64)
        if self.graded:
            total += integral(v.double(), self.phi).sum(1) / (self.gain * self.tau)
        return total

    def of(self, which: Tensor) -> Wiring:
        """Some of the K networks."""
        return replace(self, W=self.W[which], theta=self.theta if len(self.theta) == 1 else self.theta[which])


def product(a: Tensor, b: Tensor) -> Tensor:
    """a b for K networks; for one, by the product of two matrices, which uses all threads."""
    return torch.mm(a[0], b[0])[None] if len(a) == 1 else torch.bmm(a, b)


def integral(v: Tensor, phi: str) -> Tensor:
    """The integral of phi^-1 from the middle of its range to v.

    Equation::

        tanh:      1/2 [(1 + v) ln(1 + v) + (1 - v) ln(1 - v)]
        logistic:  v ln v + (1 - v) ln(1 - v) + ln 2

    >>> integral(torch.tensor([0.0, 1.0]), "tanh")
    tensor([0.0000, 0.6931])
    """
    if phi == "tanh":
        return (torch.special.xlogy(1 + v, 1 + v) + torch.special.xlogy(1 - v, 1 - v)) / 2
    return torch.special.xlogy(v, v) + torch.special.xlogy(1 - v, 1 - v) + 0.6931471805599453


@dataclass(frozen=True)
class Safety:
    """Whether the synchronous map must end in a fixed point.

    ``smallest`` is the smallest eigenvalue of W; ``gain`` the gain below which the plain map is safe (None for
    binary units, whose gain is without bound); ``rate`` the rate below which the damped map is. ``safe`` tells of
    the plain map at the network's own gain.
    """

    smallest: float
    gain: float | None
    rate: float
    safe: bool


def safety(wiring: Wiring) -> Safety:
    """The known condition under which synchronous updates of a symmetric network cannot cycle.

    Equation::

        gain tau phi'_max (-lambda_min) < 1               plain map
        gain tau phi'_max (-lambda_min) < 2 / rate - 1    damped map

    Each step then lowers the energy of a graded network. Binary units have no largest slope: they are safe if W
    has no negative eigenvalue.

    Source:
        C. M. Marcus & R. M. Westervelt, "Dynamics of iterated-map neural networks", Physical Review A 40 (1989);
        E. Goles-Chacc, F. Fogelman-Soulie & D. Pellegrin (1985) for binary units. The damped condition follows in
        the same way, from the strong convexity of the integral term.
    """
    smallest = float(torch.linalg.eigvalsh(wiring.W[0].double())[0]) * wiring.scale
    down = max(0.0, -smallest)
    if not wiring.graded:
        safe = down <= 1e-9 * max(1.0, float(wiring.W.abs().max()) * wiring.scale)
        return Safety(smallest, None, 1.0 if safe else 0.0, safe)
    steep = STEEPEST[wiring.phi] * wiring.tau
    limit = 1 / (steep * down) if down else float("inf")
    rate = min(1.0, 2 / (1 + wiring.gain * steep * down))
    return Safety(smallest, limit, rate, wiring.gain < limit)
