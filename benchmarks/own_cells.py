"""Cells that torch.nn does not have, as a person would write them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import unrolled


class PeepholeLSTM(unrolled.Cell):
    """The gates see the cell state (F. Gers & J. Schmidhuber, "Recurrent nets that time and count", 2000)."""

    state = ("h", "c")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("i f g o", input_size, hidden_size)
        self.h = unrolled.Gates("i f g o", hidden_size, hidden_size, bias=False)
        self.p = nn.Parameter(torch.randn(3, hidden_size) / 10)

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i = torch.sigmoid(self.x.i(x) + self.h.i(h) + self.p[0] * c)
        f = torch.sigmoid(self.x.f(x) + self.h.f(h) + self.p[1] * c)
        g = torch.tanh(self.x.g(x) + self.h.g(h))
        c = f * c + i * g
        o = torch.sigmoid(self.x.o(x) + self.h.o(h) + self.p[2] * c)
        h = o * torch.tanh(c)
        return h, c


class LayerNormLSTM(unrolled.Cell):
    """Both products, each over all four gates, and the cell state are normalised.

    Source:
        J. Ba, J. Kiros & G. Hinton, "Layer normalization" (2016), equations 20 to 22; the shifts of the two
        products and the bias are one here, since only their sum acts.
    """

    state = ("h", "c")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("i f g o", input_size, hidden_size, bias=False)
        self.h = unrolled.Gates("i f g o", hidden_size, hidden_size, bias=False)
        self.gain_x = nn.Parameter(torch.ones(4 * hidden_size))
        self.gain_h = nn.Parameter(torch.ones(4 * hidden_size))
        self.b = nn.Parameter(torch.zeros(4 * hidden_size))
        self.gain_c = nn.Parameter(torch.ones(hidden_size))
        self.b_c = nn.Parameter(torch.zeros(hidden_size))

    def step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        wide, H = (4 * self.hidden_size,), (self.hidden_size,)
        a = F.layer_norm(self.x(x), wide, self.gain_x, self.b) + F.layer_norm(self.h(h), wide, self.gain_h)
        a_i, a_f, a_g, a_o = a.chunk(4, dim=-1)
        c = torch.sigmoid(a_f) * c + torch.sigmoid(a_i) * torch.tanh(a_g)
        h = torch.sigmoid(a_o) * torch.tanh(F.layer_norm(c, H, self.gain_c, self.b_c))
        return h, c


OWN_CELLS: dict[str, type[unrolled.Cell]] = {"peephole": PeepholeLSTM, "layernorm": LayerNormLSTM}
