"""The Hopfield network's cell."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.cell import Cell

RESPONSES = ("sign", "tanh", "logistic")
"""What phi can be; "sign" makes the units binary."""


class HopfieldCell(Cell):
    """The Hopfield network: every unit sees every other, and the input is a field from outside.

    Equation::

        v_t = (1 - rate) v_{t-1} + rate phi(gain (W v_{t-1} + Theta + x_t))

        phi(a) = tanh(a),  1 / (1 + exp(-a)),  or sign(a), where a unit with a = 0 stays as it is

    With ``rate=1`` and no input it is the lecture's X_{t+1} = phi(W X_t + Theta).

    Shapes:
        x (N, D) with D = H = units; state v (N, H); ``weight`` (H, H); ``threshold`` (H,).

    Arguments:
        units: H.
        phi: ``"tanh"``, states from -1 to 1; ``"logistic"``, from 0 to 1; ``"sign"``, -1 or 1, whose gradient is 0.
        gain: what multiplies the field of a unit.
        rate: 1 for the plain map, less for a damped one.
        symmetric: W is (weight + weight^T) / 2, so that the network has an energy.
        self_connections: without them the diagonal of W is 0.

    The first weights are random, and so small that the map contracts: one fixed point, which the gradient reaches.

    Cost:
        2 floats per unit and step saved for the backward pass.

    Raises:
        ValueError: another phi, a gain that is not above 0, a rate outside (0, 1].

    Source:
        J. J. Hopfield, "Neurons with graded response have collective computational properties like those of
        two-state neurons", PNAS 81 (1984), as a map in discrete time.

    >>> layer = unrolled.Recurrent(HopfieldCell(3))
    >>> output, (v,) = layer(torch.ones(20, 1, 3))
    >>> bool((output[-1] - output[-2]).abs().max() < 1e-4)
    True
    """

    state = ("v",)
    others: Tensor

    def __init__(
        self,
        units: int,
        phi: str = "tanh",
        gain: float = 1.0,
        rate: float = 1.0,
        symmetric: bool = True,
        self_connections: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(units, units)
        if phi not in RESPONSES:
            raise ValueError(f"HopfieldCell: phi must be one of {', '.join(RESPONSES)}, got {phi!r}")
        if not 0 < gain < float("inf"):
            raise ValueError(f"HopfieldCell: gain must be greater than 0, got {gain!r}")
        if not 0 < rate <= 1:
            raise ValueError(f"HopfieldCell: rate must be greater than 0 and at most 1, got {rate!r}")
        self.phi, self.gain, self.rate = phi, gain, rate
        self.symmetric, self.self_connections = symmetric, self_connections
        self.weight = nn.Parameter(torch.empty(units, units, device=device, dtype=dtype))
        self.threshold = nn.Parameter(torch.zeros(units, device=device, dtype=dtype))
        if not self_connections:
            others = 1 - torch.eye(units, device=device, dtype=dtype)
            self.register_buffer("others", others, persistent=False)
        nn.init.normal_(self.weight, std=0.4 / (gain * units**0.5))

    @property
    def W(self) -> Tensor:  # noqa: N802
        """The weights of the equation, (H, H)."""
        W = (self.weight + self.weight.T) / 2 if self.symmetric else self.weight
        return W if self.self_connections else W * self.others

    def respond(self, a: Tensor, v: Tensor) -> Tensor:
        """phi(a), for units that are at v."""
        if self.phi == "tanh":
            return torch.tanh(a)
        if self.phi == "logistic":
            return torch.sigmoid(a)
        return torch.where(a == 0, v, torch.sign(a))

    def step(self, x: Tensor, v: Tensor) -> Tensor:  # type: ignore[override]
        a = self.gain * (F.linear(v, self.W) + self.threshold + x)
        y = self.respond(a, v)
        return y if self.rate == 1 else (1 - self.rate) * v + self.rate * y

    def extra_repr(self) -> str:
        return f"{self.hidden_size}, phi={self.phi!r}, gain={self.gain:g}, rate={self.rate:g}"
