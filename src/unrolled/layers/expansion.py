"""TimeExpansion: each step becomes several."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from unrolled.cells.arguments import share, whole
from unrolled.layers.checks import ended
from unrolled.layers.layer import Layer


class TimeExpansion(Layer):
    """Each step as k steps, through one linear map for each of them: the way back from `TimeReduction`.

    Equation::

        y_{kt+j} = W_j dropout(x_t) + b_j        j = 0, ..., k-1

    A sequence of n steps becomes one of k n.

    Shapes:
        x (T, N, D); output (k T, N, output_size), zero from each sequence's end on; no state.

    Arguments:
        input_size: D.
        output_size: of each step.
        factor: k.
        dropout: share of the inputs set to zero in training.

    Raises:
        ValueError: an argument does not fit; or resets, which belong to single steps.

    >>> y, _ = TimeExpansion(3, 2, 4)(torch.zeros(5, 1, 3))
    >>> y.shape
    torch.Size([20, 1, 2])
    """

    def __init__(self, input_size: int, output_size: int, factor: int, dropout: float = 0.0) -> None:
        name = type(self).__name__
        super().__init__(whole(name, "input_size", input_size), whole(name, "output_size", output_size))
        self.factor, self.dropout = whole(name, "factor", factor), share(name, "dropout", dropout)
        self.map = nn.Linear(self.input_size, self.factor * self.output_size)
        nn.init.xavier_uniform_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def output_lengths(self, lengths: Any) -> Any:
        return super().output_lengths(lengths) * self.factor

    def forward(self, x: Tensor, state: Any = None, lengths: Any = None, resets: Any = None) -> tuple[Tensor, tuple]:
        """The steps; their lengths are `output_lengths`."""
        self._check_no_state(state)
        lengths, _ = self._checked(x, lengths, resets)
        y = self.map(F.dropout(ended(x, lengths), self.dropout, self.training))  # (T, N, k * output_size)
        return ended(y, lengths).unflatten(2, (self.factor, -1)).transpose(1, 2).flatten(0, 1), ()

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}, {self.factor}"
