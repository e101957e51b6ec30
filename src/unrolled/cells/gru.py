"""The gated recurrent unit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn, sigmoid, tanh

from unrolled.cells.cell import Cell
from unrolled.cells.conventions import GRU_GATES
from unrolled.cells.gates import Gates


class GRUCell(Cell):
    """The gated recurrent unit; the reset gate acts before the recurrent matrix by default.

    Equation::

        r_t = s(W_xr x_t + W_hr h_{t-1} + b_r)                   reset gate
        z_t = s(W_xz x_t + W_hz h_{t-1} + b_z)                   update gate
        n_t = tanh(W_xn x_t + W_hn (r_t * h_{t-1}) + b_n)        candidate, reset="before"
        n_t = tanh(W_xn x_t + b_n + r_t * (W_hn h_{t-1} + d_n))  candidate, reset="after"
        h_t = z_t * h_{t-1} + (1 - z_t) * n_t

    Shapes:
        x (N, D); state h (N, H).

    Arguments:
        input_size: D.
        hidden_size: H.
        bias: whether the gates have a bias.
        reset: ``"before"`` (the lecture), or ``"after"`` (torch.nn.GRU, cuDNN), which has the second
            bias d_n.

    Cost:
        4 floats per unit and step saved for the backward pass: r, z, n, h (reset="after": and W_hn h + d_n).

    Source:
        J. Chung, C. Gulcehre, K. Cho & Y. Bengio, "Empirical evaluation of gated recurrent neural
        networks on sequence modeling" (2014), with z and 1 - z the other way round, as in torch.

    >>> h, = GRUCell(4, 3)(torch.zeros(2, 4))
    >>> h.shape
    torch.Size([2, 3])
    """

    state = ("h",)
    keeps = "z"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        reset: str = "before",
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if reset not in ("before", "after"):
            raise ValueError(f"GRUCell: reset must be 'before' or 'after', got {reset!r}")
        self.reset = reset
        self.x = Gates(GRU_GATES, input_size, hidden_size, bias=bias, device=device, dtype=dtype)
        self.h = Gates(GRU_GATES, hidden_size, hidden_size, bias=False, device=device, dtype=dtype)
        self.d_n = None
        if bias and reset == "after":
            self.d_n = nn.Parameter(torch.zeros(hidden_size, device=device, dtype=dtype))

    def step(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        r = sigmoid(self.x.r(x) + self.h.r(h))
        z = sigmoid(self.x.z(x) + self.h.z(h))
        if self.reset == "before":
            n = tanh(self.x.n(x) + self.h.n(r * h))
        else:
            a = self.h.n(h) if self.d_n is None else self.h.n(h) + self.d_n
            n = tanh(self.x.n(x) + r * a)
        h = z * h + (1 - z) * n
        return h

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, reset={self.reset!r}"
