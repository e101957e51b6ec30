"""TimeWindow: each step with its neighbours."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unrolled.cells.arguments import whole
from unrolled.layers.checks import ended
from unrolled.layers.layer import Layer


class TimeWindow(Layer):
    """Each step between its k neighbours on either side: what follows sees short patterns whole.

    Equation::

        y_t = [x_{t-k} ; ... ; x_t ; ... ; x_{t+k}]             x_t = 0 outside of the sequence
        of: y_t = [a_{t-k} ; ... ; a_t ; ... ; a_{t+k} ; b_t]    for x_t = [a_t ; b_t], a_t of that width

    A linear map of y_t, such as the input weights of a cell, is a convolution over time with kernel 2k + 1. A reset
    separates two sequences, and neither sees the other's steps.

    Shapes:
        x (T, N, D); output (T, N, (2k + 1) D), or (T, N, 2k of + D), zero from each sequence's end on; no state.

    Arguments:
        input_size: D.
        reach: k.
        of: how many of the inputs, from the first on, are seen with their neighbours; None for all.

    Raises:
        ValueError: an argument does not fit.

    Source:
        A. Waibel et al., "Phoneme recognition using time-delay neural networks" (1989).

    >>> y, _ = TimeWindow(1, 1)(torch.arange(1.0, 4.0).reshape(3, 1, 1))
    >>> y.squeeze(1).tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 0.0]]
    """

    def __init__(self, input_size: int, reach: int, of: int | None = None) -> None:
        input_size = whole("TimeWindow", "input_size", input_size)
        self.reach = whole("TimeWindow", "reach", reach)
        self.of = input_size if of is None else whole("TimeWindow", "of", of)
        if self.of > input_size:
            raise ValueError(f"TimeWindow: of must be at most the input size {input_size}, got {of}")
        super().__init__(input_size, 2 * self.reach * self.of + input_size)

    def forward(self, x: Tensor, state: Any = None, lengths: Any = None, resets: Any = None) -> tuple[Tensor, tuple]:
        """The steps with their neighbours."""
        self._check_no_state(state)
        lengths, resets = self._checked(x, lengths, resets)
        x = ended(x, lengths)
        windows = self._windows(x[..., : self.of])  # (T, N, of, 2k + 1)
        if resets is not None:
            number = resets.cumsum(0).to(x.dtype)[..., None]  # each sequence's, 0 for the first
            windows = torch.where(self._windows(number) == number[..., None], windows, 0)
        return ended(torch.cat([windows.transpose(2, 3).flatten(2), x[..., self.of :]], dim=2), lengths), ()

    def _windows(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, 0, self.reach, self.reach)).unfold(0, 2 * self.reach + 1, 1)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.reach}" + (f", of={self.of}" if self.of < self.input_size else "")
