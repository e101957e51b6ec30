"""TimeReduction: neighbouring steps joined into one."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from unrolled.cells.arguments import whole
from unrolled.layers.checks import ended
from unrolled.layers.layer import Layer


class TimeReduction(Layer):
    """Each k neighbouring steps side by side as one step: the pyramid of Listen, Attend and Spell.

    Equation::

        y_t = [x_{kt} ; x_{kt+1} ; ... ; x_{kt+k-1}]        x_t = 0 from the sequence's end on

    A sequence of n steps becomes one of ceil(n / k): where k does not divide n, zeros fill the last step, so that no
    input is lost and no sequence with steps becomes empty. Pieces of a longer sequence, one call after another, are
    joined as the whole is only if all but the last have a multiple of k steps.

    Shapes:
        x (T, N, D); output (ceil(T / k), N, k*D); no state.

    Arguments:
        input_size: D.
        factor: k.

    Raises:
        ValueError: an argument does not fit; or resets, which may fall between the k steps.

    Source:
        W. Chan, N. Jaitly, Q. V. Le & O. Vinyals, "Listen, attend and spell" (2016), equation 5, with k = 2.

    >>> y, _ = TimeReduction(1, 2)(torch.arange(5.0).reshape(5, 1, 1))
    >>> y.squeeze(1).tolist()
    [[0.0, 1.0], [2.0, 3.0], [4.0, 0.0]]
    """

    def __init__(self, input_size: int, factor: int) -> None:
        input_size = whole("TimeReduction", "input_size", input_size)
        self.factor = whole("TimeReduction", "factor", factor)
        super().__init__(input_size, self.factor * input_size)

    def output_lengths(self, lengths: Any) -> Any:
        return -(-super().output_lengths(lengths) // self.factor)

    def forward(self, x: Tensor, state: Any = None, lengths: Any = None, resets: Any = None) -> tuple[Tensor, tuple]:
        """The joined steps; their lengths are `output_lengths`."""
        self._check_no_state(state)
        lengths, _ = self._checked(x, lengths, resets)
        x = F.pad(ended(x, lengths), (0, 0, 0, 0, 0, -x.shape[0] % self.factor))
        return x.unflatten(0, (-1, self.factor)).transpose(1, 2).flatten(2), ()

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.factor}"
