"""Gaussian: numbers with a mean and a scale, both learned."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unrolled.cells.arguments import whole
from unrolled.models.heads.draws import normals
from unrolled.models.heads.head import Head, Target, positive
from unrolled.models.heads.special import HALF_LOG_2PI, softplus
from unrolled.models.philox import Numbers


class Gaussian(Head):
    """Numbers with a mean and a standard deviation, independent of each other.

    Equation::

        (mean, a) = W_hy h + b      scale = softplus(a) + floor
        log p = -sum_i ((target_i - mean_i) / scale_i)^2 / 2 + log scale_i + log(2 pi) / 2

    Softplus grows only linearly, so that one large output cannot overflow as exp would. The floor, in the unit
    of the targets, keeps the density finite where targets repeat a value exactly.

    Sampling takes one random number for each number drawn, through the inverse of the normal distribution.
    Temperature multiplies the variance; 0 gives the mean.

    Shapes:
        h (..., H); outputs (..., 2 * width), all means first; targets (..., width).

    Raises:
        ValueError: a width or a floor out of range.

    >>> head = Gaussian(3, 1)
    >>> {name: tuple(p.shape) for name, p in head.describe(head(torch.zeros(5, 2, 3))).items()}
    {'mean': (5, 2, 1), 'scale': (5, 2, 1)}
    """

    def __init__(self, hidden_size: int, width: int, floor: float = 1e-4) -> None:
        name = type(self).__name__
        width = whole(name, "width", width)
        super().__init__(hidden_size, 2 * width, Target("floats", width))
        self.floor = positive(name, "floor", floor)

    def describe(self, outputs: Tensor) -> dict[str, Tensor]:
        """``mean`` and ``scale``, (..., width) each."""
        mean, a = outputs.chunk(2, dim=-1)
        return {"mean": mean, "scale": softplus(a) + self.floor}

    def _log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        mean, scale = self.describe(outputs).values()
        return normal_log_prob(targets, mean, scale).sum(-1)

    def _draw(self, outputs: Tensor, random: Numbers, temperature: float) -> Tensor:
        mean, scale = self.describe(outputs).values()
        return mean + math.sqrt(temperature) * scale * normals(random.uniforms(mean.shape))

    def extra_repr(self) -> str:
        return f"floor={self.floor:g}"


def normal_log_prob(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """The log density of each number."""
    return -((x - mean) / scale).square() / 2 - torch.log(scale) - HALF_LOG_2PI
