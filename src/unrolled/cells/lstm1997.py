"""Long short-term memory as it was first published, without a forget gate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, sigmoid, tanh

from unrolled.cells.cell import Cell
from unrolled.cells.conventions import LSTM_1997_GATES
from unrolled.cells.gates import Gates


class LSTM1997Cell(Cell):
    """Long short-term memory of 1997: the cell state is only ever added to.

    Equation::

        i_t = s(W_xi x_t + W_hi h_{t-1} + b_i)         input gate
        g_t = tanh(W_xg x_t + W_hg h_{t-1} + b_g)      candidate
        o_t = s(W_xo x_t + W_ho h_{t-1} + b_o)         output gate
        c_t = c_{t-1} + i_t * g_t                      the constant error carousel
        h_t = o_t * tanh(c_t)

    On the way from c_t to c_{t-1} the gradient is multiplied by 1 exactly. Nothing ever leaves the state
    but by adding its opposite, so it may grow for as long as a stream goes on.

    Shapes:
        x (N, D); states h, c (N, H).

    Arguments:
        input_size: D.
        hidden_size: H.
        bias: whether the gates have a bias.
        input_bias, output_bias: b_i and b_o at the start; the paper begins with gates that are nearly
            closed (-1, -2, ...) where cells are to be taken into use one after another.

    Cost:
        5 floats per unit and step saved for the backward pass: i, g, o, c, h.

    Source:
        S. Hochreiter & J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), section 4. It
        differs in this: the paper squashes the candidate to (-2, 2), by 4 s(a) - 2, and the state to
        (-1, 1), by 2 s(c) - 1 = tanh(c / 2); both are tanh here, as today. Each memory cell has gates of
        its own here; the paper's blocks of size 2 share theirs. The paper cuts the gradient where it
        leaves a cell through its gates; here it is the whole gradient.

    >>> h, c = LSTM1997Cell(4, 3)(torch.zeros(2, 4))
    >>> h.shape, c.shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    """

    state = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        input_bias: float = 0.0,
        output_bias: float = 0.0,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.x = Gates(LSTM_1997_GATES, input_size, hidden_size, bias=bias, device=device, dtype=dtype)
        self.h = Gates(LSTM_1997_GATES, hidden_size, hidden_size, bias=False, device=device, dtype=dtype)
        if self.x.bias is not None:
            self.x.bias.data[self.x.rows("i")] = input_bias
            self.x.bias.data[self.x.rows("o")] = output_bias

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        i = sigmoid(self.x.i(x) + self.h.i(h))
        g = tanh(self.x.g(x) + self.h.g(h))
        o = sigmoid(self.x.o(x) + self.h.o(h))
        c = c + i * g
        h = o * tanh(c)
        return h, c
