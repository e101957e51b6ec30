"""A layer whose output is a fixed point of the Hopfield network, with the gradient through that point."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from unrolled.cells.hopfield import HopfieldCell
from unrolled.errors import UsageError

BACKWARD = ("implicit", "unrolled")


class HopfieldLayer(nn.Module):
    """The state in which a Hopfield network comes to rest, as a function of the field from outside.

    Equation::

        v* = phi(gain (W v* + Theta + x))                    found by v <- (1 - rate) v + rate phi(...)

        implicit:   dL/dtheta = u^T df/dtheta,  u = dL/dv* + (df/dv)^T u     at v*, by the same iteration
        unrolled:   backpropagation through every step that was taken

    Shapes:
        x (N, units); output (N, units).

    Arguments:
        cell: the equation, and its weights (a `HopfieldCell` with a phi that has a gradient).
        backward: ``"implicit"``, whose memory does not grow with the steps, or ``"unrolled"``.
        steps: at most, in each direction.
        tolerance: largest change of a unit at which a state is at rest.

    Warns:
        UserWarning: the state, or the gradient's iteration, did not come to rest in ``steps``.

    Cost:
        implicit: the floats of one step; unrolled: of all of them.

    Raises:
        UsageError: another ``backward``, a cell of signs, an input of another shape, or second derivatives through
            the implicit gradient.

    Source:
        F. J. Pineda, "Generalization of back-propagation to recurrent neural networks", Physical Review Letters 59
        (1987); L. B. Almeida (1987): the implicit gradient.

    >>> layer = HopfieldLayer(unrolled.HopfieldCell(3))
    >>> layer(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self, cell: HopfieldCell, backward: str = "implicit", steps: int = 500, tolerance: float = 1e-6
    ) -> None:
        super().__init__()
        if not isinstance(cell, HopfieldCell) or cell.phi == "sign":
            raise UsageError("HopfieldLayer: cell must be a HopfieldCell with phi='tanh' or 'logistic'")
        if backward not in BACKWARD:
            raise UsageError(f"HopfieldLayer: backward must be one of {', '.join(BACKWARD)}, got {backward!r}")
        if not isinstance(steps, int) or steps < 1 or not tolerance > 0:
            raise UsageError("HopfieldLayer: steps must be a whole number from 1, and tolerance above 0")
        self.cell, self.backward, self.steps, self.tolerance = cell, backward, steps, tolerance

    def forward(self, x: Tensor, v: Tensor | None = None) -> Tensor:
        """The fixed point reached from ``v``, by default from the middle of the units' range."""
        if x.dim() != 2 or x.shape[1] != self.cell.input_size:
            wanted = f"(N, units) with units = {self.cell.input_size}"
            raise UsageError(f"HopfieldLayer: x has shape {tuple(x.shape)}, expected {wanted}")
        if v is None:
            v = torch.full_like(x, 0.5 if self.cell.phi == "logistic" else 0.0, requires_grad=False)
        if self.backward == "unrolled":
            return self._rest(lambda v: self.cell.step(x, v), v, "state")
        with torch.no_grad():
            v = self._rest(lambda v: self.cell.step(x, v), v, "state")
        if not torch.is_grad_enabled():
            return v
        out = self.cell.step(x, v)
        if not out.requires_grad:
            return out
        at = v.detach().requires_grad_()
        again = self.cell.step(x.detach(), at)

        def solve(g: Tensor) -> Tensor:
            if torch.is_grad_enabled():  # create_graph: what is solved here would be missing from it
                raise UsageError("HopfieldLayer: second derivatives need backward='unrolled'")
            return self._rest(lambda u: g + torch.autograd.grad(again, at, u, retain_graph=True)[0], g, "gradient")

        out.register_hook(solve)
        return out

    def _rest(self, step: Callable[[Tensor], Tensor], v: Tensor, what: str) -> Tensor:
        change = float("inf")
        for _ in range(self.steps):
            new = step(v)
            change, v = float((new - v).detach().abs().max()), new
            if change <= self.tolerance:
                return v
        warnings.warn(
            f"HopfieldLayer: the {what} still changes by {change:.2g} after {self.steps} steps. "
            "Use a smaller gain, a lower rate or more steps",
            stacklevel=3,
        )
        return v

    def extra_repr(self) -> str:
        return f"backward={self.backward!r}"
