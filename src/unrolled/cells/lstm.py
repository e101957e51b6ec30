"""Long short-term memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, sigmoid, tanh

from unrolled.cells.cell import Cell
from unrolled.cells.conventions import LSTM_GATES
from unrolled.cells.gates import Gates


class LSTMCell(Cell):
    """Long short-term memory, with forget gate.

    Equation::

        i_t = s(W_xi x_t + W_hi h_{t-1} + b_i)         input gate
        f_t = s(W_xf x_t + W_hf h_{t-1} + b_f)         forget gate
        g_t = tanh(W_xg x_t + W_hg h_{t-1} + b_g)      candidate
        o_t = s(W_xo x_t + W_ho h_{t-1} + b_o)         output gate
        c_t = f_t * c_{t-1} + i_t * g_t
        h_t = o_t * tanh(c_t)

    Shapes:
        x (N, D); states h, c (N, H).

    Arguments:
        input_size: D.
        hidden_size: H.
        bias: whether the gates have a bias.
        forget_bias: b_f at the start. At 1 the gate begins open, and the gradient passes.

    Cost:
        6 floats per unit and step saved for the backward pass: i, f, g, o, c, h.

    Source:
        S. Hochreiter & J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997); the forget
        gate: F. Gers, J. Schmidhuber & F. Cummins (2000); its bias of 1: R. Jozefowicz, W. Zaremba &
        I. Sutskever (2015). torch.nn.LSTM has two biases a gate, whose sum is b here.

    >>> h, c = LSTMCell(4, 3)(torch.zeros(2, 4))
    >>> h.shape, c.shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    """

    state = ("h", "c")
    keeps, admits = "f", "i"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        forget_bias: float = 1.0,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.x = Gates(LSTM_GATES, input_size, hidden_size, bias=bias, device=device, dtype=dtype)
        self.h = Gates(LSTM_GATES, hidden_size, hidden_size, bias=False, device=device, dtype=dtype)
        if self.x.bias is not None:
            self.x.bias.data[self.x.rows("f")] = forget_bias

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        i = sigmoid(self.x.i(x) + self.h.i(h))
        f = sigmoid(self.x.f(x) + self.h.f(h))
        g = tanh(self.x.g(x) + self.h.g(h))
        o = sigmoid(self.x.o(x) + self.h.o(h))
        c = f * c + i * g
        h = o * tanh(c)
        return h, c
