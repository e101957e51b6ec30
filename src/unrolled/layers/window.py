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

        y_t = [x_{t-k} ; ... ; x_t ; ... ; x_{t+k}]        x_t = 0 outside of the sequence

    A linear map of y_t, such as the input weights of a cell, is a convolution over time with kernel 2k + 1. A reset
    separates two sequences, and neither sees the other's steps.

    Shapes:
        x (T, N, D); output (T, N, (2k + 1) D), zero from each sequence's end on; no state.

    Arguments:
        input_size: D.
        reach: k.

    Raises:
        ValueError: an argument does not fit.

    Source:
        A. Waibel et al., "Phoneme recognition using time-delay neural networks" (1989).

    >>> y, _ = TimeWindow(1, 1)(torch.arange(1.0, 4.0).reshape(3, 1, 1))
    >>> y.squeeze(1).tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 0.0]]
    """

    def __init__(self, input_size: int, reach: int) -> None:
        input_size = whole("TimeWindow", "input_size", input_size)
        self.reach = whole("TimeWindow", "reach", reach)
        super().__init__(input_size, (2 * self.reach + 1) * input_size)

    def forward(self, x: Tensor, state: Any = None, lengths: Any = None, resets: Any = None) -> tuple[Tensor, tuple]:
        """The steps with their neighbours."""
        self._check_no_state(state)
        lengths, resets = self._checked(x, lengths, resets)
        windows = self._windows(ended(x, lengths))  # (T, N, D, 2k + 1)
        if resets is not None:
            number = resets.cumsum(0).to(x.dtype)[..., None]  # each sequence's, 0 for the first
            windows = torch.where(self._windows(number) == number[..., None], windows, 0)
        return ended(windows.transpose(2, 3).flatten(2), lengths), ()

    def _windows(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, 0, self.reach, self.reach)).unfold(0, 2 * self.reach + 1, 1)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.reach}"
