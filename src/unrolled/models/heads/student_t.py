"""StudentT: numbers with heavy tails."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unrolled.cells.arguments import whole
from unrolled.models.heads.draws import open_uniforms
from unrolled.models.heads.head import Head, Target, positive
from unrolled.models.heads.special import HALF_LOG_2PI, log_gamma_half_step, softplus
from unrolled.models.philox import Numbers


class StudentT(Head):
    """Numbers with heavy tails, independent of each other: outliers pull the centre less than with `Gaussian`.

    Equation::

        (location, a, c) = W_hy h + b      scale = softplus(a) + floor      df = 2 + floor + softplus(c)
        z_i = (target_i - location_i) / scale_i
        log p = sum_i log Gamma((df + 1) / 2) - log Gamma(df / 2) - log(pi df) / 2 - log scale
                      - (df + 1) / 2 * log(1 + z_i^2 / df)

    More than 2 degrees of freedom: the variance, scale^2 df / (df - 2), exists. The floor is explained in
    `Gaussian`. The density is computed in double precision without the cancellation between the two Gammas.

    Sampling takes two random numbers for each number drawn. Temperature multiplies the square of the
    distance from the location; 0 gives the location.

    Shapes:
        h (..., H); outputs (..., 3 * width): locations, then a, then c; targets (..., width).

    Raises:
        ValueError: a width or a floor out of range.

    Source:
        sampling: R. W. Bailey, "Polar generation of random variates with the t-distribution", Mathematics of
        Computation 62 (1994), 779-781: sqrt(df (U^(-2/df) - 1)) cos(2 pi V) has this distribution exactly.

    >>> head = StudentT(3, 1)
    >>> bool((head.describe(head(torch.randn(5, 2, 3)))["df"] > 2).all())
    True
    """

    def __init__(self, hidden_size: int, width: int, floor: float = 1e-4) -> None:
        name = type(self).__name__
        width = whole(name, "width", width)
        super().__init__(hidden_size, 3 * width, Target("floats", width))
        self.floor = positive(name, "floor", floor)

    def describe(self, outputs: Tensor) -> dict[str, Tensor]:
        """``location``, ``scale`` and ``df``, (..., width) each."""
        location, a, c = outputs.chunk(3, dim=-1)
        return {"location": location, "scale": softplus(a) + self.floor, "df": softplus(c) + (2 + self.floor)}

    def _log_prob(self, outputs: Tensor, targets: Tensor) -> Tensor:
        location, scale, df = self.describe(outputs.double()).values()
        z = (targets.double() - location) / scale
        highest = log_gamma_half_step(df / 2) - HALF_LOG_2PI - scale.log()
        logs = highest - (df + 1) / 2 * torch.log1p(z.square() / df)
        return logs.sum(-1).to(outputs.dtype)

    def _draw(self, outputs: Tensor, random: Numbers, temperature: float) -> Tensor:
        location, scale, df = self.describe(outputs).values()
        u, v = open_uniforms(random.uniforms((*location.shape, 2))).unbind(-1)
        radius = (df * torch.expm1(-2 / df * u.log())).sqrt()
        return location + math.sqrt(temperature) * scale * radius * torch.cos(2 * math.pi * v)

    def extra_repr(self) -> str:
        return f"floor={self.floor:g}"
