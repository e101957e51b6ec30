"""A cell of one's own, for `unrolled train DATA --run DIR --cell examples/minimal_cell.py:MinimalCell`."""

import torch

import unrolled


class MinimalCell(unrolled.Cell):
    """The minimal gated unit: one gate forgets and lets in.

    Source: G. Zhou et al., "Minimal gated unit for recurrent neural networks" (2016).
    """

    state = ("h",)

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.x = unrolled.Gates("f n", input_size, hidden_size)
        self.h = unrolled.Gates("f n", hidden_size, hidden_size, bias=False)

    def step(self, x, h):
        f = torch.sigmoid(self.x.f(x) + self.h.f(h))
        n = torch.tanh(self.x.n(x) + self.h.n(f * h))
        return (1 - f) * h + f * n
