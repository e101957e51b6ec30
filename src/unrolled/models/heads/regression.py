"""Regression: numbers with a squared error."""

from __future__ import annotations

import math

from torch import Tensor

from unrolled.cells.arguments import whole
from unrolled.models.heads.draws import normals
from unrolled.models.heads.head import Head, Target
from unrolled.models.philox import Numbers


class Regression(Head):
    """Numbers: a linear map; the loss is half the squared error.

    As a distribution it is a Gaussian with this mean and unit variance. Its -log p is the loss plus the
    constant width * log(2 pi) / 2, which `log_prob` includes and `loss` leaves out.

    Equation::

        y_t = W_hy h_t + b        loss = |y_t - target|^2 / 2        target ~ N(y_t, 1)

    Sampling takes one random number for each number drawn, through the inverse of the normal distribution.
    Temperature multiplies the variance; 0 gives y_t.

    Shapes:
        h (..., H); outputs and targets (..., width).

    >>> head = Regression(3, 1)
    >>> head(torch.zeros(5, 2, 3)).shape
    torch.Size([5, 2, 1])
    """

    def __init__(self, hidden_size: int, output_size: int) -> None:
        name = type(self).__name__
        hidden_size, width = whole(name, "hidden_size", hidden_size), whole(name, "output_size", output_size)
        super().__init__(hidden_size, width, Target("floats", width))

    def describe(self, outputs: Tensor) -> dict[str, Tensor]:
        """``mean`` (..., width)."""
        return {"mean": outputs}

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().sum() / 2

    def _log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -(outputs - targets).square().sum(-1) / 2 - self.output_size * math.log(2 * math.pi) / 2

    def _draw(self, outputs: Tensor, random: Numbers, temperature: float) -> Tensor:
        return outputs + math.sqrt(temperature) * normals(random.uniforms(outputs.shape))
