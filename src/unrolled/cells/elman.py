"""The Elman network's cell."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.cells.cell import Cell
from unrolled.cells.gates import Gates


class ElmanCell(Cell):
    """The simple recurrent network.

    Equation::

        h_t = tanh(W_hh h_{t-1} + W_xh x_t + b)

    Shapes:
        x (N, D); state h (N, H).

    Arguments:
        input_size: D.
        hidden_size: H.
        bias: whether there is a b.
        nonlinearity: ``"tanh"``, or ``"relu"`` as in torch.nn.RNN.

    Cost:
        1 float per unit and step saved for the backward pass: h.

    Source:
        J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990).

    >>> h, = ElmanCell(4, 3)(torch.zeros(2, 4))
    >>> h.shape
    torch.Size([2, 3])
    """

    state = ("h",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"ElmanCell: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        self.nonlinearity = nonlinearity
        self.phi = torch.tanh if nonlinearity == "tanh" else torch.relu
        self.x = Gates("h", input_size, hidden_size, bias=bias, device=device, dtype=dtype)
        self.h = Gates("h", hidden_size, hidden_size, bias=False, device=device, dtype=dtype)

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        h = self.phi(self.h(h) + self.x(x))
        return h
