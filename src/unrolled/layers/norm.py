"""LayerNorm: every step brought to mean 0 and variance 1."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.arguments import whole
from unrolled.layers.checks import ended
from unrolled.layers.layer import Layer


class LayerNorm(Layer):
    """The features of each step, brought to mean 0 and variance 1, then scaled and shifted.

    Equation::

        y_t = g * (x_t - mean(x_t)) / sqrt(variance(x_t) + eps) + b        mean and variance over the D features

    Shapes:
        x (T, N, D); output (T, N, D), zero from each sequence's end on; no state.

    Arguments:
        size: D.
        eps: keeps a step of equal features finite.

    Raises:
        ValueError: an argument does not fit; it is named, with what was expected.

    Source:
        J. L. Ba, J. R. Kiros & G. E. Hinton, "Layer normalization" (2016), equation 3, on the outputs of a layer
        instead of inside its cell.

    >>> stack = unrolled.Stack([unrolled.GRUCell(4, 3), LayerNorm(3), unrolled.GRUCell(3, 2)])
    >>> stack(torch.zeros(5, 2, 4))[0].shape
    torch.Size([5, 2, 2])
    """

    streams = True

    def __init__(self, size: int, eps: float = 1e-5) -> None:
        size = whole("LayerNorm", "size", size)
        if isinstance(eps, bool) or not isinstance(eps, int | float) or not 0 < eps < float("inf"):
            raise ValueError(f"LayerNorm: eps must be a number above 0, got {eps!r}")
        super().__init__(size, size)
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor, state: Any = None, lengths: Any = None, resets: Any = None) -> tuple[Tensor, tuple]:
        """The normed steps; resets change nothing, since no step sees another."""
        self._check_no_state(state)
        lengths, _ = self._checked(x, lengths, resets)
        y = F.layer_norm(ended(x, lengths), (self.input_size,), self.weight, self.bias, self.eps)
        return ended(y, lengths), ()

    def extra_repr(self) -> str:
        return f"{self.input_size}, eps={self.eps}"
